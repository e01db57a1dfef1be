#pragma once

#include <cstring>

#include "kernels/element.cuh"
#include "kernels/matmul_reference.h"

namespace conformance::kernels {

// A block of 256 threads computes a tile of 64 x 64 elements, 4 x 4 a thread, from slices of A and
// B of depth 16 in shared memory. The slices are made from the matrices' functions, not loaded.
inline constexpr unsigned kTile = 64;
inline constexpr unsigned kDepth = 16;
inline constexpr unsigned kSide = 16;             // threads along each side of a tile
inline constexpr unsigned kEach = kTile / kSide;  // elements of a thread along each side

inline constexpr unsigned kTileThreads = kSide * kSide;

__host__ __device__ constexpr unsigned tiles_along(unsigned length) {
  return (length + kTile - 1) / kTile;
}

// Only with these loops unrolled do a thread's sums stay in registers.
#ifdef __CUDACC__
#define CONFORMANCE_UNROLL _Pragma("unroll")
#else
#define CONFORMANCE_UNROLL
#endif

inline __device__ void operand(const Factor& factor, std::int32_t& out) {
  out = static_cast<std::int32_t>(integer_of(factor));
}
inline __device__ void operand(const Factor& factor, double& out) { out = value_of(factor); }

inline __device__ std::int32_t magnitude(std::int32_t value) { return value < 0 ? -value : value; }
inline __device__ double magnitude(double value) { return value < 0 ? -value : value; }

/// The sum of a reference, the type of its operands, and that of Σ|a·b|.
template <typename Sum>
struct Arithmetic {
  using Operand = double;
  using Absolute = double;
};
template <>
struct Arithmetic<std::int64_t> {
  using Operand = std::int32_t;
  using Absolute = std::int64_t;
};

inline __device__ void add_product(std::int64_t& sum, std::int32_t a, std::int32_t b) {
  sum += static_cast<std::int64_t>(a) * b;
}
inline __device__ void add_product(double& sum, double a, double b) { sum += a * b; }

inline __device__ double distance(double found, double sum) { return magnitude(found - sum); }
inline __device__ double distance(double found, const DoubleDouble& sum) {
  return magnitude((found - sum.high) - sum.low);
}
inline __device__ double rounded(double sum) { return sum; }
inline __device__ double rounded(const DoubleDouble& sum) { return sum.high; }

/// Where the tile of the running block begins in the product.
struct Tile {
  unsigned row, column;
};
inline __device__ Tile tile_of_block(const Product& operands) {
  const unsigned tiles = tiles_along(distinct_rows(operands));
  return {blockIdx.x % tiles * kTile, blockIdx.x / tiles * kTile};
}

/// The sums of the thread's elements (first_row + kSide·i, first_column + kSide·j).
template <typename Sum>
struct TileSums {
  Sum dot[kEach][kEach];
  typename Arithmetic<Sum>::Absolute absolute[kEach][kEach];
};

/// Every thread of the block must call this.
template <typename Sum>
inline __device__ void multiply_tile(const Product& operands, const Tile& tile,
                                     TileSums<Sum>& sums) {
  using Operand = typename Arithmetic<Sum>::Operand;
  __shared__ Operand left[kDepth][kTile];
  __shared__ Operand right[kDepth][kTile];
  const unsigned x = threadIdx.x % kSide;
  const unsigned y = threadIdx.x / kSide;
  CONFORMANCE_UNROLL
  for (unsigned i = 0; i < kEach; ++i) {
    CONFORMANCE_UNROLL
    for (unsigned j = 0; j < kEach; ++j) {
      sums.dot[i][j] = Sum{};
      sums.absolute[i][j] = 0;
    }
  }
  const unsigned deep = real_depth(operands);
  for (unsigned begin = 0; begin < deep; begin += kDepth) {
    for (unsigned i = threadIdx.x; i < kDepth * kTile; i += blockDim.x) {
      const unsigned depth = i / kTile;
      const unsigned along = i % kTile;
      Operand a = 0;
      Operand b = 0;
      // Past k the slices are zero; past m and n lie elements that nobody compares.
      if (begin + depth < deep) {
        operand(left_factor(operands, tile.row + along, begin + depth), a);
        operand(right_factor(operands, begin + depth, tile.column + along), b);
      }
      left[depth][along] = a;
      right[depth][along] = b;
    }
    __syncthreads();
    for (unsigned depth = 0; depth < kDepth; ++depth) {
      Operand a[kEach];
      Operand b[kEach];
      CONFORMANCE_UNROLL
      for (unsigned i = 0; i < kEach; ++i) {
        a[i] = left[depth][x + kSide * i];
        b[i] = right[depth][y + kSide * i];
      }
      CONFORMANCE_UNROLL
      for (unsigned i = 0; i < kEach; ++i) {
        CONFORMANCE_UNROLL
        for (unsigned j = 0; j < kEach; ++j) {
          add_product(sums.dot[i][j], a[i], b[j]);
          add_product(sums.absolute[i][j], magnitude(a[i]), magnitude(b[j]));
        }
      }
    }
    __syncthreads();
  }
}

/// Calls work(row, column, found, dot, absolute) for each element that the product has of those
/// that the thread's sums stand for: what was found there, and its sums.
template <typename Sum, typename Work>
inline __device__ void for_each_element(const void* product, Element element, unsigned leading,
                                        const Product& operands, const Tile& tile,
                                        const TileSums<Sum>& sums, const Work& work) {
  const unsigned parts = operands.complex ? 2 : 1;
  const Element part = part_of(element);
  const unsigned rows = distinct_rows(operands);
  const unsigned columns = distinct_columns(operands);
  CONFORMANCE_UNROLL
  for (unsigned j = 0; j < kEach; ++j) {
    const unsigned first_column = tile.column + threadIdx.x / kSide + kSide * j;
    CONFORMANCE_UNROLL
    for (unsigned i = 0; i < kEach; ++i) {
      const unsigned first_row = tile.row + threadIdx.x % kSide + kSide * i;
      if (first_row >= rows || first_column >= columns) continue;
      for (unsigned column = first_column; column < real_columns(operands); column += columns) {
        const std::size_t before = static_cast<std::size_t>(column / parts) * leading;
        for (unsigned row = first_row; row < operands.m; row += rows) {
          const double found = load_element(product, (before + row) * parts + column % parts, part);
          work(row, column, found, sums.dot[i][j], sums.absolute[i][j]);
        }
      }
    }
  }
}

inline __device__ void note_wrong(ProductCheck* check, const Product& operands, unsigned row,
                                  unsigned column) {
  atomicAdd(&check->wrong, 1ull);
  atomicMin(&check->first_wrong, static_cast<unsigned long long>(column) * operands.m + row);
}

__global__ void check_exact_product_kernel(const void* product, Element element, unsigned leading,
                                           Product operands, std::int64_t exact_limit,
                                           ProductCheck* check) {
  const Tile tile = tile_of_block(operands);
  TileSums<std::int64_t> sums;
  multiply_tile(operands, tile, sums);
  for_each_element(
      product, element, leading, operands, tile, sums,
      [&](unsigned row, unsigned column, double found, std::int64_t dot, std::int64_t absolute) {
        const std::int64_t start =
            operands.beta == 0 ? 0
                               : operands.beta * integer_of(start_factor(operands, row, column));
        const std::int64_t expected = operands.alpha * dot + start;
        const std::int64_t most =
            (operands.alpha < 0 ? -operands.alpha : operands.alpha) * absolute +
            (start < 0 ? -start : start);
        if (most > exact_limit) atomicAdd(&check->inexact, 1ull);
        // Written so that a NaN is wrong.
        if (!(found == static_cast<double>(expected))) note_wrong(check, operands, row, column);
      });
}

template <typename Sum>
__global__ void check_bounded_product_kernel(const void* product, Element element, unsigned leading,
                                             Product operands, ErrorBound bound,
                                             ProductCheck* check) {
  const Tile tile = tile_of_block(operands);
  TileSums<Sum> sums;
  multiply_tile(operands, tile, sums);
  double worst = 0;
  for_each_element(
      product, element, leading, operands, tile, sums,
      [&](unsigned row, unsigned column, double found, const Sum& dot, double absolute) {
        const double error = distance(found, dot);
        const double allowed = bound_for(bound, rounded(dot), absolute);
        // Written so that a NaN is wrong.
        if (!(error <= allowed)) note_wrong(check, operands, row, column);
        if (error / allowed > worst) worst = error / allowed;
      });
  // Doubles that are not negative are in the order of their bits.
  unsigned long long bits = 0;
  std::memcpy(&bits, &worst, sizeof(bits));
  atomicMax(reinterpret_cast<unsigned long long*>(&check->worst), bits);
}

}  // namespace conformance::kernels
