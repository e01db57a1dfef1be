#pragma once

#include <cmath>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/double_double.h"
#include "kernels/random_fill.h"

namespace conformance::kernels {

/// The product alpha·A·B + beta·C0 with A of m x k, B of k x n, C0 of m x n. The references below
/// compute A, B and C0 from MatrixValues and read no input that the library under test has read.
struct Product {
  unsigned m, n, k;
  MatrixValues a, b, c;
  int alpha, beta;
  bool complex = false;  ///< the matrices are; alpha and beta are not
};

// A complex product amounts to a real one of twice as many columns, in which the real and the
// imaginary part of each column of the result take turns, and of twice the depth: at even depths
// are the real parts of A, at odd ones the imaginary parts.
__host__ __device__ constexpr unsigned real_columns(const Product& operands) {
  return operands.complex ? 2 * operands.n : operands.n;
}
__host__ __device__ constexpr unsigned real_depth(const Product& operands) {
  return operands.complex ? 2 * operands.k : operands.k;
}

// Where the rows of A repeat, or the columns of B, so do those of A·B: the references compute each
// sum once, and compare it with every element that it stands for.
__host__ __device__ constexpr unsigned distinct_of(unsigned length, unsigned period) {
  return period != 0 && period < length ? period : length;
}
__host__ __device__ constexpr unsigned distinct_rows(const Product& operands) {
  return distinct_of(operands.m, operands.a.row_period);
}
/// Of the real product.
__host__ __device__ constexpr unsigned distinct_columns(const Product& operands) {
  return distinct_of(operands.n, operands.b.column_period) * (operands.complex ? 2 : 1);
}

/// An element of one of the matrices of that real product.
struct Factor {
  MatrixValues values;
  unsigned row, column;
  bool negative;
};
__host__ __device__ constexpr Factor left_factor(const Product& operands, unsigned row,
                                                 unsigned depth) {
  if (!operands.complex) return {operands.a, row, depth, false};
  return {depth % 2 == 0 ? operands.a : imaginary(operands.a), row, depth / 2, false};
}
__host__ __device__ constexpr Factor right_factor(const Product& operands, unsigned depth,
                                                  unsigned column) {
  if (!operands.complex) return {operands.b, depth, column, false};
  const bool part = depth % 2 != column % 2;
  return {part ? imaginary(operands.b) : operands.b, depth / 2, column / 2,
          part && column % 2 == 0};
}
__host__ __device__ constexpr Factor start_factor(const Product& operands, unsigned row,
                                                  unsigned column) {
  if (!operands.complex) return {operands.c, row, column, false};
  return {column % 2 == 0 ? operands.c : imaginary(operands.c), row, column / 2, false};
}
__host__ __device__ constexpr std::int64_t integer_of(const Factor& factor) {
  const std::int64_t integer = matrix_integer(factor.values, factor.row, factor.column);
  return factor.negative ? -integer : integer;
}
__host__ __device__ constexpr double value_of(const Factor& factor) {
  return static_cast<double>(integer_of(factor)) * factor.values.unit;
}

/// What a check found; device memory that starts as {}.
struct ProductCheck {
  unsigned long long wrong = 0;  ///< elements that differ from the reference
  /// Lowest column·m + row that differs, with the columns of the real product; ~0 if none.
  unsigned long long first_wrong = ~0ull;
  unsigned long long inexact = 0;  ///< elements for which the premise of equality does not hold
  double worst = 0;                ///< greatest error in units of its bound
};

/// Compares every element of `product` (m x n, column-major, `leading`) for equality with integer
/// arithmetic of 64 bits. `element` is complex if the product is.
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

/// Compares every element of A·B (alpha 1, beta 0) within `bound` with arithmetic in double
/// precision; where the library's own is that, in twice double precision. A NaN is wrong.
cudaError_t check_bounded_product(const void* product, Element element, unsigned leading,
                                  const Product& operands, const ErrorBound& bound,
                                  ProductCheck* check, cudaStream_t stream);

/// The error of the reference for one element, in units of s; and that of the s it computes.
constexpr double reference_roundoff(Element element, unsigned depth) {
  const double gamma = depth * 0x1p-53 / (1 - depth * 0x1p-53);
  return part_of(element) == Element::fp64 ? gamma * gamma : gamma;
}

/// One element of the references above, for a finding; `column` is one of the real product.
inline std::int64_t exact_element(const Product& operands, unsigned row, unsigned column) {
  std::int64_t sum = 0;
  for (unsigned i = 0; i < real_depth(operands); ++i) {
    sum +=
        integer_of(left_factor(operands, row, i)) * integer_of(right_factor(operands, i, column));
  }
  return operands.alpha * sum + operands.beta * integer_of(start_factor(operands, row, column));
}
struct BoundedElement {
  double value, bound;
};
inline BoundedElement bounded_element(const Product& operands, const ErrorBound& bound,
                                      unsigned row, unsigned column) {
  DoubleDouble sum;
  double absolute = 0;
  for (unsigned i = 0; i < real_depth(operands); ++i) {
    const double a = value_of(left_factor(operands, row, i));
    const double b = value_of(right_factor(operands, i, column));
    add_product(sum, a, b);
    absolute += std::abs(a * b);
  }
  return {sum.high + sum.low, bound_for(bound, sum.high, absolute)};
}

}  // namespace conformance::kernels
