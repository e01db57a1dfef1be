#include "suites/cublas/checksums.h"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/checksum.h"
#include "kernels/mix.h"

namespace conformance::cublas {
namespace {

constexpr unsigned kWords = 6;
constexpr unsigned kColumns = 5;
constexpr std::uint64_t kSign = std::uint64_t{1} << 63;

/// A matrix of random words, and its sums.
struct Matrix {
  std::vector<std::uint64_t> words;

  explicit Matrix(std::uint64_t seed) {
    for (unsigned i = 0; i < kWords * kColumns; ++i) words.push_back(kernels::mix(seed + i));
  }
  std::uint64_t& at(unsigned row, unsigned column) { return words[column * kWords + row]; }
  std::vector<unsigned long long> sums() const {
    std::vector<unsigned long long> result(kWords + kColumns);
    for (unsigned i = 0; i < words.size(); ++i) {
      const std::uint64_t term = kernels::checksum_term(words[i], i);
      result[i % kWords] += term;
      result[kWords + i / kWords] += term;
    }
    return result;
  }
  ChecksumDifference against(const Matrix& right) const {
    return compare_checksums(sums(), right.sums(), kWords);
  }
};

TEST(ChecksumTerm, CanBeUndone) {
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::uint64_t word = kernels::mix(i);
    const auto place = static_cast<std::uint32_t>(kernels::mix(~i));
    EXPECT_EQ(kernels::checksum_word(kernels::checksum_term(word, place), place), word);
  }
}

TEST(ChecksumTerm, HardlyEverChangesBySuchAmountsThatTwoChangesCancelEachOther) {
  // Signs and lowest bits of two doubles: in plain sums of the words each would cancel the other.
  for (const std::uint64_t change : {kSign, std::uint64_t{1}}) {
    constexpr unsigned kChanges = 4096;
    std::map<std::uint64_t, unsigned> amounts;
    for (unsigned i = 0; i < kChanges; ++i) {
      const std::uint64_t word = kernels::mix(i);
      ++amounts[kernels::checksum_term(word ^ change, i) - kernels::checksum_term(word, i)];
    }
    std::uint64_t cancelling = 0;
    for (const auto& [amount, count] : amounts) {
      const auto opposite = amounts.find(-amount);
      if (opposite != amounts.end()) cancelling += std::uint64_t{count} * opposite->second;
    }
    // Of all ordered pairs, less than one in 2^16.
    EXPECT_LT(cancelling, (std::uint64_t{kChanges} * kChanges) >> 16);
  }
}

TEST(Checksums, OfTheSameMatrixAreTheSame) { EXPECT_FALSE(Matrix(1).against(Matrix(1)).any()); }

TEST(Checksums, TellWhichWordIsWrongAndWhatItIs) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    const Matrix right(bit);
    Matrix wrong(bit);
    const unsigned row = bit % kWords;
    const unsigned column = bit % kColumns;
    wrong.at(row, column) ^= std::uint64_t{1} << bit;
    const ChecksumDifference found = wrong.against(right);
    EXPECT_EQ(found.rows, 1U);
    EXPECT_EQ(found.columns, 1U);
    EXPECT_EQ(found.row, row);
    EXPECT_EQ(found.column, column);
    ASSERT_TRUE(found.change.has_value());
    EXPECT_EQ(changed_word(right.words[column * kWords + row], *found.change, kWords, row, column),
              wrong.at(row, column));
  }
}

TEST(Checksums, FindErrorsThatCompensateEachOther) {
  const Matrix right(7);
  // One word too large by what the other is too small.
  Matrix wrong(7);
  wrong.at(1, 2) += 1000;
  wrong.at(4, 2) -= 1000;
  EXPECT_EQ(wrong.against(right).columns, 1U);
  EXPECT_EQ(wrong.against(right).rows, 2U);
  // The same at the corners of a rectangle, where sums of the words would all be right.
  wrong.at(1, 3) -= 1000;
  wrong.at(4, 3) += 1000;
  EXPECT_EQ(wrong.against(right).columns, 2U);
  EXPECT_EQ(wrong.against(right).rows, 2U);
  // All signs of such a rectangle.
  Matrix turned(7);
  for (const unsigned row : {1U, 4U}) {
    for (const unsigned column : {2U, 3U}) turned.at(row, column) ^= kSign;
  }
  EXPECT_EQ(turned.against(right).columns, 2U);
  EXPECT_EQ(turned.against(right).rows, 2U);
}

TEST(Checksums, FindWordsInEachOthersPlaces) {
  const Matrix right(9);
  Matrix wrong(9);
  std::swap(wrong.at(0, 0), wrong.at(5, 4));
  const ChecksumDifference found = wrong.against(right);
  EXPECT_EQ(found.rows, 2U);
  EXPECT_EQ(found.columns, 2U);
  ASSERT_TRUE(found.change.has_value()) << "each is alone in its row and column";
  EXPECT_EQ(found.row, 0U);
  EXPECT_EQ(found.column, 0U);
  EXPECT_EQ(changed_word(right.words[0], *found.change, kWords, 0, 0), wrong.at(0, 0));
}

TEST(Checksums, SayWhereToLookIfMuchIsWrong) {
  const Matrix right(11);
  Matrix wrong(11);
  for (unsigned row = 2; row < kWords; ++row) {
    for (unsigned column = 3; column < kColumns; ++column) wrong.at(row, column) = ~0ULL;
  }
  const ChecksumDifference found = wrong.against(right);
  EXPECT_EQ(found.rows, kWords - 2);
  EXPECT_EQ(found.columns, kColumns - 3);
  EXPECT_EQ(found.row, 2U);
  EXPECT_EQ(found.column, 3U);
  EXPECT_FALSE(found.change.has_value());
}

}  // namespace
}  // namespace conformance::cublas
