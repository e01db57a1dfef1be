#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// The address-dependent pattern: word `index` of a buffer filled with `seed`. For one seed no two
/// indices share a value (multiplication by an odd constant and an xor-shift are both bijections of
/// 64 bits), so a word that landed elsewhere is seen as well as one that was lost.
__host__ __device__ constexpr std::uint64_t pattern_word(std::uint64_t index, std::uint64_t seed) {
  std::uint64_t word = (index + seed) * 0x9E3779B97F4A7C15ull;
  return word ^ (word >> 32);
}

/// What a comparison found. Set all fields to zero, but `first_index` to ~0, before the first
/// comparison.
struct PatternMismatch {
  unsigned long long count;        ///< words that differ
  unsigned long long first_index;  ///< lowest index that differs; ~0 if none
};
/// The value to start from.
constexpr PatternMismatch no_mismatch() { return {0, ~0ull}; }

/// Writes pattern_word(first_index + i, seed) to words[i], i < count.
cudaError_t fill_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                         std::uint64_t seed, cudaStream_t stream);
/// Compares words[i] with pattern_word(first_index + i, seed), i < count; adds what differs to
/// *mismatch, which is device memory. `words` may lie on a peer: then the SMs load over the link.
cudaError_t check_pattern(const std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                          std::uint64_t seed, PatternMismatch* mismatch, cudaStream_t stream);
/// Copies count words with the SMs: loads from `source`, stores to `target`; either may lie on a
/// peer.
cudaError_t copy_words(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                       cudaStream_t stream);

}  // namespace conformance::kernels
