#pragma once

#include <cmath>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/random_fill.h"

namespace conformance::kernels {

/// The product alpha·A·B + beta·C0 with A of m x k, B of k x n, C0 of m x n. The references below
/// compute A, B and C0 from MatrixValues and read no input that the library under test has read.
struct Product {
  unsigned m, n, k;
  MatrixValues a, b, c;
  int alpha, beta;
};

/// What a check found; device memory that starts as {}.
struct ProductCheck {
  unsigned long long wrong = 0;            ///< elements that differ from the reference
  unsigned long long first_wrong = ~0ull;  ///< lowest column·m + row that differs; ~0 if none
  unsigned long long inexact = 0;  ///< elements for which the premise of equality does not hold
  double worst = 0;                ///< greatest error in units of its bound
};

/// Compares every element of `product` (m x n, column-major, `leading`) for equality with integer
/// arithmetic of 64 bits.
///
/// The premise of equality: the units are 1 and |alpha|·Σ|a·b| + |beta·c0| <= exact_limit, the
/// integer up to which the library's accumulator and output hold every integer. Then no partial sum
/// in any order is rounded. It is checked for every element (`inexact`). Operands fit 31 bits.
cudaError_t check_exact_product(const void* product, Element element, unsigned leading,
                                const Product& operands, std::int64_t exact_limit,
                                ProductCheck* check, cudaStream_t stream);

/// The bound on an element's error against the reference r, with s = Σ|a·b|:
/// accumulation·s + output·(|r| + accumulation·s) + smallest.
struct ErrorBound {
  double accumulation;  ///< γ_k of the library's accumulator plus γ_k of the reference
  double output;        ///< unit roundoff of the output's type
  double smallest;      ///< half the output type's smallest positive number
};
__host__ __device__ constexpr double bound_for(const ErrorBound& bound, double reference,
                                               double absolute_sum) {
  const double accumulated = bound.accumulation * absolute_sum;
  const double magnitude = reference < 0 ? -reference : reference;
  return accumulated + bound.output * (magnitude + accumulated) + bound.smallest;
}

/// Compares every element of A·B (alpha 1, beta 0) with arithmetic in double precision, within
/// `bound`. A NaN is wrong.
cudaError_t check_bounded_product(const void* product, Element element, unsigned leading,
                                  const Product& operands, const ErrorBound& bound,
                                  ProductCheck* check, cudaStream_t stream);

/// One element of the references above, for a finding.
inline std::int64_t exact_element(const Product& operands, unsigned row, unsigned column) {
  std::int64_t sum = 0;
  for (unsigned i = 0; i < operands.k; ++i) {
    sum += matrix_integer(operands.a, row, i) * matrix_integer(operands.b, i, column);
  }
  return operands.alpha * sum + operands.beta * matrix_integer(operands.c, row, column);
}
struct BoundedElement {
  double value, bound;
};
inline BoundedElement bounded_element(const Product& operands, const ErrorBound& bound,
                                      unsigned row, unsigned column) {
  double sum = 0;
  double absolute = 0;
  for (unsigned i = 0; i < operands.k; ++i) {
    const double term = matrix_value(operands.a, row, i) * matrix_value(operands.b, i, column);
    sum += term;
    absolute += std::abs(term);
  }
  return {sum, bound_for(bound, sum, absolute)};
}

}  // namespace conformance::kernels
