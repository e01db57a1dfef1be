#include "suites/cublas/throughput_limit.h"

#include <vector>

#include <gtest/gtest.h>

namespace conformance::cublas {
namespace {

/// What NVIDIA's data sheets say of a product, with the boost clock for which they say it.
struct Product {
  const char* name;
  int major, minor, multiprocessors, clock_mhz;
  Arithmetic arithmetic;
  double tera;
};

TEST(ThroughputLimit, IsWhatDataSheetsGiveAsThePeak) {
  using enum Arithmetic;
  const std::vector<Product> products{
      {"Tesla V100 SXM2", 7, 0, 80, 1530, fp64, 7.8},
      {"Tesla V100 SXM2", 7, 0, 80, 1530, fp32, 15.7},
      {"Tesla V100 SXM2", 7, 0, 80, 1530, fp16, 125},
      {"Jetson AGX Xavier", 7, 2, 8, 1377, fp16, 11.3},
      {"Jetson AGX Xavier", 7, 2, 8, 1377, int8, 22.6},
      {"T4", 7, 5, 40, 1590, fp32, 8.1},
      {"T4", 7, 5, 40, 1590, fp16, 65},
      {"T4", 7, 5, 40, 1590, int8, 130},
      {"A100", 8, 0, 108, 1410, fp64, 19.5},
      {"A100", 8, 0, 108, 1410, fp32, 19.5},
      {"A100", 8, 0, 108, 1410, tf32, 156},
      {"A100", 8, 0, 108, 1410, fp16, 312},
      {"A100", 8, 0, 108, 1410, bf16, 312},
      {"A100", 8, 0, 108, 1410, int8, 624},
      {"A40", 8, 6, 84, 1740, fp32, 37.4},
      {"A40", 8, 6, 84, 1740, tf32, 74.8},
      {"A40", 8, 6, 84, 1740, fp16, 149.7},
      {"A40", 8, 6, 84, 1740, bf16, 149.7},
      {"A40", 8, 6, 84, 1740, int8, 299.3},
      {"Jetson AGX Orin", 8, 7, 16, 1300, fp32, 5.3},
      {"Jetson AGX Orin", 8, 7, 16, 1300, int8, 85},
      {"RTX 6000 Ada", 8, 9, 142, 2505, fp32, 91.1},
      {"RTX 6000 Ada", 8, 9, 142, 2505, tf32, 182.1},
      {"RTX 6000 Ada", 8, 9, 142, 2505, fp16, 364.2},
      {"RTX 6000 Ada", 8, 9, 142, 2505, fp8, 728.5},
      {"GeForce RTX 4090", 8, 9, 128, 2520, int8, 660.6},
      {"GeForce RTX 4090", 8, 9, 128, 2520, fp64, 1.29},
      // Its two sets of figures are for two clocks.
      {"H100 SXM5", 9, 0, 132, 1980, fp64, 66.9},
      {"H100 SXM5", 9, 0, 132, 1980, fp32, 66.9},
      {"H100 SXM5", 9, 0, 132, 1830, tf32, 494.7},
      {"H100 SXM5", 9, 0, 132, 1830, fp16, 989.4},
      {"H100 SXM5", 9, 0, 132, 1830, bf16, 989.4},
      {"H100 SXM5", 9, 0, 132, 1830, int8, 1978.9},
      {"H100 SXM5", 9, 0, 132, 1830, fp8, 1978.9},
      {"B200", 10, 0, 148, 1965, fp64, 37},
      {"B200", 10, 0, 148, 1965, fp32, 75},
      {"RTX PRO 6000 Blackwell", 12, 0, 188, 2617, fp32, 126},
      {"RTX PRO 6000 Blackwell", 12, 0, 188, 2617, tf32, 251.9},
      {"RTX PRO 6000 Blackwell", 12, 0, 188, 2617, bf16, 503.8},
      {"GeForce RTX 5090", 12, 0, 170, 2407, int8, 838},
  };
  for (const Product& product : products) {
    const auto limit = throughput_limit(product.major, product.minor, product.arithmetic,
                                        product.multiprocessors, product.clock_mhz);
    ASSERT_TRUE(limit.has_value()) << product.name;
    EXPECT_NEAR(limit->value, product.tera, product.tera * 0.01) << product.name;
  }
}

/// Totals of one GPU at some clock: of fp32, and of a product.
struct Totals {
  const char* name;
  int major, minor;
  double fp32;
  Arithmetic arithmetic;
  double tera;
};

TEST(ThroughputLimit, HasTheRatiosOfPublishedTotals) {
  using enum Arithmetic;
  const std::vector<Totals> published{
      {"H100 SXM5", 9, 0, 66.9, tf32, 494.7 * 1980 / 1830},
      {"B200", 10, 0, 75, fp64, 37},
      {"GB300", 10, 3, 80, tf32, 1250},
      {"GB300", 10, 3, 80, fp16, 2500},
      {"GB300", 10, 3, 80, bf16, 2500},
      {"GB300", 10, 3, 80, int8, 165},
      {"GB300", 10, 3, 80, fp8, 5000},
      // Of sparse fp4, of which dense fp8 is a quarter and fp16 an eighth.
      {"Jetson T5000", 11, 0, 20 * 1570 * 256e-6, fp8, 2070.0 / 4},
      {"Jetson T5000", 11, 0, 20 * 1570 * 256e-6, bf16, 2070.0 / 8},
      {"GeForce RTX 5070", 12, 0, 30.9, fp8, 988.0 / 4},
      {"GB10", 12, 1, 31, fp8, 1000.0 / 4},
      {"GB10", 12, 1, 31, fp16, 1000.0 / 8},
  };
  for (const Totals& totals : published) {
    const auto rate = operation_rate(totals.major, totals.minor, totals.arithmetic);
    const auto fp32_rate = operation_rate(totals.major, totals.minor, fp32);
    ASSERT_TRUE(rate && fp32_rate) << totals.name;
    EXPECT_NEAR(rate->per_clock / fp32_rate->per_clock / (totals.tera / totals.fp32), 1, 0.04)
        << totals.name;
  }
}

TEST(ThroughputLimit, IsThereOnlyWhereItsSourceIs) {
  EXPECT_FALSE(throughput_limit(7, 0, Arithmetic::bf16, 80, 1530).has_value());
  EXPECT_FALSE(throughput_limit(8, 0, Arithmetic::fp8, 108, 1410).has_value());
  for (const auto& [major, minor] : {std::pair{6, 1}, {8, 7}, {99, 0}}) {
    EXPECT_FALSE(operation_rate(major, minor, Arithmetic::fp16).has_value()) << major << minor;
  }
  EXPECT_FALSE(throughput_limit(9, 0, Arithmetic::fp16, 132, 0).has_value()) << "no clock known";
  EXPECT_FALSE(throughput_limit(9, 0, Arithmetic::fp16, 0, 1830).has_value());
}

TEST(ReachedShare, IsThereOnlyWhereItWasMeasured) {
  const auto share = [](int major, int minor, Arithmetic arithmetic) {
    const auto found = reached_share(major, minor, arithmetic);
    return found ? found->share : 0;
  };
  EXPECT_EQ(share(8, 0, Arithmetic::bf16), 0.811);
  EXPECT_EQ(share(9, 0, Arithmetic::fp8), 0.709);
  EXPECT_EQ(share(8, 0, Arithmetic::fp8), 0);
  EXPECT_EQ(share(9, 0, Arithmetic::fp16), 0);
  EXPECT_EQ(share(12, 0, Arithmetic::bf16), 0);
}

TEST(ThroughputLimit, SaysHowItCameAbout) {
  const auto limit = throughput_limit(9, 0, Arithmetic::fp64, 132, 1980);
  ASSERT_TRUE(limit.has_value());
  EXPECT_EQ(
      limit->source,
      "132 multiprocessors x 1980 MHz x 256 operations per clock (NVIDIA H100 Tensor Core GPU "
      "Architecture, table 2)");
}

}  // namespace
}  // namespace conformance::cublas
