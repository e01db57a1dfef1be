#include "fixtures/figure.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

namespace conformance {
namespace {

TEST(FigureStatistics, MedianOfAnOddCountIsTheMiddleSample) {
  EXPECT_EQ(median(std::array{9.0, 1.0, 5.0}), 5.0);
}

TEST(FigureStatistics, MedianOfAnEvenCountIsTheMeanOfTheMiddleTwo) {
  EXPECT_EQ(median(std::array{4.0, 1.0, 100.0, 2.0}), 3.0);
}

TEST(FigureStatistics, OneOutlierDoesNotMoveTheMedian) {
  EXPECT_EQ(median(std::array{5.0, 5.0, 5.0, 5.0, 5000.0}), 5.0);
}

TEST(FigureStatistics, NoSamplesGiveNoNumber) {
  EXPECT_TRUE(std::isnan(median({})));
  EXPECT_TRUE(std::isnan(relative_spread({})));
}

TEST(FigureStatistics, SpreadIsRangeOverMedian) {
  EXPECT_DOUBLE_EQ(relative_spread(std::array{9.0, 10.0, 12.0}), 0.3);
  EXPECT_TRUE(std::isnan(relative_spread(std::array{-1.0, 0.0, 1.0})));
}

}  // namespace
}  // namespace conformance
