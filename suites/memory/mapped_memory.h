#pragma once

#include <cstddef>

#include "fixtures/cuda_inventory.h"
#include "fixtures/driver_table.h"

namespace conformance::memory {

/// The smallest piece in which memory of the device can be made and mapped. Throws StatusError.
std::size_t granularity(const DriverTable& cuda, int device);

/// A reserved range of addresses, without memory. `cuda` must outlive it, as it must the others
/// below.
class AddressRange {
 public:
  /// Throws StatusError.
  AddressRange(const DriverTable& cuda, std::size_t bytes);
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  ~AddressRange();
  CUdeviceptr at(std::size_t offset) const { return start_ + offset; }

 private:
  const DriverTable& cuda_;
  const std::size_t bytes_;
  CUdeviceptr start_ = 0;
};

/// Memory of a device, without an address.
class PhysicalMemory {
 public:
  /// Throws StatusError.
  PhysicalMemory(const DriverTable& cuda, int device, std::size_t bytes);
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;
  ~PhysicalMemory();
  CUmemGenericAllocationHandle handle() const { return handle_; }
  std::size_t bytes() const { return bytes_; }
  /// Gives the handle up; the memory stays as long as it is mapped. Throws StatusError.
  void release();

 private:
  const DriverTable& cuda_;
  const std::size_t bytes_;
  CUmemGenericAllocationHandle handle_ = 0;
  bool held_ = false;
};

/// All of a device's piece of memory, mapped at an address.
class Mapping {
 public:
  /// Throws StatusError.
  Mapping(const DriverTable& cuda, CUdeviceptr address, const PhysicalMemory& memory);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  /// Throws StatusError.
  void unmap();

 private:
  const DriverTable& cuda_;
  const CUdeviceptr address_;
  const std::size_t bytes_;
  bool mapped_ = false;
};

/// Says what the device may do with mapped memory.
CUresult grant(const DriverTable& cuda, CUdeviceptr address, std::size_t bytes, int device,
               CUmemAccess_flags access);

}  // namespace conformance::memory
