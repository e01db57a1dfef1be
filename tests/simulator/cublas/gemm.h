#pragma once

#include <cstddef>

namespace conformance::sim::cublas {

/// How the numbers of a matrix are stored, and what happens to them on their way into the product.
enum class Number { fp64, fp32, fp16, bf16 };
std::size_t bytes_of(Number number);

/// C = alpha * op(A) * op(B) + beta * C, column-major. Sums are of `double` for fp64 and `float`
/// for the others, in the order of k; C is rounded once, to nearest even. With beta 0, C is not
/// read.
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  std::size_t m = 0, n = 0, k = 0;
  double alpha = 1, beta = 0;
  Number type = Number::fp32;
  bool tf32 = false;  ///< operands are rounded to ten mantissa bits first
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  std::size_t lda = 0, ldb = 0, ldc = 0;
};
void run(const Gemm& gemm);

}  // namespace conformance::sim::cublas
