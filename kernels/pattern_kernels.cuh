#pragma once

#include "kernels/grid.cuh"
#include "kernels/pattern.h"

namespace conformance::kernels {

// Two words a thread and step: 16-byte accesses, which memory and links both need for full speed.
// The launcher guarantees 16-byte alignment; an odd last word is the first thread's.

__global__ void fill_pattern_kernel(ulonglong2* pairs, std::size_t count, std::uint64_t first_index,
                                    std::uint64_t seed) {
  const std::size_t whole = count / 2;
  for (std::size_t i = grid_index(); i < whole; i += grid_stride()) {
    ulonglong2 pair;
    pair.x = pattern_word(first_index + 2 * i, seed);
    pair.y = pattern_word(first_index + 2 * i + 1, seed);
    pairs[i] = pair;
  }
  if (count % 2 == 1 && grid_index() == 0) {
    reinterpret_cast<std::uint64_t*>(pairs)[count - 1] =
        pattern_word(first_index + count - 1, seed);
  }
}

__global__ void check_pattern_kernel(const ulonglong2* pairs, std::size_t count,
                                     std::uint64_t first_index, std::uint64_t seed,
                                     PatternMismatch* mismatch) {
  const std::size_t whole = count / 2;
  for (std::size_t i = grid_index(); i < whole; i += grid_stride()) {
    const ulonglong2 pair = pairs[i];
    const std::uint64_t index = first_index + 2 * i;
    if (pair.x != pattern_word(index, seed)) note_mismatch(mismatch, index);
    if (pair.y != pattern_word(index + 1, seed)) note_mismatch(mismatch, index + 1);
  }
  if (count % 2 == 1 && grid_index() == 0) {
    const std::uint64_t index = first_index + count - 1;
    if (reinterpret_cast<const std::uint64_t*>(pairs)[count - 1] != pattern_word(index, seed)) {
      note_mismatch(mismatch, index);
    }
  }
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
