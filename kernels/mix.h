#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// A bijection of 64 bits that leaves no visible trace of its argument's structure: the output
/// function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014).
__host__ __device__ constexpr std::uint64_t mix(std::uint64_t word) {
  word += 0x9E3779B97F4A7C15ull;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ull;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBull;
  return word ^ (word >> 31);
}

}  // namespace conformance::kernels
