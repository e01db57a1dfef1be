#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/pattern.h"

namespace conformance::kernels {

/// Words from one node of a chain to the next in memory: a line of 128 bytes each.
inline constexpr unsigned kNodeWords = 32;
/// Which node follows node `node` of `nodes`, a power of two: all come in turn, no two neighbours.
__host__ __device__ constexpr unsigned next_node(unsigned node, unsigned nodes) {
  return (node + 977) & (nodes - 1);
}
/// Makes `words` a chain: the first word of each node says at which word the next one begins.
cudaError_t link_chain(std::uint32_t* words, unsigned nodes, cudaStream_t stream);
/// A grid of `blocks` blocks, of which block `chosen` follows the chain from node 0 by one thread,
/// each load at the place that the one before it yielded; *last becomes the word that the last one
/// yielded. With as many blocks as the GPU has multiprocessors, each has one of its own to itself.
/// `words` may lie on a peer.
cudaError_t follow_chain(const std::uint32_t* words, unsigned loads, unsigned blocks,
                         unsigned chosen, std::uint32_t* last, cudaStream_t stream);

/// Copies count words, an even number, as fast as a link allows; either side may lie on a peer.
/// Both are aligned to 16 bytes.
cudaError_t copy_over_link(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                           cudaStream_t stream);

/// What the threads of several GPUs share; starts as {}.
struct SharedCounters {
  unsigned long long sum = 0;  ///< of all threads' numbers
  unsigned tickets = 0;        ///< how many threads have drawn one
  unsigned highest = 0;        ///< thread's number
  unsigned winners = 0;        ///< threads that were the first to claim their slot
};
/// Threads first_number … first_number + threads - 1 each draw a ticket and leave their number at
/// holders[ticket], add to the sum, and claim slot number % slot_count of `slots`, which start as
/// 0: the first one leaves its number + 1. `threads` is a multiple of 256. All by atomic operations
/// of system scope; all memory may lie on a peer.
cudaError_t contend_in_system(SharedCounters* counters, std::uint32_t* holders,
                              std::uint32_t* slots, unsigned slot_count, unsigned first_number,
                              unsigned threads, cudaStream_t stream);

/// Words that are handed over at a time.
inline constexpr unsigned kParcelWords = 512;
/// Where two kernels hand over parcels; starts as {}.
struct HandOver {
  std::uint64_t parcel[kParcelWords];
  unsigned sent;       ///< the parcel that lies here
  unsigned apart[31];  ///< so that the two are in lines of their own
  unsigned taken;      ///< the last one that was compared
};
/// What the receiver saw; starts as {}.
struct HandOverReport {
  unsigned long long wrong = 0;  ///< words that were not the parcel's when `sent` said so
  unsigned first_parcel = 0;     ///< in which that was seen first
  unsigned compared = 0;         ///< parcels
};
/// Word `index` of a parcel, numbered from 1.
__host__ __device__ constexpr std::uint64_t parcel_word(unsigned parcel, unsigned index,
                                                        std::uint64_t seed) {
  return pattern_word(static_cast<std::uint64_t>(parcel) * kParcelWords + index, seed);
}
/// Stores each parcel's words, then says so in `sent`, behind a fence of system scope; waits before
/// each until the last one was taken, for `patience` cycles of its clock at most: then it ends.
/// Meant to run on one GPU while receive_parcels runs on another.
cudaError_t send_parcels(HandOver* place, unsigned parcels, std::uint64_t seed, long long patience,
                         cudaStream_t stream);
/// Compares each parcel once `sent` names it, behind a fence of system scope. Waits as above; the
/// report tells how many it saw.
cudaError_t receive_parcels(HandOverReport* report, HandOver* place, unsigned parcels,
                            std::uint64_t seed, long long patience, cudaStream_t stream);

}  // namespace conformance::kernels
