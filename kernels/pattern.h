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

/// What comparisons found. Must be no_mismatch() before the first one.
struct PatternMismatch {
  static constexpr unsigned kSamples = 8;
  struct Sample {
    unsigned long long index;
    unsigned long long found;
  };
  unsigned long long count;           ///< words that differ
  unsigned long long first_index;     ///< lowest index that differs; ~0 if none
  unsigned long long differing_bits;  ///< every bit that differs in any word
  unsigned long long sampled;         ///< threads that had a sample to give; may exceed kSamples
  Sample samples[kSamples];           ///< words that differ, with what was loaded
};
/// The value to start from.
constexpr PatternMismatch no_mismatch() { return {0, ~0ull, 0, 0, {}}; }

/// Writes pattern_word(first_index + i, seed) ^ flip to words[i], i < count. With ~0 for `flip` it
/// is the pattern's complement.
cudaError_t fill_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                         std::uint64_t seed, cudaStream_t stream, std::uint64_t flip = 0);
/// Compares words[i] with pattern_word(first_index + i, seed) ^ flip, i < count; adds what differs
/// to *mismatch, which is device memory. `words` may lie on a peer: then the SMs load over the
/// link.
cudaError_t check_pattern(const std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                          std::uint64_t seed, PatternMismatch* mismatch, cudaStream_t stream,
                          std::uint64_t flip = 0);
/// Copies count words with the SMs: loads from `source`, stores to `target`; either may lie on a
/// peer.
cudaError_t copy_words(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                       cudaStream_t stream);

}  // namespace conformance::kernels
