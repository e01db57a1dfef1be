#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/mismatch.h"

namespace conformance::kernels {

/// Where a thread of a grid-stride kernel starts, and how far it steps.
inline __device__ std::size_t grid_index() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
inline __device__ std::size_t grid_stride() {
  return static_cast<std::size_t>(gridDim.x) * blockDim.x;
}

inline __device__ void note_mismatch(Mismatch* mismatch, std::uint64_t index) {
  atomicAdd(&mismatch->count, 1ull);
  atomicMin(&mismatch->first_index, static_cast<unsigned long long>(index));
}

}  // namespace conformance::kernels
