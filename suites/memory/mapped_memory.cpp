#include "suites/memory/mapped_memory.h"

#include <utility>

namespace conformance::memory {
namespace {

CUmemAllocationProp on_device(int device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  return properties;
}

}  // namespace

std::size_t granularity(const DriverTable& cuda, int device) {
  const CUmemAllocationProp properties = on_device(device);
  std::size_t bytes = 0;
  ensure(CONFORMANCE_CALL(
      cuda.cuMemGetAllocationGranularity(&bytes, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM)));
  return bytes;
}

AddressRange::AddressRange(const DriverTable& cuda, std::size_t bytes)
    : cuda_(cuda), bytes_(bytes) {
  ensure(CONFORMANCE_CALL(cuda.cuMemAddressReserve(&start_, bytes, 0, 0, 0)));
}

AddressRange::~AddressRange() { cuda_.cuMemAddressFree(start_, bytes_); }

PhysicalMemory::PhysicalMemory(const DriverTable& cuda, int device, std::size_t bytes)
    : cuda_(cuda), bytes_(bytes) {
  const CUmemAllocationProp properties = on_device(device);
  ensure(CONFORMANCE_CALL(cuda.cuMemCreate(&handle_, bytes, &properties, 0)));
  held_ = true;
}

PhysicalMemory::~PhysicalMemory() {
  if (held_) cuda_.cuMemRelease(handle_);
}

void PhysicalMemory::release() {
  held_ = false;
  ensure(CONFORMANCE_CALL(cuda_.cuMemRelease(handle_)));
}

Mapping::Mapping(const DriverTable& cuda, CUdeviceptr address, const PhysicalMemory& memory)
    : cuda_(cuda), address_(address), bytes_(memory.bytes()) {
  ensure(CONFORMANCE_CALL(cuda.cuMemMap(address, bytes_, 0, memory.handle(), 0)));
  mapped_ = true;
}

Mapping::~Mapping() {
  if (mapped_) cuda_.cuMemUnmap(address_, bytes_);
}

void Mapping::unmap() {
  mapped_ = false;
  ensure(CONFORMANCE_CALL(cuda_.cuMemUnmap(address_, bytes_)));
}

CUresult grant(const DriverTable& cuda, CUdeviceptr address, std::size_t bytes, int device,
               CUmemAccess_flags access) {
  const CUmemAccessDesc wanted{{CU_MEM_LOCATION_TYPE_DEVICE, device}, access};
  return cuda.cuMemSetAccess(address, bytes, &wanted, 1);
}

}  // namespace conformance::memory
