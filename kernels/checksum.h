#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// A column-major matrix without gaps, seen as words of 64 bits: the type of its elements does not
/// matter. It begins at a multiple of 16 bytes, and so does each column.
struct WordMatrix {
  const void* data;
  unsigned words;  ///< in a column; even
  unsigned columns;
};

/// How many sums a matrix has: one for each row of words, then one for each column.
constexpr std::size_t checksums_of(const WordMatrix& matrix) {
  return std::size_t{matrix.words} + matrix.columns;
}

// Odd, so that multiplication modulo 2^32 can be undone.
inline constexpr std::uint32_t kPlaceFactor = 0x9E3779B9;
inline constexpr std::uint32_t kFactorA = 0xD2511F53;
inline constexpr std::uint32_t kInverseA = 0x991A7CDB;
inline constexpr std::uint32_t kFactorB = 0xCD9E8D57;
inline constexpr std::uint32_t kInverseB = 0x6D7CAE67;
static_assert(kFactorA * kInverseA == 1 && kFactorB * kInverseB == 1);

/// A word as a term of the sums. `place` is column·words + row, modulo 2^32. For each place this is
/// a bijection of the word, so that a word that is alone wrong in its row or in its column never
/// goes unseen, and is known from the change of the sum (checksum_word). By how much a change of a
/// word changes its term depends on its other bits and on the place: two changes cancel each other
/// with a chance of less than 2^-16. Four words at the corners of a rectangle, the fewest that
/// leave no row and no column with one, go unseen if three such chances come together.
///
/// It is two rounds of a Feistel network whose round function is the upper half of a product, as in
/// Philox (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC11).
__host__ __device__ constexpr std::uint64_t checksum_term(std::uint64_t word, std::uint32_t place) {
  const std::uint32_t low = static_cast<std::uint32_t>(word) ^ place * kPlaceFactor;
  const std::uint64_t first = std::uint64_t{low} * kFactorA;
  const auto high = static_cast<std::uint32_t>((word ^ first) >> 32);
  return std::uint64_t{high} * kFactorB ^ first << 32;
}

/// The word of which checksum_term makes `term`.
__host__ __device__ constexpr std::uint64_t checksum_word(std::uint64_t term, std::uint32_t place) {
  const auto high = static_cast<std::uint32_t>(term) * kInverseB;
  const std::uint64_t second = std::uint64_t{high} * kFactorB;
  const auto low = static_cast<std::uint32_t>((term ^ second) >> 32) * kInverseA;
  const std::uint64_t first = std::uint64_t{low} * kFactorA;
  return (std::uint64_t{high} << 32 ^ (first & 0xFFFFFFFF00000000)) | (low ^ place * kPlaceFactor);
}

/// Adds the term of each word to the sum of its row and to that of its column, modulo 2^64: the
/// order of the additions does not matter.
cudaError_t add_checksums(const WordMatrix& matrix, unsigned long long* sums, cudaStream_t stream);

}  // namespace conformance::kernels
