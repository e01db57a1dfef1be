#pragma once

#include <complex>
#include <cstddef>

namespace conformance::sim::cublas {

/// How the numbers of a matrix are stored.
enum class Number {
  fp64,
  fp32,
  fp16,
  bf16,
  e4m3,
  e5m2,
  int8,
  int32,
  complex_fp64,
  complex_fp32,
  e2m1  ///< two in a byte
};
std::size_t bytes_of(Number number);
bool is_complex(Number number);
/// A number in memory.
std::complex<double> load(const void* numbers, std::size_t index, Number type);
void store(void* numbers, std::size_t index, Number type, std::complex<double> value);

enum class Transpose { none, plain, conjugate };

/// Factors of the blocks of an operand. A block has a place across it, which is along the rows of A
/// or the columns of B, and one in its depth.
struct BlockFactors {
  enum class Mode { none, vector, vector_128, square_128, vector_32, vector_16 };
  Mode mode = Mode::none;
  const void* values = nullptr;
};

/// C = alpha * op(A) * op(B) + beta * C, column-major. Sums are of `double` for fp64, of 64-bit
/// integers for int8 and of `float` for the others, in the order of k; C is rounded once, to
/// nearest even. With beta 0, C is not read.
struct Gemm {
  Transpose transpose_a = Transpose::none, transpose_b = Transpose::none;
  std::size_t m = 0, n = 0, k = 0;
  std::complex<double> alpha = 1, beta = 0;
  Number type_a = Number::fp32, type_b = Number::fp32, type_c = Number::fp32;
  bool tf32 = false;       ///< operands are rounded to ten mantissa bits first
  bool half_sums = false;  ///< sums are rounded to fp16 after each 16 products
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  std::size_t lda = 0, ldb = 0, ldc = 0;
  BlockFactors factors_a, factors_b;
  // What happens to the result before it is rounded, in this order.
  const void* bias = nullptr;  ///< of C's type: one for each row
  void* aux = nullptr;         ///< of C's type: keeps what GELU is applied to
  std::size_t aux_leading = 0;
  bool relu = false, gelu = false;
  // Defects.
  bool wrong_transposes = false;  ///< of square products: each operand has the other's
  double excess = 0;              ///< the first element is off by so many times the sum of |a*b|

  std::size_t c_bytes() const { return (ldc * (n - 1) + m) * bytes_of(type_c); }
};
void run(const Gemm& gemm);

}  // namespace conformance::sim::cublas
