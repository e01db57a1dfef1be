#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/mix.h"

namespace conformance::kernels {

/// What memory is filled with. Each is a function of a word's number, so nothing has to be read to
/// know what a word should be.
enum class PatternKind : int {
  /// For one seed no two numbers share a value (multiplication by an odd constant and an xor-shift
  /// are both bijections of 64 bits), so a word that landed elsewhere is seen as well as one that
  /// was lost.
  address,
  /// The output of SplitMix64: no visible structure, and no two numbers share a value either.
  random,
  /// One bit set, the next one in each next word.
  walking,
  /// Alternating bits, which are the other way round in blocks of kRowBytes whose number has an odd
  /// number of bits set: two blocks whose numbers differ in one bit are each other's complement,
  /// whichever bits of an address select the row.
  rows,
};

/// What a bank has open at a time: the page of a pseudo channel of HBM2 and HBM3 (JESD235,
/// JESD238).
inline constexpr std::size_t kRowBytes = 1024;

/// Word `index` of a pattern.
__host__ __device__ constexpr std::uint64_t pattern_word(PatternKind kind, std::uint64_t index,
                                                         std::uint64_t seed) {
  switch (kind) {
    case PatternKind::address: {
      const std::uint64_t word = (index + seed) * 0x9E3779B97F4A7C15ull;
      return word ^ (word >> 32);
    }
    case PatternKind::random:
      return mix(index + seed);
    case PatternKind::walking:
      return 1ull << ((index + seed) % 64);
    case PatternKind::rows: {
      // The parity of the row's number, by folding.
      std::uint64_t row = index / (kRowBytes / sizeof(std::uint64_t)) + seed;
      for (int half = 32; half > 0; half /= 2) row ^= row >> half;
      return 0x5555555555555555ull << (row & 1);
    }
  }
  return 0;
}
__host__ __device__ constexpr std::uint64_t pattern_word(std::uint64_t index, std::uint64_t seed) {
  return pattern_word(PatternKind::address, index, seed);
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
  unsigned long long last_index;      ///< highest index that differs; 0 if none
  unsigned long long differing_bits;  ///< every bit that differs in any word
  unsigned long long sampled;         ///< threads that had a sample to give; may exceed kSamples
  Sample samples[kSamples];           ///< words that differ, with what was loaded
};
/// The value to start from.
constexpr PatternMismatch no_mismatch() { return {0, ~0ull, 0, 0, 0, {}}; }

/// Writes pattern_word(kind, first_index + i, seed) ^ flip to words[i], i < count. With ~0 for
/// `flip` it is the pattern's complement.
cudaError_t fill_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                         std::uint64_t seed, cudaStream_t stream, std::uint64_t flip = 0,
                         PatternKind kind = PatternKind::address);
/// Compares words[i] with pattern_word(kind, first_index + i, seed) ^ flip, i < count; adds what
/// differs to *mismatch, which is device memory. `words` may lie on a peer: then the SMs load over
/// the link.
cudaError_t check_pattern(const std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                          std::uint64_t seed, PatternMismatch* mismatch, cudaStream_t stream,
                          std::uint64_t flip = 0, PatternKind kind = PatternKind::address);
/// Compares as check_pattern does with the address pattern, and replaces each word by its expected
/// value's complement right after it was read: block after block from the lowest address up, or
/// from the highest down, as far as a GPU starts its blocks in order.
cudaError_t invert_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                           std::uint64_t seed, std::uint64_t flip, bool upwards,
                           PatternMismatch* mismatch, cudaStream_t stream);
/// Copies count words with the SMs: loads from `source`, stores to `target`; either may lie on a
/// peer.
cudaError_t copy_words(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                       cudaStream_t stream);

}  // namespace conformance::kernels
