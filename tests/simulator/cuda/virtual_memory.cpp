// Memory and addresses apart, as the driver API's virtual memory management has them.

#include "tests/simulator/core/virtual_memory.h"

#include <bit>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "tests/simulator/cuda/api.h"

namespace conformance::sim::cuda {
namespace {

constexpr std::size_t kGranularity = 64 * 1024;

/// What cuMemCreate handed out, and how often it is held. A handle that nobody holds can be had
/// again from a mapping.
struct Allocation {
  std::weak_ptr<PhysicalMemory> memory;
  std::shared_ptr<PhysicalMemory> held;
  CUmemAllocationProp properties{};
  int references = 1;
};
struct Allocations {
  std::mutex mutex;
  std::map<CUmemGenericAllocationHandle, Allocation> all;
  CUmemGenericAllocationHandle last = 0;
};
Allocations& allocations() {
  static auto* const one = new Allocations;
  return *one;
}

CUmemGenericAllocationHandle hand_out(const std::shared_ptr<PhysicalMemory>& memory,
                                      const CUmemAllocationProp& properties) {
  Allocations& handed_out = allocations();
  const std::lock_guard lock(handed_out.mutex);
  std::erase_if(handed_out.all, [](const auto& item) { return item.second.memory.expired(); });
  handed_out.all[++handed_out.last] = {memory, memory, properties, 1};
  return handed_out.last;
}

char* address_of(CUdeviceptr address) { return std::bit_cast<char*>(address); }

bool granular(std::size_t bytes) { return bytes > 0 && bytes % kGranularity == 0; }

/// The GPU of a location, which must be one.
Device* device_of(const CUmemLocation& location) {
  return location.type == CU_MEM_LOCATION_TYPE_DEVICE ? device_at(location.id) : nullptr;
}

/// Mappings change when whatever may use them is done.
void wait_for_all() {
  for (int index = 0; index < World::get().device_count(); ++index) {
    Device& device = World::get().device(index);
    wait_all(device, device.pending());
  }
}

}  // namespace

extern "C" {

CUresult cuMemGetAllocationGranularity(std::size_t* granularity,
                                       const CUmemAllocationProp* properties,
                                       CUmemAllocationGranularity_flags option) {
  return call("cuMemGetAllocationGranularity", [&](const Firing& firing) {
    if (granularity == nullptr || properties == nullptr ||
        properties->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
        (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
         option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (device_of(properties->location) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *granularity = firing.value ? static_cast<std::size_t>(*firing.value) : kGranularity;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAddressReserve(CUdeviceptr* address, std::size_t bytes, std::size_t alignment,
                             CUdeviceptr, unsigned long long flags) {
  return call("cuMemAddressReserve", [&](const Firing&) {
    if (address == nullptr || !granular(bytes) || flags != 0 ||
        (alignment & (alignment - 1)) != 0) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    char* const reserved =
        World::get().virtual_memory().reserve(bytes, std::max(alignment, kGranularity));
    if (reserved == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = reinterpret_cast<CUdeviceptr>(reserved);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAddressFree(CUdeviceptr address, std::size_t bytes) {
  return call("cuMemAddressFree", [&](const Firing&) {
    return World::get().virtual_memory().free(address_of(address), bytes)
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes,
                     const CUmemAllocationProp* properties, unsigned long long flags) {
  const int ordinal = properties == nullptr ? -1 : properties->location.id;
  return call(
      "cuMemCreate",
      [&](const Firing&) {
        if (handle == nullptr || properties == nullptr || flags != 0 || !granular(bytes) ||
            properties->type != CU_MEM_ALLOCATION_TYPE_PINNED) {
          return CUDA_ERROR_INVALID_VALUE;
        }
        Device* const owner = device_of(properties->location);
        if (owner == nullptr) return CUDA_ERROR_INVALID_DEVICE;
        auto memory = PhysicalMemory::create(*owner, bytes);
        if (!memory) return CUDA_ERROR_OUT_OF_MEMORY;
        *handle = hand_out(memory, *properties);
        return CUDA_SUCCESS;
      },
      ordinal);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  return call("cuMemRelease", [&](const Firing& firing) {
    const std::lock_guard lock(allocations().mutex);
    const auto found = allocations().all.find(handle);
    if (found == allocations().all.end() || !found->second.held) return CUDA_ERROR_INVALID_VALUE;
    // A fault keeps the memory.
    if (!firing.value && --found->second.references == 0) found->second.held.reset();
    return CUDA_SUCCESS;
  });
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  return call("cuMemRetainAllocationHandle", [&](const Firing&) {
    const auto memory = World::get().virtual_memory().memory_at(static_cast<const char*>(address));
    if (handle == nullptr || !memory) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(allocations().mutex);
    for (auto& [number, allocation] : allocations().all) {
      const auto own = allocation.memory.lock();
      if (own != memory) continue;
      allocation.held = own;
      ++allocation.references;
      *handle = number;
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* properties,
                                                CUmemGenericAllocationHandle handle) {
  return call("cuMemGetAllocationPropertiesFromHandle", [&](const Firing&) {
    const std::lock_guard lock(allocations().mutex);
    const auto found = allocations().all.find(handle);
    if (properties == nullptr || found == allocations().all.end() || !found->second.held)
      return CUDA_ERROR_INVALID_VALUE;
    *properties = found->second.properties;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags) {
  return call("cuMemMap", [&](const Firing& firing) {
    const std::lock_guard lock(allocations().mutex);
    const auto found = allocations().all.find(handle);
    if (found == allocations().all.end() || !found->second.held || flags != 0 || !granular(bytes) ||
        offset % kGranularity != 0 || address % kGranularity != 0) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (offset != 0 || bytes != found->second.held->bytes()) return CUDA_ERROR_NOT_SUPPORTED;
    // A fault shows another part of the memory than was asked for.
    const auto shift = static_cast<std::size_t>(firing.value.value_or(0));
    return World::get().virtual_memory().map(address_of(address), bytes, found->second.held, shift)
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuMemUnmap(CUdeviceptr address, std::size_t bytes) {
  return call("cuMemUnmap", [&](const Firing&) {
    wait_for_all();
    return World::get().virtual_memory().unmap(address_of(address), bytes)
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuMemSetAccess(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* wanted,
                        std::size_t count) {
  return call("cuMemSetAccess", [&](const Firing& firing) {
    if (wanted == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    wait_for_all();
    for (std::size_t i = 0; i < count; ++i) {
      const Device* const device = device_of(wanted[i].location);
      if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
      auto access = static_cast<Access>(wanted[i].flags);
      if (access != Access::none && access != Access::read && access != Access::read_write) {
        return CUDA_ERROR_INVALID_VALUE;
      }
      // A fault sets another one.
      if (firing.value) access = static_cast<Access>(*firing.value);
      if (!World::get().virtual_memory().set_access(address_of(address), bytes, device->index(),
                                                    access)) {
        return CUDA_ERROR_INVALID_VALUE;
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location,
                        CUdeviceptr address) {
  return call("cuMemGetAccess", [&](const Firing& firing) {
    if (flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Device* const device = device_of(*location);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const auto access = World::get().virtual_memory().access(address_of(address), device->index());
    if (!access) return CUDA_ERROR_INVALID_VALUE;
    *flags = firing.value ? static_cast<unsigned long long>(*firing.value)
                          : static_cast<unsigned long long>(*access);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemExportToShareableHandle(void* exported, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType type, unsigned long long flags) {
  return call("cuMemExportToShareableHandle", [&](const Firing&) {
    const std::lock_guard lock(allocations().mutex);
    const auto found = allocations().all.find(handle);
    if (exported == nullptr || flags != 0 || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
        found == allocations().all.end() || !found->second.held ||
        found->second.properties.requestedHandleTypes != type) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    const int file = found->second.held->export_file();
    if (file < 0) return CUDA_ERROR_OPERATING_SYSTEM;
    std::memcpy(exported, &file, sizeof(file));
    return CUDA_SUCCESS;
  });
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* exported,
                                        CUmemAllocationHandleType type) {
  return call("cuMemImportFromShareableHandle", [&](const Firing& firing) {
    if (handle == nullptr || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    const auto file = static_cast<int>(std::bit_cast<std::intptr_t>(exported));
    auto memory = PhysicalMemory::import_file(file);
    if (!memory) return CUDA_ERROR_INVALID_VALUE;
    // A fault yields other memory of that GPU.
    if (firing.value) memory = PhysicalMemory::create(memory->owner(), memory->bytes());
    if (!memory) return CUDA_ERROR_OUT_OF_MEMORY;
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.requestedHandleTypes = type;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE,
                           World::get().ordinal(memory->owner().index())};
    *handle = hand_out(memory, properties);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cuda
