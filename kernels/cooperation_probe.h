#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// The blocks of one grid hand words on: in each of `rounds` rounds every block takes the word of
/// the block behind it and advances it by the round's number (kernels/runtime_probe.h), behind a
/// barrier of the whole grid. `words` has two words for each block; those of the first half are
/// what the blocks start from, and with an even number of rounds what they end with. All blocks
/// must be able to run at the same time.
cudaError_t relay(std::uint64_t* words, unsigned rounds, unsigned blocks, unsigned threads,
                  std::size_t shared_bytes, cudaStream_t stream);
/// How many blocks of `relay` run on one multiprocessor at the same time.
cudaError_t relay_blocks_per_multiprocessor(int* blocks, unsigned threads,
                                            std::size_t shared_bytes);
/// Asks for up to `bytes` of dynamic shared memory for relay on the current device.
cudaError_t allow_shared_memory_to_relay(int bytes);

/// What a thread of a cluster saw: its block's rank, the cluster's size, and a word of the shared
/// memory of the next block of the cluster, in which a block has its own number times 1024 plus the
/// thread's.
struct ClusterRecord {
  std::uint32_t rank, blocks, word;
};
inline constexpr unsigned kClusterThreads = 64;
/// Every thread writes its record to records[block * kClusterThreads + thread]. Yields what the
/// launch in clusters of `cluster` blocks along x yields.
cudaError_t look_around_in_clusters(ClusterRecord* records, unsigned blocks, unsigned cluster,
                                    cudaStream_t stream);
/// The largest cluster in which that can run on the current device, as the runtime says.
cudaError_t largest_cluster_to_look_around(int* blocks);

/// Each block brings `bytes`, a multiple of 16, from its part of `source` into shared memory by a
/// bulk copy, advances each word by `step`, and brings them to its part of `target` by another.
cudaError_t advance_by_bulk_copies(std::uint64_t* target, const std::uint64_t* source,
                                   unsigned bytes, unsigned blocks, std::uint64_t step,
                                   cudaStream_t stream);

/// The attributes of the code for the two above, on the current device.
cudaError_t look_around_in_clusters_attributes(cudaFuncAttributes* attributes);

}  // namespace conformance::kernels
