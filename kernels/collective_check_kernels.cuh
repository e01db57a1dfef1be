#pragma once

#include "kernels/collective_check.h"
#include "kernels/grid.cuh"

namespace conformance::kernels {

__global__ void fill_contribution_kernel(float* values, std::size_t count, unsigned rank,
                                         std::uint64_t seed) {
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    values[i] = static_cast<float>(contribution(rank, i, seed));
  }
}

__global__ void check_contributions_kernel(const float* values, std::size_t count,
                                           unsigned first_rank, unsigned ranks, std::uint64_t seed,
                                           Mismatch* mismatch) {
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    const unsigned sum = sum_of_contributions(first_rank, ranks, i, seed);
    // Written so that a NaN differs.
    if (!(values[i] == static_cast<float>(sum))) note_mismatch(mismatch, i);
  }
}

}  // namespace conformance::kernels
