// The references for matrix products, which judge everything that cuBLAS computes, run here against
// arithmetic that shares nothing with them: __float128, and integers of 128 bits.

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "fixtures/cuda_result.h"
#include "kernels/checksum.h"
#include "kernels/compare.h"
#include "kernels/matmul_reference.h"

namespace conformance::kernels {
namespace {

using Wide = __float128;

const Subject kSubject{"device", "GPU 0"};

/// The parts of op(X) as the product takes it, and of C.
double part(const MatrixValues& values, unsigned row, unsigned column, bool imaginary_part) {
  return matrix_value(imaginary_part ? imaginary(values) : values, row, column);
}

struct Reference {
  Wide value = 0, absolute = 0;
  void add(double a, double b, int sign = 1) {
    const Wide term = static_cast<Wide>(a) * static_cast<Wide>(b) * sign;
    value += term;
    absolute += term < 0 ? -term : term;
  }
};

/// A·B, element by element, as the definition has it.
Reference element(const Product& product, unsigned row, unsigned column, bool imaginary_part) {
  Reference sum;
  for (unsigned l = 0; l < product.k; ++l) {
    const auto a = [&](bool other) { return part(product.a, row, l, other); };
    const auto b = [&](bool other) { return part(product.b, l, column, other); };
    if (!product.complex) {
      sum.add(a(false), b(false));
    } else if (imaginary_part) {
      sum.add(a(false), b(true));
      sum.add(a(true), b(false));
    } else {
      sum.add(a(false), b(false));
      sum.add(a(true), b(true), -1);
    }
  }
  return sum;
}

constexpr unsigned kLeading = 80;
constexpr ErrorBound kBound{0x1p-46, 0, 0};

Product product_of(int bits, double unit, bool complex) {
  return {65,
          66,
          17,
          random_matrix(7, 0, bits, 1024, unit),
          random_matrix(7, 1, bits, 1024, unit),
          random_matrix(7, 2, bits, 1024, unit),
          1,
          0,
          complex};
}

/// A·B rounded to double, with what `change` makes of each part.
template <typename Change>
std::vector<double> computed(const Product& product, const Change& change) {
  const unsigned parts = product.complex ? 2 : 1;
  std::vector<double> result(std::size_t{kLeading} * product.n * parts,
                             std::numeric_limits<double>::quiet_NaN());
  for (unsigned j = 0; j < product.n; ++j) {
    for (unsigned i = 0; i < product.m; ++i) {
      for (unsigned p = 0; p < parts; ++p) {
        result[(std::size_t{j} * kLeading + i) * parts + p] =
            change(element(product, i, j, p == 1), i, parts * j + p);
      }
    }
  }
  return result;
}

template <typename Check>
ProductCheck run(const std::vector<double>& result, const Check& check) {
  const Stream stream;
  const DeviceBuffer<double> matrix(result.size());
  EXPECT_EQ(cudaMemcpy(matrix.data(), result.data(), matrix.bytes(), cudaMemcpyHostToDevice),
            cudaSuccess);
  DeviceResult<ProductCheck> found(stream);
  EXPECT_EQ(check(matrix.data(), found.data(), stream.get()), cudaSuccess);
  return found.take(kSubject);
}

ProductCheck check_bounded(const Product& product, const std::vector<double>& result) {
  return run(result, [&](const double* matrix, ProductCheck* check, cudaStream_t stream) {
    return check_bounded_product(matrix, product.complex ? Element::complex_fp64 : Element::fp64,
                                 kLeading, product, kBound, check, stream);
  });
}

class BoundedReference : public testing::TestWithParam<bool> {
 protected:
  const Product product = product_of(53, 0x1p-53, GetParam());
};

TEST_P(BoundedReference, AgreesWithQuadruplePrecisionToTheLastBit) {
  const ProductCheck found =
      check_bounded(product, computed(product, [](const Reference& exact, unsigned, unsigned) {
                      return static_cast<double>(exact.value);
                    }));
  EXPECT_EQ(found.wrong, 0U);
  // Nothing is left of the error but the rounding to double: 2^-53 of a value below 17·2.
  EXPECT_LT(found.worst, 0x1p-53 / 0x1p-46 * 4);
}

TEST_P(BoundedReference, FindsAnErrorTwoUlpAboveTheBoundAndNoneTwoUlpBelow) {
  for (const double beyond : {-2.0, 2.0}) {
    const ProductCheck found = check_bounded(
        product, computed(product, [&](const Reference& exact, unsigned i, unsigned column) {
          const auto value = static_cast<double>(exact.value);
          if (i != 64 || column != 65) return value;
          const auto allowed = exact.value + static_cast<Wide>(0x1p-46) * exact.absolute;
          const auto limit = static_cast<double>(allowed);
          return limit + beyond * (std::nextafter(limit, INFINITY) - limit);
        }));
    EXPECT_EQ(found.wrong, beyond > 0 ? 1U : 0U);
    EXPECT_EQ(found.first_wrong, beyond > 0 ? 65U * 65 + 64 : ~0ULL);
    EXPECT_EQ(found.worst > 1, beyond > 0);
    EXPECT_NEAR(found.worst, 1, 0.02);
    const BoundedElement expected = bounded_element(product, kBound, 64, 65);
    EXPECT_EQ(expected.value,
              static_cast<double>(element(product, 64, GetParam() ? 32 : 65, GetParam()).value));
  }
}

TEST_P(BoundedReference, FindsANan) {
  const ProductCheck found = check_bounded(
      product, computed(product, [](const Reference& exact, unsigned i, unsigned column) {
        return i == 3 && column == 1 ? std::numeric_limits<double>::quiet_NaN()
                                     : static_cast<double>(exact.value);
      }));
  EXPECT_EQ(found.wrong, 1U);
  EXPECT_EQ(found.first_wrong, 68U);
}

TEST_P(BoundedReference, ComparesEveryElementOfAProductThatRepeats) {
  Product repeating = product;
  repeating.a.row_period = 7;
  repeating.b.column_period = 11;
  for (const bool wrong : {false, true}) {
    const ProductCheck found = check_bounded(
        repeating, computed(repeating, [&](const Reference& exact, unsigned i, unsigned column) {
          // In the last, incomplete repetition.
          return static_cast<double>(exact.value) + (wrong && i == 64 && column == 65 ? 1e-9 : 0);
        }));
    EXPECT_EQ(found.wrong, wrong ? 1U : 0U);
    EXPECT_EQ(found.first_wrong, wrong ? 65U * 65 + 64 : ~0ULL);
  }
  // What repeats otherwise is not taken for it.
  const ProductCheck other =
      check_bounded(repeating, computed(product, [](const Reference& exact, unsigned, unsigned) {
                      return static_cast<double>(exact.value);
                    }));
  EXPECT_GT(other.wrong, 60U * 55);
}

INSTANTIATE_TEST_SUITE_P(Numbers, BoundedReference, testing::Bool(),
                         [](const auto& info) { return info.param ? "Complex" : "Real"; });

class ExactReference : public testing::TestWithParam<bool> {
 protected:
  static constexpr std::int64_t kLimit = std::int64_t{1} << 53;
  ProductCheck check(const Product& product, const std::vector<double>& result,
                     std::int64_t limit = kLimit) {
    return run(result, [&](const double* matrix, ProductCheck* check, cudaStream_t stream) {
      return check_exact_product(matrix, product.complex ? Element::complex_fp64 : Element::fp64,
                                 kLeading, product, limit, check, stream);
    });
  }
  Product scaled() const {
    Product product = product_of(20, 1, GetParam());
    product.alpha = -3;
    product.beta = 2;
    return product;
  }
  static double exact(const Product& product, const Reference& sum, unsigned i, unsigned column) {
    const unsigned parts = product.complex ? 2 : 1;
    const double start = part(product.c, i, column / parts, product.complex && column % 2 == 1);
    return static_cast<double>(product.alpha * sum.value + product.beta * static_cast<Wide>(start));
  }
};

TEST_P(ExactReference, AgreesWithQuadruplePrecisionAndFindsAnErrorOfOne) {
  const Product product = scaled();
  for (const double error : {0.0, 1.0}) {
    const ProductCheck found =
        check(product, computed(product, [&](const Reference& sum, unsigned i, unsigned column) {
                return exact(product, sum, i, column) + (i == 64 && column == 64 ? error : 0);
              }));
    EXPECT_EQ(found.wrong, error == 0 ? 0U : 1U);
    EXPECT_EQ(found.first_wrong, error == 0 ? ~0ULL : 64U * 65 + 64);
    EXPECT_EQ(found.inexact, 0U);
  }
}

TEST_P(ExactReference, CountsTheElementsThatCouldRound) {
  const Product product = scaled();
  Wide most = 0;
  const std::vector<double> result =
      computed(product, [&](const Reference& sum, unsigned i, unsigned column) {
        const unsigned parts = product.complex ? 2 : 1;
        const double start = part(product.c, i, column / parts, product.complex && column % 2 == 1);
        most = std::max(most, 3 * sum.absolute + 2 * static_cast<Wide>(std::abs(start)));
        return exact(product, sum, i, column);
      });
  EXPECT_EQ(check(product, result, static_cast<std::int64_t>(most)).inexact, 0U);
  EXPECT_EQ(check(product, result, static_cast<std::int64_t>(most) - 1).inexact, 1U);
}

INSTANTIATE_TEST_SUITE_P(Numbers, ExactReference, testing::Bool(),
                         [](const auto& info) { return info.param ? "Complex" : "Real"; });

TEST(HashOfWords, ChangesWithABitWithTwoBitsAndWithTheOrderOfWords) {
  std::vector<std::uint64_t> words(5000);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = i / 2;
  const Stream stream;
  const DeviceBuffer<std::uint64_t> memory(words.size());
  DeviceResult<unsigned long long> result(stream);
  const auto hash = [&] {
    EXPECT_EQ(cudaMemcpy(memory.data(), words.data(), memory.bytes(), cudaMemcpyHostToDevice),
              cudaSuccess);
    EXPECT_EQ(hash_words(memory.data(), words.size(), result.data(), stream.get()), cudaSuccess);
    return result.take(kSubject);
  };
  const auto first = hash();
  EXPECT_EQ(hash(), first);
  words[4999] ^= 1;
  const auto one_bit = hash();
  EXPECT_NE(one_bit, first);
  words[17] ^= 1;
  EXPECT_NE(hash(), first);
  words[17] ^= 1;
  words[4999] ^= 1;
  std::swap(words[1], words[2]);
  EXPECT_NE(hash(), first);
}

TEST(Checksums, AreTheSumsOfTheTermsOfEachRowAndColumn) {
  // Beyond one tile in both directions, and into the next by less than a tile.
  constexpr unsigned kWords = 270;
  constexpr unsigned kColumns = 70;
  std::vector<std::uint64_t> words(kWords * kColumns);
  std::vector<unsigned long long> expected(kWords + kColumns);
  for (unsigned i = 0; i < words.size(); ++i) {
    words[i] = mix(i);
    const std::uint64_t term = checksum_term(words[i], i);
    expected[i % kWords] += term;
    expected[kWords + i / kWords] += term;
  }
  const Stream stream;
  const DeviceBuffer<std::uint64_t> memory(words.size());
  const DeviceBuffer<unsigned long long> sums(expected.size());
  EXPECT_EQ(cudaMemcpy(memory.data(), words.data(), memory.bytes(), cudaMemcpyHostToDevice),
            cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(sums.data(), 0, sums.bytes(), stream.get()), cudaSuccess);
  const WordMatrix matrix{memory.data(), kWords, kColumns};
  for (unsigned times = 1; times <= 2; ++times) {
    EXPECT_EQ(add_checksums(matrix, sums.data(), stream.get()), cudaSuccess);
    synchronize(stream, kSubject);
    std::vector<unsigned long long> found(expected.size());
    EXPECT_EQ(cudaMemcpy(found.data(), sums.data(), sums.bytes(), cudaMemcpyDeviceToHost),
              cudaSuccess);
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], times * expected[i]) << i;
  }
  // An odd number of words has columns that begin within 16 bytes.
  EXPECT_EQ(add_checksums({memory.data(), kWords - 1, kColumns}, sums.data(), stream.get()),
            cudaErrorInvalidValue);
}

}  // namespace
}  // namespace conformance::kernels
