#include "kernels/collective_check.h"
#include "kernels/collective_check_kernels.cuh"
#include "kernels/launch.h"

namespace conformance::kernels {

cudaError_t fill_contribution(float* values, std::size_t count, unsigned rank, std::uint64_t seed,
                              cudaStream_t stream) {
  fill_contribution_kernel<<<blocks_for(count), kThreads, 0, stream>>>(values, count, rank, seed);
  return cudaGetLastError();
}

cudaError_t check_contributions(const float* values, std::size_t count, unsigned first_rank,
                                unsigned ranks, std::uint64_t seed, Mismatch* mismatch,
                                cudaStream_t stream) {
  if (ranks > kMostRanks) return cudaErrorInvalidValue;
  check_contributions_kernel<<<blocks_for(count), kThreads, 0, stream>>>(values, count, first_rank,
                                                                         ranks, seed, mismatch);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
