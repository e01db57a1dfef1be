// Memory in rows and planes.

#include "tests/simulator/cudart/copy.h"

namespace conformance::sim::cudart {
namespace {

constexpr std::size_t kPitchAlignment = 512;

std::size_t pitch_of(std::size_t width) {
  return (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
}

cudaError_t allocate(Device& device, void** memory, std::size_t* pitch, std::size_t width,
                     std::size_t rows) {
  if (memory == nullptr || pitch == nullptr) return cudaErrorInvalidValue;
  *memory = nullptr;
  *pitch = pitch_of(width);
  if (width == 0 || rows == 0) return cudaSuccess;
  *memory = device.allocate(*pitch * rows);
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

/// The byte at a position of pitched memory, of which x counts bytes.
char* place(const cudaPitchedPtr& pointer, const cudaPos& position) {
  return static_cast<char*>(pointer.ptr) +
         (position.z * pointer.ysize + position.y) * pointer.pitch + position.x;
}

Shape fill_shape(std::size_t pitch, std::size_t width, std::size_t rows) {
  return {.width = width, .rows = rows, .to_pitch = pitch};
}

}  // namespace

extern "C" {

cudaError_t cudaMallocPitch(void** memory, size_t* pitch, size_t width, size_t height) {
  return on_device("cudaMallocPitch", [&](Device& device, const Firing&) {
    return allocate(device, memory, pitch, width, height);
  });
}

cudaError_t cudaMalloc3D(cudaPitchedPtr* pointer, cudaExtent extent) {
  return on_device("cudaMalloc3D", [&](Device& device, const Firing&) {
    if (pointer == nullptr) return cudaErrorInvalidValue;
    pointer->xsize = extent.width;
    pointer->ysize = extent.height;
    return allocate(device, &pointer->ptr, &pointer->pitch, extent.width,
                    extent.height * extent.depth);
  });
}

cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  return copying("cudaMemset2DAsync", [&](const char* name) {
    if (width > pitch) return cudaErrorInvalidValue;
    return set(name, to, value, fill_shape(pitch, width, height), stream, false);
  });
}

cudaError_t cudaMemset3DAsync(cudaPitchedPtr to, int value, cudaExtent extent,
                              cudaStream_t stream) {
  return copying("cudaMemset3DAsync", [&](const char* name) {
    if (extent.width > to.pitch) return cudaErrorInvalidValue;
    Shape shape = fill_shape(to.pitch, extent.width, extent.height);
    shape.planes = extent.depth;
    shape.to_plane = to.pitch * to.ysize;
    return set(name, to.ptr, value, shape, stream, false);
  });
}

cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* how, cudaStream_t stream) {
  return copying("cudaMemcpy3DAsync", [&](const char* name) {
    // Arrays are not simulated.
    if (how == nullptr || how->srcArray != nullptr || how->dstArray != nullptr) {
      return cudaErrorInvalidValue;
    }
    const cudaExtent& extent = how->extent;
    if (extent.width > how->dstPtr.pitch || extent.width > how->srcPtr.pitch) {
      return cudaErrorInvalidPitchValue;
    }
    const Shape shape{extent.width,
                      extent.height,
                      how->dstPtr.pitch,
                      how->srcPtr.pitch,
                      extent.depth,
                      how->dstPtr.pitch * how->dstPtr.ysize,
                      how->srcPtr.pitch * how->srcPtr.ysize};
    return copy(name, place(how->dstPtr, how->dstPos), place(how->srcPtr, how->srcPos), shape,
                how->kind, stream, false);
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
