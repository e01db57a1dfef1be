#include "kernels/double_double.h"

#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

#include "kernels/mix.h"

namespace conformance::kernels {
namespace {

using Wide = __float128;

/// A number of 53 bits between -2^exponent and 2^exponent.
double number(std::uint64_t seed, int exponent) {
  const std::uint64_t word = mix(seed);
  return std::ldexp(static_cast<double>(static_cast<std::int64_t>(word) >> 10), exponent - 53);
}

Wide magnitude(Wide value) { return value < 0 ? -value : value; }

TEST(DoubleDouble, KeepsWhatDoubleLoses) {
  // (2^30 + 1)² - 2^60 - 2^31 + 2^-50: double loses the last bit of the square, and the last term.
  DoubleDouble sum;
  add_product(sum, 0x1p30 + 1, 0x1p30 + 1);
  add_product(sum, 0x1p-25, 0x1p-25);
  add_product(sum, -0x1p30, 0x1p30);
  add_product(sum, -0x1p31, 1);
  EXPECT_EQ(sum.high, 0);
  EXPECT_EQ(sum.low, 1 + 0x1p-50);
}

// The products of 53-bit numbers have 106 bits; up to 64 of them, of like exponents, sum up without
// rounding in the 113 bits of __float128.
TEST(DoubleDouble, IsExactWhereItsBoundIsBelowItsLastBit) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    constexpr unsigned kDepth = 64;
    DoubleDouble sum;
    Wide exact = 0;
    Wide absolute = 0;
    for (unsigned i = 0; i < kDepth; ++i) {
      const double a = number(seed * 1000 + 2 * i, 0);
      // Every second product nearly cancels the one before it.
      const double b = i % 2 == 0 ? number(seed * 1000 + 2 * i + 1, 0)
                                  : -number(seed * 1000 + 2 * i - 1, 0) * (1 + 0x1p-40);
      add_product(sum, a, b);
      const Wide term = static_cast<Wide>(a) * static_cast<Wide>(b);
      exact += term;
      absolute += magnitude(term);
    }
    const Wide error = magnitude(static_cast<Wide>(sum.high) + static_cast<Wide>(sum.low) - exact);
    const double gamma = kDepth * 0x1p-53 / (1 - kDepth * 0x1p-53);
    EXPECT_LE(static_cast<double>(error / absolute), gamma * gamma) << "seed " << seed;
  }
}

}  // namespace
}  // namespace conformance::kernels
