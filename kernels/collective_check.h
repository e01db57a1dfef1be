#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <cuda_runtime_api.h>

#include "kernels/mix.h"

namespace conformance::kernels {

/// Types of elements, by NCCL's numbers (ncclDataType_t).
enum class CollectiveType : int {
  int8,
  uint8,
  int32,
  uint32,
  int64,
  uint64,
  float16,
  float32,
  float64,
  bfloat16,
  float8_e4m3,
  float8_e5m2
};
constexpr std::size_t bytes_of(CollectiveType type) {
  constexpr std::size_t kBytes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return kBytes[static_cast<int>(type)];
}

/// What a collective makes of the contributions of several ranks; `none` if it only moves them.
enum class Reduction : int { none, sum, prod, max, min, avg, premul_sum };

/// What each rank contributes at each index, and so what must come out. All of it is integers that
/// the type holds exactly, and so are the results, also those of some of the ranks in whatever
/// order: they are compared for equality. Made by contributions_for.
struct Contributions {
  CollectiveType type = CollectiveType::float32;
  Reduction reduction = Reduction::none;
  unsigned ranks = 1;
  /// Of sums and products: at each index one rank in so many contributes, the others the neutral
  /// element. More than 1 only for types that could not hold the result otherwise.
  unsigned stride = 1;
  /// Magnitudes are 1 to 2^bits, or for products the exponents 1 to bits; data that is moved or
  /// compared has so many random bits.
  int bits = 0;
  int spread_bits = -1;  ///< of averages: by how much the ranks differ; -1: not at all
  bool has_sign = true;
  /// What an average may be off by, as a share of it; 0: nothing.
  double tolerance = 0;
  std::uint64_t seed = 0;
};
/// Nothing if the type cannot hold any result: an average's sum over more ranks than its greatest
/// value.
std::optional<Contributions> contributions_for(CollectiveType type, Reduction reduction,
                                               unsigned ranks, std::uint64_t seed);

/// What a rank's contributions are multiplied with before they are added (Reduction::premul_sum).
__host__ __device__ constexpr int premultiplier(unsigned rank) {
  return 2 + static_cast<int>(rank & 1);
}

namespace detail {

__host__ __device__ constexpr std::uint64_t word_of_rank(std::uint64_t word, unsigned rank) {
  word = (word ^ (rank * 0x9E3779B97F4A7C15ull)) * 0xBF58476D1CE4E5B9ull;
  return word ^ (word >> 32);
}
/// 1 to 2^bits, from the upper bits.
__host__ __device__ constexpr std::int64_t magnitude(std::uint64_t word, int bits) {
  return static_cast<std::int64_t>(((word >> 1) >> (63 - bits)) + 1);
}
/// `word` is that of the index.
__host__ __device__ constexpr std::int64_t contribution(const Contributions& rules, unsigned rank,
                                                        std::uint64_t index, std::uint64_t word) {
  const std::uint64_t own = word_of_rank(word, rank);
  const bool idle = rules.stride > 1 && (index + rank) % rules.stride != 0;
  std::int64_t value = 0;
  switch (rules.reduction) {
    case Reduction::none:
    case Reduction::max:
    case Reduction::min:
      value = static_cast<std::int64_t>(own >> (64 - rules.bits));
      break;
    case Reduction::sum:
    case Reduction::premul_sum:
      if (idle) return 0;
      value = magnitude(own, rules.bits);
      break;
    case Reduction::prod:
      value = idle ? 1
                   : std::int64_t{1} << (1 + static_cast<unsigned>(own >> 40) %
                                                 static_cast<unsigned>(rules.bits));
      break;
    case Reduction::avg:
      value = magnitude(word, rules.bits);
      if (rules.spread_bits >= 0) {
        value += 2 * magnitude(word << 24, rules.spread_bits) *
                 static_cast<std::int64_t>((index + rank) % rules.ranks);
      }
      return value;
  }
  return rules.has_sign && (own & 1) != 0 ? -value : value;
}
__host__ __device__ constexpr std::uint64_t word_of_index(const Contributions& rules,
                                                          std::uint64_t index) {
  return mix(rules.seed ^ index);
}

}  // namespace detail

/// What `rank` contributes at `index`. Values of 64 bits without a sign are to be taken modulo
/// 2^64, here and below.
__host__ __device__ constexpr std::int64_t contribution(const Contributions& rules, unsigned rank,
                                                        std::uint64_t index) {
  return detail::contribution(rules, rank, index, detail::word_of_index(rules, index));
}

/// What the contributions of all ranks give at `index`.
__host__ __device__ constexpr std::int64_t reduced(const Contributions& rules,
                                                   std::uint64_t index) {
  const std::uint64_t word = detail::word_of_index(rules, index);
  if (rules.reduction == Reduction::avg) {
    // The sum is ranks · magnitude + 2 · spread · (0 + 1 + … + (ranks - 1)).
    std::int64_t value = detail::magnitude(word, rules.bits);
    if (rules.spread_bits >= 0) {
      value += detail::magnitude(word << 24, rules.spread_bits) * (rules.ranks - 1);
    }
    return value;
  }
  // Unsigned, so that what exceeds 2^63 is no overflow.
  auto result = static_cast<std::uint64_t>(detail::contribution(rules, 0, index, word));
  if (rules.reduction == Reduction::premul_sum) {
    result *= static_cast<std::uint64_t>(premultiplier(0));
  }
  for (unsigned rank = 1; rank < rules.ranks; ++rank) {
    const auto other = static_cast<std::uint64_t>(detail::contribution(rules, rank, index, word));
    const bool less = rules.has_sign
                          ? static_cast<std::int64_t>(other) < static_cast<std::int64_t>(result)
                          : other < result;
    switch (rules.reduction) {
      case Reduction::premul_sum:
        result += static_cast<std::uint64_t>(premultiplier(rank)) * other;
        break;
      case Reduction::prod:
        result *= other;
        break;
      case Reduction::max:
        result = less ? result : other;
        break;
      case Reduction::min:
        result = less ? other : result;
        break;
      default:
        result += other;
        break;
    }
  }
  return static_cast<std::int64_t>(result);
}

/// Where the elements that a rank receives come from: blocks of `count`, each from another rank, or
/// each reduced over all.
struct Origin {
  bool reduced = false;
  unsigned first_rank = 0;  ///< of block 0, unless reduced
  unsigned rank_step = 0;   ///< from block to block
  std::uint64_t count = 0;  ///< elements of a block
  std::uint64_t first =
      0;  ///< index, in what those ranks contribute, of each block's first element
};
__host__ __device__ constexpr std::int64_t expected_element(const Contributions& rules,
                                                            const Origin& origin,
                                                            std::uint64_t index) {
  // A division takes longer than all else.
  const std::uint64_t block = index < origin.count ? 0 : index / origin.count;
  const std::uint64_t at = origin.first + (index - block * origin.count);
  if (origin.reduced) return reduced(rules, at);
  return contribution(rules, origin.first_rank + static_cast<unsigned>(block) * origin.rank_step,
                      at);
}

/// What a check of a rank's memory found; device memory that starts as zeros.
struct CollectiveFaults {
  struct Places {
    unsigned long long count;
    unsigned long long last_from_end;  ///< ~ the lowest place
    __host__ __device__ unsigned long long first() const { return ~last_from_end; }
  };
  Places result;   ///< elements
  Places input;    ///< elements
  Places outside;  ///< bytes, counted from the first one that is compared
  /// One of the wrong elements of the result, and its bits.
  unsigned long long example, example_bits;
};

/// Bytes that must stay as they are, on both sides of a range that the result is part of.
struct Surroundings {
  std::size_t before, inside, after;  ///< how many bytes
  std::size_t lead;                   ///< from the start of what is inside to the result
  unsigned char value;                ///< what they all are
};

/// values[i] = contribution(rules, rank, i), i < count.
cudaError_t fill_contribution(void* values, std::size_t count, const Contributions& rules,
                              unsigned rank, cudaStream_t stream);
/// Compares result[0, received) with what must have come, the bytes around with what they were, and
/// input[0, sent), unless null, with what `rank` contributes.
cudaError_t check_collective(const void* result, std::size_t received, const Origin& origin,
                             const Surroundings& around, const void* input, std::size_t sent,
                             const Contributions& rules, unsigned rank, CollectiveFaults* faults,
                             cudaStream_t stream);

/// The value of an element of a floating-point type.
double float_value(CollectiveType type, unsigned long long bits);
/// The bits of the element that is exactly `value`.
unsigned long long element_bits(CollectiveType type, std::int64_t value);

}  // namespace conformance::kernels
