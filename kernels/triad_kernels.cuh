#pragma once

#include "kernels/grid.cuh"
#include "kernels/launch.h"
#include "kernels/pattern.h"
#include "kernels/triad.h"

namespace conformance::kernels {

/// Of one tile, each thread has all accesses under way at once.
inline constexpr unsigned kTriadPairsPerThread = 4;
inline constexpr std::size_t kTriadPairsPerTile = std::size_t{kThreads} * kTriadPairsPerThread;

__global__ void triad_kernel(ulonglong2* target, const ulonglong2* left, const ulonglong2* right,
                             std::uint64_t factor, std::size_t tiles) {
  for (std::size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::size_t base = tile * kTriadPairsPerTile + threadIdx.x;
    ulonglong2 one[kTriadPairsPerThread], other[kTriadPairsPerThread];
#pragma unroll
    for (unsigned step = 0; step < kTriadPairsPerThread; ++step) {
      one[step] = left[base + step * kThreads];
      other[step] = right[base + step * kThreads];
    }
#pragma unroll
    for (unsigned step = 0; step < kTriadPairsPerThread; ++step) {
      target[base + step * kThreads] = make_ulonglong2(one[step].x + factor * other[step].x,
                                                       one[step].y + factor * other[step].y);
    }
  }
}

__global__ void check_triad_kernel(const std::uint64_t* target, std::uint64_t left_seed,
                                   std::uint64_t right_seed, std::uint64_t factor,
                                   std::size_t count, Mismatch* mismatch) {
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    const std::uint64_t expected =
        pattern_word(i, left_seed) + factor * pattern_word(i, right_seed);
    if (target[i] != expected) note_mismatch(mismatch, i);
  }
}

}  // namespace conformance::kernels
