#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/mix.h"

namespace conformance::kernels {

/// How a matrix stores an element. A complex one is two numbers, the real part first.
enum class Element : int {
  fp64,
  fp32,
  fp16,
  bf16,
  e4m3,
  e5m2,
  int8,
  int32,
  complex_fp64,
  complex_fp32
};
constexpr std::size_t bytes_of(Element element) {
  switch (element) {
    case Element::complex_fp64:
      return 16;
    case Element::fp64:
    case Element::complex_fp32:
      return 8;
    case Element::fp32:
    case Element::int32:
      return 4;
    case Element::fp16:
    case Element::bf16:
      return 2;
    case Element::e4m3:
    case Element::e5m2:
    case Element::int8:
      return 1;
  }
  return 0;
}
__host__ __device__ constexpr bool is_complex(Element element) {
  return element == Element::complex_fp64 || element == Element::complex_fp32;
}
/// The type of an element's parts; of one that is not complex, its own.
__host__ __device__ constexpr Element part_of(Element element) {
  if (element == Element::complex_fp64) return Element::fp64;
  return element == Element::complex_fp32 ? Element::fp32 : element;
}

/// A random matrix as a function of row and column, so that a reference can be computed without
/// reading what a library under test has read. An element is an integer of at most `bits` bits and
/// a sign, times `unit`.
struct MatrixValues {
  std::uint64_t seed;  ///< already mixed: see random_matrix
  int bits;            ///< at most 53
  int in_1024;         ///< how many of 1024 elements are drawn; the others are zero
  double unit;         ///< a power of two
  /// After so many rows, or columns, they repeat; 0 if they do not.
  unsigned row_period = 0, column_period = 0;
};
/// The matrix `which` of those that belong to `seed`.
constexpr MatrixValues random_matrix(std::uint64_t seed, std::uint64_t which, int bits, int in_1024,
                                     double unit) {
  return {mix(mix(seed) + which), bits, in_1024, unit};
}
/// The imaginary parts of a complex matrix whose real parts are `values`.
__host__ __device__ constexpr MatrixValues imaginary(const MatrixValues& values) {
  MatrixValues others = values;
  others.seed = mix(~values.seed);
  return others;
}

/// The integer of element (row, column): uniform in magnitude, with a random sign.
__host__ __device__ constexpr std::int64_t matrix_integer(const MatrixValues& values, unsigned row,
                                                          unsigned column) {
  if (values.row_period != 0) row %= values.row_period;
  if (values.column_period != 0) column %= values.column_period;
  const std::uint64_t word = mix(
      values.seed ^ (static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(column)));
  // Bits 0-52 give the magnitude, 53-62 decide whether the element is drawn, 63 is the sign.
  if (static_cast<int>((word >> 53) & 1023) >= values.in_1024) return 0;
  const std::int64_t magnitude = static_cast<std::int64_t>(word & ((1ull << values.bits) - 1));
  return (word >> 63) != 0 ? -magnitude : magnitude;
}
__host__ __device__ constexpr double matrix_value(const MatrixValues& values, unsigned row,
                                                  unsigned column) {
  return static_cast<double>(matrix_integer(values, row, column)) * values.unit;
}

/// Where a matrix lies: column-major, as BLAS has it.
struct MatrixLayout {
  unsigned rows, columns;   ///< of the matrix that takes part in the product
  unsigned leading;         ///< elements from one stored column to the next
  bool transposed;          ///< its transpose is what is stored
  bool conjugated = false;  ///< and of that the complex conjugate
};
/// Elements that a matrix spans in memory.
constexpr std::size_t elements_of(const MatrixLayout& layout) {
  return static_cast<std::size_t>(layout.leading) *
         (layout.transposed ? layout.rows : layout.columns);
}

/// Stores `values` as `element`. Each value must be exactly representable; what lies between the
/// columns stays as it is.
cudaError_t fill_matrix(void* target, Element element, const MatrixLayout& layout,
                        const MatrixValues& values, cudaStream_t stream);

/// The value of an element, or of a part of a complex one, whose bytes were copied to the host.
double element_value(const void* bytes, Element element);

}  // namespace conformance::kernels
