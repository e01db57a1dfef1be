#pragma once

#include "kernels/device_assert.h"
#include "kernels/grid.cuh"
#include "kernels/runtime_probe.h"

namespace conformance::kernels {

__global__ void advance_kernel(std::uint64_t* target, const std::uint64_t* source,
                               std::size_t count, std::uint64_t step) {
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    target[i] = advanced(source[i], step);
  }
}

__global__ void count_threads_kernel(unsigned long long* count) { atomicAdd(count, 1ull); }

__global__ void trap_kernel() { __trap(); }

__global__ void fail_assert_kernel(unsigned threads) {
  CONFORMANCE_DEVICE_ASSERT(blockDim.x != threads);
}

}  // namespace conformance::kernels
