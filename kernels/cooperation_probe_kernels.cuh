#pragma once

#include "kernels/cooperation.cuh"
#include "kernels/cooperation_probe.h"
#include "kernels/runtime_probe.h"
#include "kernels/shared_memory.h"

namespace conformance::kernels {

__global__ void relay_kernel(std::uint64_t* words, unsigned rounds) {
  for (unsigned round = 1; round <= rounds; ++round) {
    const std::uint64_t* from = words + (round - 1) % 2 * gridDim.x;
    std::uint64_t* to = words + round % 2 * gridDim.x;
    // Each time another thread: all of them must have passed the barrier.
    if (threadIdx.x == round % blockDim.x) {
      to[blockIdx.x] = advanced(from[(blockIdx.x + 1) % gridDim.x], round);
    }
    grid_barrier();
  }
}

__global__ void look_around_in_clusters_kernel(ClusterRecord* records) {
  CONFORMANCE_DYNAMIC_SHARED(std::uint32_t, words_of_block);
  words_of_block[threadIdx.x] = blockIdx.x * 1024 + threadIdx.x;
  cluster_barrier();
  ClusterRecord record;
  record.rank = cluster_rank();
  record.blocks = cluster_blocks();
  const unsigned next = record.blocks == 0 ? 0 : (record.rank + 1) % record.blocks;
  record.word = in_block_of_cluster(words_of_block, next)[threadIdx.x];
  records[blockIdx.x * blockDim.x + threadIdx.x] = record;
  // A block's shared memory must stay until the others have read it.
  cluster_barrier();
}

__global__ void advance_by_bulk_copies_kernel(std::uint64_t* target, const std::uint64_t* source,
                                              unsigned bytes, std::uint64_t step) {
  CONFORMANCE_DYNAMIC_SHARED(uint4, room);
  auto* const words = reinterpret_cast<std::uint64_t*>(room);
  const unsigned count = bytes / sizeof(std::uint64_t);
  const std::size_t first = static_cast<std::size_t>(blockIdx.x) * count;
  if (!bulk_copy_to_shared(words, source + first, bytes)) return;
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) words[i] = advanced(words[i], step);
  bulk_copy_to_global(target + first, words, bytes);
}

}  // namespace conformance::kernels
