#pragma once

#include <cstddef>

#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {

/// What a copy or fill goes through: planes of rows of `width` bytes; one plane of one row unless
/// said otherwise. Of a fill, `from_…` is not looked at.
struct Shape {
  std::size_t width = 0, rows = 1, to_pitch = 0, from_pitch = 0;
  std::size_t planes = 1, to_plane = 0, from_plane = 0;

  /// From the first byte to behind the last.
  std::size_t to_span() const { return (planes - 1) * to_plane + (rows - 1) * to_pitch + width; }
  std::size_t from_span() const {
    return (planes - 1) * from_plane + (rows - 1) * from_pitch + width;
  }
  std::size_t bytes() const { return width * rows * planes; }
};

inline Shape one_row(std::size_t bytes) {
  return {.width = bytes, .to_pitch = bytes, .from_pitch = bytes};
}

/// Makes the operation of a copy; `waits` says whether its caller has to wait for its end.
cudaError_t make_copy(const char* name, void* to, const void* from, const Shape& shape,
                      cudaMemcpyKind kind, Operation& operation, bool& waits);
/// Queues a copy, or a fill. `blocking` waits for its end.
cudaError_t copy(const char* name, void* to, const void* from, const Shape& shape,
                 cudaMemcpyKind kind, cudaStream_t handle, bool blocking);
cudaError_t set(const char* name, void* to, int value, const Shape& shape, cudaStream_t handle,
                bool blocking);

/// An API function that copies or fills. Its faults are those of the operation: submit looks them
/// up.
template <typename Body>
cudaError_t copying(const char* name, Body body) {
  if (const cudaError_t error = start(); error != cudaSuccess) return remember(error);
  Device* device = device_at(current_ordinal());
  if (device->lost() != 0) return remember(static_cast<cudaError_t>(device->lost()));
  return remember(body(name));
}

}  // namespace conformance::sim::cudart
