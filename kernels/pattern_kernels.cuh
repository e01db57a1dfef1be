#pragma once

#include "kernels/grid.cuh"
#include "kernels/launch.h"
#include "kernels/pattern.h"

namespace conformance::kernels {

// Two words at a time: 16-byte accesses, which memory and links both need for full speed. The
// launcher guarantees 16-byte alignment. Blocks go through the memory tile by tile, each thread
// with all of its accesses to a tile under way at once; what is less than a tile is done word by
// word.

inline constexpr unsigned kPairsPerThread = 4;
inline constexpr std::size_t kPairsPerTile = std::size_t{kThreads} * kPairsPerThread;

template <PatternKind kKind>
__device__ ulonglong2 pattern_pair(std::uint64_t index, std::uint64_t seed, std::uint64_t flip) {
  ulonglong2 pair;
  pair.x = pattern_word(kKind, index, seed) ^ flip;
  pair.y = pattern_word(kKind, index + 1, seed) ^ flip;
  return pair;
}

template <PatternKind kKind>
__global__ void fill_pattern_kernel(ulonglong2* pairs, std::size_t count, std::uint64_t first_index,
                                    std::uint64_t seed, std::uint64_t flip) {
  const std::size_t tiles = count / 2 / kPairsPerTile;
  for (std::size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::size_t base = tile * kPairsPerTile + threadIdx.x;
    for (unsigned step = 0; step < kPairsPerThread; ++step) {
      const std::size_t i = base + step * kThreads;
      pairs[i] = pattern_pair<kKind>(first_index + 2 * i, seed, flip);
    }
  }
  auto* const words = reinterpret_cast<std::uint64_t*>(pairs);
  for (std::size_t i = 2 * tiles * kPairsPerTile + grid_index(); i < count; i += grid_stride()) {
    words[i] = pattern_word(kKind, first_index + i, seed) ^ flip;
  }
}

/// One thread's share of a comparison. It is kept by the thread and handed in once, so that memory
/// which is wrong throughout does not make every word an atomic operation on one address.
struct ThreadMismatch {
  unsigned long long count = 0;
  unsigned long long first_index = ~0ull;
  unsigned long long last_index = 0;
  unsigned long long first_found = 0;
  unsigned long long differing_bits = 0;

  __device__ void compare(std::uint64_t found, std::uint64_t expected, std::uint64_t index) {
    if (found == expected) return;
    if (index < first_index) {
      first_index = index;
      first_found = found;
    }
    if (index > last_index) last_index = index;
    ++count;
    differing_bits |= found ^ expected;
  }
  /// Not part of the loops that call it: they would hold all of this in registers. By value, since
  /// what is referred to lies in memory.
  __device__ __noinline__ void compare_pair(ulonglong2 found, ulonglong2 expected,
                                            std::uint64_t index) {
    compare(found.x, expected.x, index);
    compare(found.y, expected.y, index + 1);
  }

  __device__ void hand_in(PatternMismatch* total) const {
    if (count == 0) return;
    atomicAdd(&total->count, count);
    atomicMin(&total->first_index, first_index);
    atomicMax(&total->last_index, last_index);
    unsigned long long seen = atomicAdd(&total->differing_bits, 0ull);
    while ((seen | differing_bits) != seen) {
      seen = atomicCAS(&total->differing_bits, seen, seen | differing_bits);
    }
    const unsigned long long slot = atomicAdd(&total->sampled, 1ull);
    if (slot < PatternMismatch::kSamples) total->samples[slot] = {first_index, first_found};
  }
};

inline __device__ std::uint64_t difference(ulonglong2 found, ulonglong2 expected) {
  return (found.x ^ expected.x) | (found.y ^ expected.y);
}

/// A thread's part of a tile: its pairs are kThreads pairs apart.
struct ThreadTile {
  ulonglong2 pairs[kPairsPerThread];

  __device__ explicit ThreadTile(const ulonglong2* first) {
#pragma unroll
    for (unsigned step = 0; step < kPairsPerThread; ++step) pairs[step] = first[step * kThreads];
  }
  /// Compares all of them with the pattern, whose first word here has this index.
  template <PatternKind kKind>
  __device__ void compare(std::uint64_t index, std::uint64_t seed, std::uint64_t flip,
                          ThreadMismatch& own) const {
#pragma unroll
    for (unsigned step = 0; step < kPairsPerThread; ++step, index += 2 * kThreads) {
      own.compare_pair(pairs[step], pattern_pair<kKind>(index, seed, flip), index);
    }
  }
};

template <PatternKind kKind>
__global__ void check_pattern_kernel(const ulonglong2* pairs, std::size_t count,
                                     std::uint64_t first_index, std::uint64_t seed,
                                     std::uint64_t flip, PatternMismatch* mismatch) {
  ThreadMismatch own;
  const std::size_t tiles = count / 2 / kPairsPerTile;
  for (std::size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::size_t base = tile * kPairsPerTile + threadIdx.x;
    const ThreadTile found(pairs + base);
    std::uint64_t wrong = 0;
#pragma unroll
    for (unsigned step = 0; step < kPairsPerThread; ++step) {
      const std::uint64_t index = first_index + 2 * (base + step * kThreads);
      wrong |= difference(found.pairs[step], pattern_pair<kKind>(index, seed, flip));
    }
    if (wrong == 0) continue;
    found.compare<kKind>(first_index + 2 * base, seed, flip, own);
  }
  const auto* const words = reinterpret_cast<const std::uint64_t*>(pairs);
  for (std::size_t i = 2 * tiles * kPairsPerTile + grid_index(); i < count; i += grid_stride()) {
    own.compare(words[i], pattern_word(kKind, first_index + i, seed) ^ flip, first_index + i);
  }
  own.hand_in(mismatch);
}

/// Whether so much is wrong that counting on would take longer than the work: the threads of a grid
/// that has a block for each tile all have something to hand in.
inline __device__ bool enough_found(const PatternMismatch* mismatch) {
  constexpr unsigned long long kEnough = 1 << 16;
  return *static_cast<const volatile unsigned long long*>(&mismatch->count) >= kEnough;
}

/// `pairs` and `inverted` are the same memory: what is read, and what is written.
__global__ void invert_pattern_kernel(const ulonglong2* pairs, ulonglong2* inverted,
                                      std::size_t count, std::uint64_t first_index,
                                      std::uint64_t seed, std::uint64_t flip, bool upwards,
                                      PatternMismatch* mismatch) {
  constexpr PatternKind kKind = PatternKind::address;
  const std::size_t tiles = count / 2 / kPairsPerTile;
  for (std::size_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::size_t base = (upwards ? tile : tiles - 1 - tile) * kPairsPerTile + threadIdx.x;
    const ThreadTile found(pairs + base);
    const std::uint64_t index = first_index + 2 * base;
    std::uint64_t wrong = 0;
#pragma unroll
    for (unsigned step = 0; step < kPairsPerThread; ++step) {
      // Of what was found, not of what should have been: stores that need not wait for the loads
      // reach memory before them, which halves the speed of both.
      const ulonglong2 pair = found.pairs[step];
      inverted[base + step * kThreads] = make_ulonglong2(~pair.x, ~pair.y);
      wrong |= difference(pair, pattern_pair<kKind>(index + 2 * step * kThreads, seed, flip));
    }
    if (wrong == 0) continue;
    for (unsigned step = 0; step < kPairsPerThread; ++step) {
      inverted[base + step * kThreads] =
          pattern_pair<kKind>(index + 2 * step * kThreads, seed, ~flip);
    }
    if (enough_found(mismatch)) continue;
    ThreadMismatch own;
    found.compare<kKind>(index, seed, flip, own);
    own.hand_in(mismatch);
  }
  ThreadMismatch own;
  const auto* const words = reinterpret_cast<const std::uint64_t*>(pairs);
  for (std::size_t i = 2 * tiles * kPairsPerTile + grid_index(); i < count; i += grid_stride()) {
    const std::uint64_t expected = pattern_word(kKind, first_index + i, seed) ^ flip;
    own.compare(words[i], expected, first_index + i);
    reinterpret_cast<std::uint64_t*>(inverted)[i] = ~expected;
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
