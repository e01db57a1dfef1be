#pragma once

#include "kernels/launch_probe.h"
#include "kernels/shared_memory.h"

namespace conformance::kernels {

__global__ void record_launch_kernel(LaunchRecord* records) {
  const std::size_t block =
      (static_cast<std::size_t>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const std::size_t thread =
      (static_cast<std::size_t>(threadIdx.z) * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const std::size_t threads = static_cast<std::size_t>(blockDim.x) * blockDim.y * blockDim.z;
  LaunchRecord record;
  record.block[0] = blockIdx.x;
  record.block[1] = blockIdx.y;
  record.block[2] = blockIdx.z;
  record.thread[0] = threadIdx.x;
  record.thread[1] = threadIdx.y;
  record.thread[2] = threadIdx.z;
  record.grid[0] = gridDim.x;
  record.grid[1] = gridDim.y;
  record.grid[2] = gridDim.z;
  record.threads[0] = blockDim.x;
  record.threads[1] = blockDim.y;
  record.threads[2] = blockDim.z;
  records[block * threads + thread] = record;
}

__global__ void rotate_in_shared_kernel(const std::uint32_t* source, std::uint32_t* target,
                                        unsigned words, unsigned rounds) {
  CONFORMANCE_DYNAMIC_SHARED(std::uint32_t, rotating_words);
  const std::size_t first = static_cast<std::size_t>(blockIdx.x) * words;
  std::uint32_t* from = rotating_words;
  std::uint32_t* to = rotating_words + words;
  for (unsigned i = threadIdx.x; i < words; i += blockDim.x) from[i] = source[first + i];
  for (unsigned round = 0; round < rounds; ++round) {
    __syncthreads();
    for (unsigned i = threadIdx.x; i < words; i += blockDim.x) to[i] = from[(i + 1) % words];
    std::uint32_t* const last = from;
    from = to;
    to = last;
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < words; i += blockDim.x) target[first + i] = from[i];
}

__global__ void store_argument_kernel(BigArgument argument, std::uint64_t* target) {
  for (std::size_t i = threadIdx.x; i < kArgumentWords; i += blockDim.x) {
    target[i] = argument.words[i];
  }
}

__constant__ std::uint64_t constant_words[kConstantWords];

__global__ void store_constants_kernel(std::uint64_t* target) {
  for (std::size_t i = threadIdx.x; i < kConstantWords; i += blockDim.x) {
    target[i] = constant_words[i];
  }
}

__global__ void compute_kernel(Computed* results, std::size_t count) {
  const std::size_t index = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index < count) results[index] = computed(index);
}

__global__ void contend_kernel(Contended* state, std::uint32_t* holders, unsigned* claims,
                               unsigned claim_count) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
  holders[atomicAdd(&state->tickets, 1u)] = index;
  atomicAdd(&state->sum, static_cast<unsigned long long>(index));
  atomicMin(&state->lowest, index);
  atomicMax(&state->highest, index);
  if (atomicCAS(&claims[index % claim_count], 0u, index + 1) == 0u) atomicAdd(&state->winners, 1u);
}

__global__ void store_to_kernel(std::uint32_t* address) { *address = 1; }

}  // namespace conformance::kernels
