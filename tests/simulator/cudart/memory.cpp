#include <algorithm>
#include <cstring>
#include <memory>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/cudart/copy.h"
#include "tests/simulator/cudart/pool.h"

namespace conformance::sim::cudart {
namespace {

/// One side of a copy.
struct Side {
  Location location;
  int device() const { return location.kind == Location::Kind::device ? location.device : -1; }
  bool pageable() const { return location.kind == Location::Kind::unknown; }
};

/// What a GPU may do with mapped memory holds for its copies as for its kernels.
bool allowed(const Side& side, const void* address, std::size_t bytes, const Device& device,
             bool writes) {
  return !side.location.mapped ||
         World::get().virtual_memory().allows(address, bytes, device.index(), writes);
}

bool fits(const Side& side, const void* address, std::size_t bytes) {
  return side.pageable() || bytes <= side.location.left(address);
}

bool agrees(cudaMemcpyKind kind, const Side& to, const Side& from) {
  switch (kind) {
    case cudaMemcpyHostToHost:
      return to.device() < 0 && from.device() < 0;
    case cudaMemcpyHostToDevice:
      return to.device() >= 0 && from.device() < 0;
    case cudaMemcpyDeviceToHost:
      return to.device() < 0 && from.device() >= 0;
    case cudaMemcpyDeviceToDevice:
      return to.device() >= 0 && from.device() >= 0;
    case cudaMemcpyDefault:
      return true;
  }
  return false;
}

void copy_rows(char* to, const char* from, const Shape& shape) {
  for (std::size_t plane = 0; plane < shape.planes; ++plane) {
    for (std::size_t row = 0; row < shape.rows; ++row) {
      std::memmove(to + plane * shape.to_plane + row * shape.to_pitch,
                   from + plane * shape.from_plane + row * shape.from_pitch, shape.width);
    }
  }
}

double seconds_of(int from, int to, std::size_t bytes) {
  World& world = World::get();
  double rate = world.copy_rate(from, to);
  if (from >= 0 && to >= 0 && from != to && !world.device(from).peer_enabled(to) &&
      !world.device(to).peer_enabled(from)) {
    // Without peer access the driver stages the copy in host memory.
    rate = std::min({rate, world.copy_rate(-1, from) / 2, world.copy_rate(-1, to) / 2});
  }
  return kLatency + static_cast<double>(bytes) / rate;
}

}  // namespace

cudaError_t make_copy(const char* name, void* to, const void* from, const Shape& shape,
                      cudaMemcpyKind kind, Operation& operation, bool& waits) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) {
    return cudaErrorInvalidMemcpyDirection;
  }
  operation.work = [](const Firing&) { return Outcome{}; };
  if (shape.bytes() == 0) return cudaSuccess;
  if (to == nullptr || from == nullptr) return cudaErrorInvalidValue;
  World& world = World::get();
  const Device& current = *device_at(current_ordinal());
  const Side target{world.find(to)}, source{world.find(from)};
  if (!agrees(kind, target, source) || !fits(target, to, shape.to_span()) ||
      !fits(source, from, shape.from_span()) ||
      !allowed(target, to, shape.to_span(), current, true) ||
      !allowed(source, from, shape.from_span(), current, false)) {
    return cudaErrorInvalidValue;
  }
  const std::size_t bytes = shape.bytes();
  const double seconds = seconds_of(source.device(), target.device(), bytes);
  Shape actual = shape;
  const char* bytes_from = static_cast<const char*>(from);
  std::shared_ptr<std::vector<char>> staged;
  if (source.pageable() && target.device() >= 0) {
    // Pageable memory is staged before the call returns: the caller may change it at once.
    staged = std::make_shared<std::vector<char>>(bytes);
    Shape packing = shape;
    packing.to_pitch = actual.from_pitch = shape.width;
    packing.to_plane = actual.from_plane = shape.width * shape.rows;
    copy_rows(staged->data(), bytes_from, packing);
    bytes_from = staged->data();
  }
  operation.call = name;
  operation.device = source.device() >= 0 ? source.device() : target.device();
  operation.peer =
      source.device() >= 0 && target.device() >= 0 && source.device() != target.device()
          ? target.device()
          : -1;
  operation.work = [=](const Firing& firing) {
    auto* out = static_cast<char*>(to);
    const std::size_t span = actual.to_span();
    std::vector<char> before;
    if (keeps_old_bytes(firing)) before.assign(out, out + span);
    copy_rows(out, staged ? staged->data() : bytes_from, actual);
    damage(firing, out, span, 4, before);
    return Outcome{seconds, 0,
                   World::get().take_turn(source.device(), target.device(), seconds * firing.slow)};
  };
  waits = target.pageable() && source.device() >= 0;
  return cudaSuccess;
}

cudaError_t copy(const char* name, void* to, const void* from, const Shape& shape,
                 cudaMemcpyKind kind, cudaStream_t handle, bool blocking) {
  const StreamPtr stream = find_stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  Operation operation;
  bool waits = false;
  const cudaError_t error = make_copy(name, to, from, shape, kind, operation, waits);
  if (error != cudaSuccess || shape.bytes() == 0) return error;
  return submit(stream, std::move(operation), blocking || waits);
}

cudaError_t set(const char* name, void* to, int value, const Shape& shape, cudaStream_t handle,
                bool blocking) {
  const StreamPtr stream = find_stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (shape.bytes() == 0) return cudaSuccess;
  const Side target{World::get().find(to)};
  if (target.pageable() || !fits(target, to, shape.to_span()) ||
      !allowed(target, to, shape.to_span(), stream->device(), true)) {
    return cudaErrorInvalidValue;
  }
  const int device = target.device();
  const double rate = device >= 0 ? World::get().copy_rate(device, device) * 2
                                  : World::get().copy_rate(-1, stream->device().index());
  Operation operation;
  operation.call = name;
  operation.device = device;
  operation.work = [=](const Firing& firing) {
    auto* out = static_cast<char*>(to);
    std::vector<char> before;
    if (keeps_old_bytes(firing)) before.assign(out, out + shape.to_span());
    for (std::size_t plane = 0; plane < shape.planes; ++plane) {
      for (std::size_t row = 0; row < shape.rows; ++row) {
        std::memset(out + plane * shape.to_plane + row * shape.to_pitch, value, shape.width);
      }
    }
    damage(firing, out, shape.to_span(), 4, before);
    return Outcome{kLatency + static_cast<double>(shape.bytes()) / rate, 0};
  };
  return submit(stream, std::move(operation), blocking);
}

extern "C" {

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  return on_device("cudaMalloc", [&](Device& device, const Firing&) {
    if (const cudaError_t error = check_no_capture_forbids_waiting(); error != cudaSuccess) {
      return error;
    }
    if (memory == nullptr) return cudaErrorInvalidValue;
    *memory = nullptr;
    if (bytes == 0) return cudaSuccess;
    *memory = device.allocate(bytes);
    return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

cudaError_t cudaFree(void* memory) {
  return on_device("cudaFree", [&](Device&, const Firing&) {
    if (const cudaError_t error = check_no_capture_forbids_waiting(); error != cudaSuccess) {
      return error;
    }
    if (memory == nullptr) return cudaSuccess;
    const Location location = World::get().find(memory);
    if (location.kind != Location::Kind::device) return cudaErrorInvalidValue;
    Device& owner = World::get().device(location.device);
    // Freeing waits for whatever may still use the memory.
    const cudaError_t error = wait_all(owner, owner.pending());
    if (!release_to_pool(memory) && !owner.release(memory)) return cudaErrorInvalidValue;
    return error;
  });
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned flags) {
  return on_device("cudaHostAlloc", [&](Device& device, const Firing&) {
    if (const cudaError_t error = check_no_capture_forbids_waiting(); error != cudaSuccess) {
      return error;
    }
    constexpr unsigned kKnown =
        cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
    if (memory == nullptr || (flags & ~kKnown) != 0) return cudaErrorInvalidValue;
    *memory = nullptr;
    if (bytes == 0) return cudaSuccess;
    *memory = World::get().allocate_pinned(bytes, flags, device.index());
    return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* memory) {
  return on_device("cudaFreeHost", [&](Device&, const Firing&) {
    if (const cudaError_t error = check_no_capture_forbids_waiting(); error != cudaSuccess) {
      return error;
    }
    if (memory == nullptr) return cudaSuccess;
    const Location location = World::get().find(memory);
    if (location.kind != Location::Kind::pinned) return cudaErrorInvalidValue;
    Device& owner = World::get().device(location.device);
    const cudaError_t error = wait_all(owner, owner.pending());
    if (!World::get().release_pinned(memory)) return cudaErrorInvalidValue;
    return error;
  });
}

cudaError_t cudaHostRegister(void* memory, size_t bytes, unsigned flags) {
  return on_device("cudaHostRegister", [&](Device& device, const Firing&) {
    switch (World::get().register_host(memory, bytes, flags, device.index())) {
      case World::Registering::done:
        return cudaSuccess;
      case World::Registering::already:
        return cudaErrorHostMemoryAlreadyRegistered;
      case World::Registering::invalid:
        break;
    }
    return cudaErrorInvalidValue;
  });
}

cudaError_t cudaHostUnregister(void* memory) {
  return on_device("cudaHostUnregister", [&](Device&, const Firing&) {
    if (memory == nullptr) return cudaErrorInvalidValue;
    return World::get().unregister_host(memory) == World::Registering::done
               ? cudaSuccess
               : cudaErrorHostMemoryNotRegistered;
  });
}

cudaError_t cudaHostGetDevicePointer(void** device_memory, void* memory, unsigned flags) {
  return on_device("cudaHostGetDevicePointer", [&](Device&, const Firing&) {
    if (device_memory == nullptr || flags != 0 ||
        World::get().find(memory).kind != Location::Kind::pinned) {
      return cudaErrorInvalidValue;
    }
    *device_memory = memory;
    return cudaSuccess;
  });
}

cudaError_t cudaHostGetFlags(unsigned* flags, void* memory) {
  return on_device("cudaHostGetFlags", [&](Device&, const Firing&) {
    const Location location = World::get().find(memory);
    if (flags == nullptr || location.kind != Location::Kind::pinned) return cudaErrorInvalidValue;
    // With unified addressing all pinned memory is mapped.
    *flags = location.flags | cudaHostAllocMapped;
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  return on_device("cudaMemGetInfo", [&](Device& device, const Firing& firing) {
    if (free_bytes != nullptr) {
      *free_bytes = firing.value ? static_cast<std::size_t>(*firing.value) : device.free_bytes();
    }
    if (total != nullptr) *total = device.gpu().memory_bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  return on_device("cudaPointerGetAttributes", [&](Device&, const Firing&) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    *attributes = {};
    const Location location = World::get().find(address);
    switch (location.kind) {
      case Location::Kind::unknown:
        attributes->type = cudaMemoryTypeUnregistered;
        attributes->device = cudaInvalidDeviceId;
        attributes->hostPointer = const_cast<void*>(address);
        break;
      case Location::Kind::device:
        attributes->type = cudaMemoryTypeDevice;
        attributes->device = World::get().ordinal(location.device);
        attributes->devicePointer = const_cast<void*>(address);
        break;
      case Location::Kind::pinned:
        attributes->type = cudaMemoryTypeHost;
        attributes->device = World::get().ordinal(location.device);
        attributes->devicePointer = attributes->hostPointer = const_cast<void*>(address);
        break;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copying("cudaMemcpy", [&](const char* name) {
    return copy(name, to, from, one_row(bytes), kind, cudaStreamLegacy, true);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copying("cudaMemcpyAsync", [&](const char* name) {
    return copy(name, to, from, one_row(bytes), kind, stream, false);
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return copying("cudaMemcpy2DAsync", [&](const char* name) {
    if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
    return copy(name, to, from, {width, height, to_pitch, from_pitch}, kind, stream, false);
  });
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
  return copying("cudaMemcpy2D", [&](const char* name) {
    if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
    return copy(name, to, from, {width, height, to_pitch, from_pitch}, kind, cudaStreamLegacy,
                true);
  });
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_ordinal, const void* from, int from_ordinal,
                                size_t bytes, cudaStream_t stream) {
  return copying("cudaMemcpyPeerAsync", [&](const char* name) {
    if (device_at(to_ordinal) == nullptr || device_at(from_ordinal) == nullptr) {
      return cudaErrorInvalidDevice;
    }
    return copy(name, to, from, one_row(bytes), cudaMemcpyDefault, stream, false);
  });
}

cudaError_t cudaMemcpyPeer(void* to, int to_ordinal, const void* from, int from_ordinal,
                           size_t bytes) {
  return copying("cudaMemcpyPeer", [&](const char* name) {
    if (device_at(to_ordinal) == nullptr || device_at(from_ordinal) == nullptr) {
      return cudaErrorInvalidDevice;
    }
    return copy(name, to, from, one_row(bytes), cudaMemcpyDefault, cudaStreamLegacy, true);
  });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return copying("cudaMemset", [&](const char* name) {
    return set(name, to, value, one_row(bytes), cudaStreamLegacy, false);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return copying("cudaMemsetAsync", [&](const char* name) {
    return set(name, to, value, one_row(bytes), stream, false);
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
