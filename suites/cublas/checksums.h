#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace conformance::cublas {

/// How the checksums of a matrix (kernels/checksum.h) differ from those it should have.
struct ChecksumDifference {
  unsigned rows = 0;     ///< whose sums differ
  unsigned columns = 0;  ///< whose sums differ
  // A wrong word: certain if its row and its column changed by the same amount, otherwise where the
  // first row and the first column that differ meet.
  unsigned row = 0;
  unsigned column = 0;
  std::optional<std::uint64_t> change;  ///< of the word's term, if it is certain

  bool any() const { return rows > 0 || columns > 0; }
};

/// `words` is how many rows of words the matrix has.
ChecksumDifference compare_checksums(std::span<const unsigned long long> found,
                                     std::span<const unsigned long long> expected, unsigned words);

/// The word that is at a place where `original` should be, if its term changed by `change`.
std::uint64_t changed_word(std::uint64_t original, std::uint64_t change, unsigned words,
                           unsigned row, unsigned column);

}  // namespace conformance::cublas
