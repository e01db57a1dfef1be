#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/mismatch.h"
#include "kernels/random_fill.h"

namespace conformance::kernels {

/// What `rank` contributes at `index`: an integer from 1 to 4096. None is zero, so a contribution
/// that is lost always changes the sum; and the sum of up to 4096 ranks is at most 2^24, up to
/// which a float holds every integer, so it is the same in whatever order it is added.
__host__ __device__ constexpr unsigned contribution(unsigned rank, std::uint64_t index,
                                                    std::uint64_t seed) {
  return static_cast<unsigned>(mix(mix(seed + rank) ^ index) >> 52) + 1;
}
inline constexpr unsigned kMostRanks = 4096;
/// The sum over ranks [first_rank, first_rank + ranks).
__host__ __device__ constexpr unsigned sum_of_contributions(unsigned first_rank, unsigned ranks,
                                                            std::uint64_t index,
                                                            std::uint64_t seed) {
  unsigned sum = 0;
  for (unsigned rank = first_rank; rank < first_rank + ranks; ++rank) {
    sum += contribution(rank, index, seed);
  }
  return sum;
}

/// values[i] = contribution(rank, i, seed), i < count.
cudaError_t fill_contribution(float* values, std::size_t count, unsigned rank, std::uint64_t seed,
                              cudaStream_t stream);
/// Adds to *mismatch, which starts as {}, the elements that are not the sum of the
/// contributions of ranks [first_rank, first_rank + ranks).
cudaError_t check_contributions(const float* values, std::size_t count, unsigned first_rank,
                                unsigned ranks, std::uint64_t seed, Mismatch* mismatch,
                                cudaStream_t stream);

}  // namespace conformance::kernels
