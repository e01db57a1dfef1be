#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/mix.h"

namespace conformance::kernels {

/// How a matrix stores an element. A complex one is two numbers, the real part first; of e2m1 two
/// share a byte, the first in its lower half.
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
  complex_fp32,
  e2m1
};
constexpr std::size_t bytes_of(Element element, std::size_t count = 1) {
  switch (element) {
    case Element::complex_fp64:
      return 16 * count;
    case Element::fp64:
    case Element::complex_fp32:
      return 8 * count;
    case Element::fp32:
    case Element::int32:
      return 4 * count;
    case Element::fp16:
    case Element::bf16:
      return 2 * count;
    case Element::e4m3:
    case Element::e5m2:
    case Element::int8:
      return count;
    case Element::e2m1:
      return (count + 1) / 2;
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

/// How the factors of an operand's blocks lie in memory, as cuBLASLt wants them. A block has a
/// place across the operand, which is along the rows of A or the columns of B, and one in its
/// depth.
enum class FactorOrder : int {
  across,       ///< fp32: those across follow each other
  depth,        ///< fp32: those in depth do, and four of them or a multiple belong together
  tiled_ue8m0,  ///< bytes that are an exponent, in tiles of 128 across and 4 in depth
  tiled_ue4m3   ///< bytes of floating point without a sign, in the same tiles
};
/// Factors of the blocks of an operand: 1/2, 1 or 2, a function of the block's place.
struct BlockFactors {
  std::uint64_t seed;  ///< already mixed
  FactorOrder order;
  unsigned across, depth;  ///< elements of a block
  bool rows_are_depth;     ///< as of B
};
struct Blocks {
  unsigned across, depth;
};
__host__ __device__ constexpr int factor_exponent(const BlockFactors& factors, unsigned across,
                                                  unsigned depth) {
  return static_cast<int>(mix(factors.seed ^ (std::uint64_t{across} << 32 | depth)) % 3) - 1;
}
/// How many blocks an operand has.
constexpr Blocks blocks_of(const BlockFactors& factors, const MatrixLayout& layout) {
  const unsigned across = factors.rows_are_depth ? layout.columns : layout.rows;
  const unsigned depth = factors.rows_are_depth ? layout.rows : layout.columns;
  return {(across - 1) / factors.across + 1, (depth - 1) / factors.depth + 1};
}
/// For how many blocks there is room in memory, with those that only fill it up.
constexpr Blocks room_for(FactorOrder order, Blocks blocks) {
  if (order == FactorOrder::across) return blocks;
  blocks.depth = (blocks.depth + 3) / 4 * 4;
  if (order != FactorOrder::depth) blocks.across = (blocks.across + 127) / 128 * 128;
  return blocks;
}
constexpr std::size_t bytes_of_factors(const BlockFactors& factors, const MatrixLayout& layout) {
  const Blocks room = room_for(factors.order, blocks_of(factors, layout));
  const bool bytes =
      factors.order == FactorOrder::tiled_ue8m0 || factors.order == FactorOrder::tiled_ue4m3;
  return std::size_t{room.across} * room.depth * (bytes ? 1 : sizeof(float));
}
/// Stores the factors; what only fills up is 0.
cudaError_t fill_factors(void* target, const BlockFactors& factors, const MatrixLayout& layout,
                         cudaStream_t stream);
/// As fill_matrix, but divides the values by the factors of their blocks. The only way to e2m1,
/// where the layout's `leading` and what follows each other in memory are even.
cudaError_t fill_scaled_matrix(void* target, Element element, const MatrixLayout& layout,
                               const MatrixValues& values, const BlockFactors& factors,
                               cudaStream_t stream);

/// The value of an element, or of a part of a complex one, whose bytes were copied to the host.
double element_value(const void* bytes, Element element);

}  // namespace conformance::kernels
