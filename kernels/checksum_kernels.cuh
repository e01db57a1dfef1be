#pragma once

#include "kernels/checksum.h"

namespace conformance::kernels {

// A block sums up a tile of 256 words x 64 columns. Each warp takes every fourth column, and a
// thread two neighbouring words of each 64, so that a warp reads 512 bytes at a time. Blocks are
// small so that they find room where the blocks of a matrix product end.
inline constexpr unsigned kSumThreads = 128;
inline constexpr unsigned kSumLanes = 32;
inline constexpr unsigned kSumWarps = kSumThreads / kSumLanes;
inline constexpr unsigned kSumWords = 256;
inline constexpr unsigned kSumColumns = 64;
inline constexpr unsigned kSumChunks = kSumWords / (2 * kSumLanes);

#ifdef __CUDACC__
#define CONFORMANCE_UNROLLED _Pragma("unroll")
#else
#define CONFORMANCE_UNROLLED
#endif

__global__ void add_checksums_kernel(const ulonglong2* matrix, unsigned words, unsigned columns,
                                     unsigned long long* sums) {
  __shared__ unsigned long long of_rows[kSumWarps][kSumWords];
  __shared__ unsigned long long of_columns[kSumColumns][kSumLanes + 1];  // one: no bank conflicts
  const unsigned lane = threadIdx.x % kSumLanes;
  const unsigned warp = threadIdx.x / kSumLanes;
  const unsigned tiles = (words + kSumWords - 1) / kSumWords;
  // The end first: what was written last may still be in the cache.
  const unsigned tile = gridDim.x - 1 - blockIdx.x;
  const unsigned tile_word = tile % tiles * kSumWords;
  const unsigned first_word = tile_word + 2 * lane;
  const unsigned first_column = tile / tiles * kSumColumns;

  std::uint64_t row[kSumChunks][2] = {};
  CONFORMANCE_UNROLLED
  for (unsigned i = 0; i < kSumColumns / kSumWarps; ++i) {
    const unsigned column = first_column + warp + i * kSumWarps;
    const std::size_t begin = static_cast<std::size_t>(column) * words;
    // All loads before the first use, so that they are under way together.
    ulonglong2 pair[kSumChunks] = {};
    CONFORMANCE_UNROLLED
    for (unsigned chunk = 0; chunk < kSumChunks; ++chunk) {
      const unsigned word = first_word + chunk * 2 * kSumLanes;
      if (word < words && column < columns) pair[chunk] = matrix[(begin + word) / 2];
    }
    std::uint64_t in_column = 0;
    CONFORMANCE_UNROLLED
    for (unsigned chunk = 0; chunk < kSumChunks; ++chunk) {
      const unsigned word = first_word + chunk * 2 * kSumLanes;
      if (word >= words || column >= columns) continue;
      const auto place = static_cast<std::uint32_t>(begin + word);
      const std::uint64_t x = checksum_term(pair[chunk].x, place);
      const std::uint64_t y = checksum_term(pair[chunk].y, place + 1);
      row[chunk][0] += x;
      row[chunk][1] += y;
      in_column += x + y;
    }
    of_columns[warp + i * kSumWarps][lane] = in_column;
  }
  CONFORMANCE_UNROLLED
  for (unsigned chunk = 0; chunk < kSumChunks; ++chunk) {
    const unsigned word = 2 * (chunk * kSumLanes + lane);
    of_rows[warp][word] = row[chunk][0];
    of_rows[warp][word + 1] = row[chunk][1];
  }
  __syncthreads();

  for (unsigned word = threadIdx.x; word < kSumWords; word += kSumThreads) {
    unsigned long long sum = 0;
    for (unsigned i = 0; i < kSumWarps; ++i) sum += of_rows[i][word];
    if (tile_word + word < words) atomicAdd(&sums[tile_word + word], sum);
  }
  constexpr unsigned kEach = kSumThreads / kSumColumns;  // threads to a column
  const unsigned own_column = threadIdx.x / kEach;
  unsigned long long sum = 0;
  for (unsigned i = threadIdx.x % kEach; i < kSumLanes; i += kEach) {
    sum += of_columns[own_column][i];
  }
  if (first_column + own_column < columns) {
    atomicAdd(&sums[words + first_column + own_column], sum);
  }
}

}  // namespace conformance::kernels
