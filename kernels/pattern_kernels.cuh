#pragma once

#include "kernels/grid.cuh"
#include "kernels/pattern.h"

namespace conformance::kernels {

// Two words a thread and step: 16-byte accesses, which memory and links both need for full speed.
// The launcher guarantees 16-byte alignment; an odd last word is the first thread's.

__global__ void fill_pattern_kernel(ulonglong2* pairs, std::size_t count, std::uint64_t first_index,
                                    std::uint64_t seed, std::uint64_t flip) {
  const std::size_t whole = count / 2;
  for (std::size_t i = grid_index(); i < whole; i += grid_stride()) {
    ulonglong2 pair;
    pair.x = pattern_word(first_index + 2 * i, seed) ^ flip;
    pair.y = pattern_word(first_index + 2 * i + 1, seed) ^ flip;
    pairs[i] = pair;
  }
  if (count % 2 == 1 && grid_index() == 0) {
    reinterpret_cast<std::uint64_t*>(pairs)[count - 1] =
        pattern_word(first_index + count - 1, seed) ^ flip;
  }
}

/// One thread's share of a comparison. It is kept in registers and handed in once, so that memory
/// which is wrong throughout does not make every word an atomic operation on one address.
struct ThreadMismatch {
  unsigned long long count = 0;
  unsigned long long first_index = 0;
  unsigned long long first_found = 0;
  unsigned long long differing_bits = 0;

  __device__ void compare(std::uint64_t found, std::uint64_t expected, std::uint64_t index) {
    if (found == expected) return;
    if (count == 0) {
      first_index = index;
      first_found = found;
    }
    ++count;
    differing_bits |= found ^ expected;
  }

  __device__ void hand_in(PatternMismatch* total) const {
    if (count == 0) return;
    atomicAdd(&total->count, count);
    atomicMin(&total->first_index, first_index);
    unsigned long long seen = atomicAdd(&total->differing_bits, 0ull);
    while ((seen | differing_bits) != seen) {
      seen = atomicCAS(&total->differing_bits, seen, seen | differing_bits);
    }
    const unsigned long long slot = atomicAdd(&total->sampled, 1ull);
    if (slot < PatternMismatch::kSamples) total->samples[slot] = {first_index, first_found};
  }
};

__global__ void check_pattern_kernel(const ulonglong2* pairs, std::size_t count,
                                     std::uint64_t first_index, std::uint64_t seed,
                                     std::uint64_t flip, PatternMismatch* mismatch) {
  ThreadMismatch own;
  const std::size_t whole = count / 2;
  for (std::size_t i = grid_index(); i < whole; i += grid_stride()) {
    const ulonglong2 pair = pairs[i];
    const std::uint64_t index = first_index + 2 * i;
    own.compare(pair.x, pattern_word(index, seed) ^ flip, index);
    own.compare(pair.y, pattern_word(index + 1, seed) ^ flip, index + 1);
  }
  if (count % 2 == 1 && grid_index() == 0) {
    const std::uint64_t index = first_index + count - 1;
    own.compare(reinterpret_cast<const std::uint64_t*>(pairs)[count - 1],
                pattern_word(index, seed) ^ flip, index);
  }
  own.hand_in(mismatch);
}

__global__ void copy_words_kernel(ulonglong2* target, const ulonglong2* source, std::size_t count) {
  const std::size_t whole = count / 2;
  for (std::size_t i = grid_index(); i < whole; i += grid_stride()) target[i] = source[i];
  if (count % 2 == 1 && grid_index() == 0) {
    reinterpret_cast<std::uint64_t*>(target)[count - 1] =
        reinterpret_cast<const std::uint64_t*>(source)[count - 1];
  }
}

}  // namespace conformance::kernels
