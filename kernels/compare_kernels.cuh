#pragma once

#include "kernels/compare.h"
#include "kernels/grid.cuh"
#include "kernels/mix.h"

namespace conformance::kernels {

// Sixteen bytes a thread and step where all three agree on alignment; the launcher sees to that and
// leaves the bytes after the last whole chunk to the first threads.

inline __device__ bool differ(uint4 left, uint4 right) {
  return left.x != right.x || left.y != right.y || left.z != right.z || left.w != right.w;
}

/// `right` may be null: then every byte of `left` is compared with `expected`.
__global__ void compare_bytes_kernel(const unsigned char* left, const unsigned char* right,
                                     unsigned char expected, std::size_t chunks, std::size_t count,
                                     Mismatch* mismatch) {
  const unsigned word = 0x01010101u * expected;
  const uint4 constant = make_uint4(word, word, word, word);
  for (std::size_t i = grid_index(); i < chunks; i += grid_stride()) {
    const uint4 found = reinterpret_cast<const uint4*>(left)[i];
    const uint4 wanted = right != nullptr ? reinterpret_cast<const uint4*>(right)[i] : constant;
    if (!differ(found, wanted)) continue;
    for (std::size_t byte = i * sizeof(uint4); byte < (i + 1) * sizeof(uint4); ++byte) {
      if (left[byte] != (right != nullptr ? right[byte] : expected)) note_mismatch(mismatch, byte);
    }
  }
  for (std::size_t byte = chunks * sizeof(uint4) + grid_index(); byte < count;
       byte += grid_stride()) {
    if (left[byte] != (right != nullptr ? right[byte] : expected)) note_mismatch(mismatch, byte);
  }
}

__global__ void check_around_matrix_kernel(const unsigned char* buffer, unsigned element_bytes,
                                           MatrixLayout layout, unsigned stored_columns,
                                           unsigned char expected, Mismatch* mismatch) {
  const std::size_t count = static_cast<std::size_t>(layout.leading) * stored_columns;
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    if (i % layout.leading < layout.rows && i / layout.leading < layout.columns) continue;
    bool same = true;
    for (unsigned byte = 0; byte < element_bytes; ++byte) {
      same = same && buffer[i * element_bytes + byte] == expected;
    }
    if (!same) note_mismatch(mismatch, i);
  }
}

__global__ void hash_words_kernel(const std::uint64_t* words, std::size_t count,
                                  unsigned long long* hash) {
  // A sum, so that the order in which threads come does not matter; each word is mixed with its
  // place first, so that neither two changes nor two words that change places cancel out.
  unsigned long long sum = 0;
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) sum += mix(words[i] ^ mix(i));
  atomicAdd(hash, sum);
}

}  // namespace conformance::kernels
