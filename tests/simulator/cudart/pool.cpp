// Memory pools: memory is had at once, and given back in stream order.

#include "tests/simulator/cudart/pool.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
namespace {

/// Blocks of a GPU's memory. All pools share one lock.
class Pool {
 public:
  explicit Pool(Device& device) : device_(device) {}

  void* allocate(std::size_t bytes) {
    auto block = idle_.lower_bound(bytes);
    if (block == idle_.end()) {
      void* const memory = device_.allocate(bytes);
      if (memory == nullptr) return nullptr;
      reserved_ += bytes;
      block = idle_.emplace(bytes, memory);
    }
    void* const memory = block->second;
    used_ += block->first;
    in_use_[memory] = block->first;
    idle_.erase(block);
    return memory;
  }
  bool release(void* memory) {
    const auto block = in_use_.find(memory);
    if (block == in_use_.end()) return false;
    used_ -= block->second;
    idle_.emplace(block->second, memory);
    in_use_.erase(block);
    // A GPU's pool does so at the next synchronisation, before which nobody can tell.
    trim(threshold_);
    return true;
  }
  void trim(std::size_t keep) {
    while (reserved_ > keep && !idle_.empty()) {
      const auto block = idle_.begin();
      device_.release(block->second);
      reserved_ -= block->first;
      idle_.erase(block);
    }
  }
  Device& device() const { return device_; }
  bool unused() const { return in_use_.empty(); }
  /// Null for an attribute that is not simulated.
  std::uint64_t* value(cudaMemPoolAttr attribute) {
    switch (attribute) {
      case cudaMemPoolAttrReleaseThreshold:
        return &threshold_;
      case cudaMemPoolAttrReservedMemCurrent:
        return &reserved_;
      case cudaMemPoolAttrUsedMemCurrent:
        return &used_;
      default:
        return nullptr;
    }
  }

 private:
  Device& device_;
  std::multimap<std::size_t, void*> idle_;
  std::map<void*, std::size_t> in_use_;
  std::uint64_t reserved_ = 0, used_ = 0, threshold_ = 0;
};

struct Pools {
  std::mutex mutex;
  std::map<cudaMemPool_t, std::unique_ptr<Pool>> all;
  std::map<int, cudaMemPool_t> default_of;  ///< by GPU

  cudaMemPool_t add(Device& device) {
    auto pool = std::make_unique<Pool>(device);
    const auto handle = reinterpret_cast<cudaMemPool_t>(pool.get());
    all[handle] = std::move(pool);
    return handle;
  }
  cudaMemPool_t of(Device& device) {
    cudaMemPool_t& handle = default_of[device.index()];
    if (handle == nullptr) handle = add(device);
    return handle;
  }
};
Pools& pools() {
  static auto* table = new Pools;
  return *table;
}

/// Lets `use` have the pool while the table is locked; yields its answer.
template <typename Use>
cudaError_t with_pool(const char* name, cudaMemPool_t handle, Use use) {
  return on_device(name, [&](Device&, const Firing& firing) {
    const std::lock_guard lock(pools().mutex);
    const auto found = pools().all.find(handle);
    return found == pools().all.end() ? cudaErrorInvalidValue : use(*found->second, firing);
  });
}

cudaError_t allocate(void** memory, std::size_t bytes, Pool& pool) {
  constexpr std::size_t kGranularity = 512;
  if (memory == nullptr) return cudaErrorInvalidValue;
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  *memory = pool.allocate((bytes + kGranularity - 1) / kGranularity * kGranularity);
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

}  // namespace

bool release_to_pool(void* memory) {
  const std::lock_guard lock(pools().mutex);
  for (const auto& [handle, pool] : pools().all) {
    if (pool->release(memory)) return true;
  }
  return false;
}

extern "C" {

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int ordinal) {
  return api("cudaDeviceGetDefaultMemPool", [&](const Firing&) {
    Device* device = device_at(ordinal);
    if (pool == nullptr) return cudaErrorInvalidValue;
    if (device == nullptr) return cudaErrorInvalidDevice;
    const std::lock_guard lock(pools().mutex);
    *pool = pools().of(*device);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  return on_device("cudaMemPoolCreate", [&](Device&, const Firing&) {
    if (pool == nullptr || properties == nullptr ||
        properties->allocType != cudaMemAllocationTypePinned ||
        properties->location.type != cudaMemLocationTypeDevice) {
      return cudaErrorInvalidValue;
    }
    Device* device = device_at(properties->location.id);
    if (device == nullptr) return cudaErrorInvalidValue;
    const std::lock_guard lock(pools().mutex);
    *pool = pools().add(*device);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
  return with_pool("cudaMemPoolDestroy", handle, [&](Pool& pool, const Firing&) {
    if (!pool.unused()) return cudaErrorInvalidValue;
    pool.trim(0);
    pools().all.erase(handle);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t handle, size_t keep) {
  return with_pool("cudaMemPoolTrimTo", handle, [&](Pool& pool, const Firing&) {
    pool.trim(keep);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return with_pool("cudaMemPoolGetAttribute", handle, [&](Pool& pool, const Firing&) {
    const std::uint64_t* found = pool.value(attribute);
    if (value == nullptr || found == nullptr) return cudaErrorInvalidValue;
    *static_cast<std::uint64_t*>(value) = *found;
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return with_pool("cudaMemPoolSetAttribute", handle, [&](Pool& pool, const Firing&) {
    if (value == nullptr || attribute != cudaMemPoolAttrReleaseThreshold) {
      return cudaErrorInvalidValue;
    }
    *pool.value(attribute) = *static_cast<std::uint64_t*>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocFromPoolAsync(void** memory, size_t bytes, cudaMemPool_t handle,
                                    cudaStream_t stream) {
  return with_pool("cudaMallocFromPoolAsync", handle, [&](Pool& pool, const Firing&) {
    return find_stream(stream) ? allocate(memory, bytes, pool) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t handle) {
  return on_stream("cudaMallocAsync", handle, [&](const StreamPtr& stream, const Firing&) {
    const std::lock_guard lock(pools().mutex);
    return allocate(memory, bytes, *pools().all.at(pools().of(stream->device())));
  });
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t handle) {
  return on_stream("cudaFreeAsync", handle, [&](const StreamPtr& stream, const Firing& firing) {
    if (memory == nullptr) return cudaSuccess;
    const Location location = World::get().find(memory);
    if (location.kind != Location::Kind::device || location.base != memory) {
      return cudaErrorInvalidValue;
    }
    const auto release = [memory, index = location.device](const Firing&) {
      if (!release_to_pool(memory)) World::get().device(index).release(memory);
      return Outcome{};
    };
    if (firing.value) {  // out of order
      release({});
      return cudaSuccess;
    }
    return submit(stream, {"release of memory", location.device, -1, release}, false);
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
