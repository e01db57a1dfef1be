#pragma once

#include "kernels/element.cuh"
#include "kernels/grid.cuh"

namespace conformance::kernels {

__global__ void fill_matrix_kernel(void* target, Element element, MatrixLayout layout,
                                   MatrixValues values) {
  const unsigned stored_rows = layout.transposed ? layout.columns : layout.rows;
  const std::size_t count = static_cast<std::size_t>(layout.rows) * layout.columns;
  const Element part = part_of(element);
  const unsigned parts = is_complex(element) ? 2 : 1;
  const MatrixValues others = imaginary(values);
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    const unsigned stored_row = static_cast<unsigned>(i % stored_rows);
    const unsigned stored_column = static_cast<unsigned>(i / stored_rows);
    const unsigned row = layout.transposed ? stored_column : stored_row;
    const unsigned column = layout.transposed ? stored_row : stored_column;
    const std::size_t at = static_cast<std::size_t>(stored_column) * layout.leading + stored_row;
    store_element(target, at * parts, part, matrix_value(values, row, column));
    if (parts == 1) continue;
    const double value = matrix_value(others, row, column);
    store_element(target, at * parts + 1, part, layout.conjugated ? -value : value);
  }
}

/// What is stored for element (row, column).
inline __device__ double scaled_value(const MatrixValues& values, const BlockFactors& factors,
                                      unsigned row, unsigned column) {
  const unsigned across = (factors.rows_are_depth ? column : row) / factors.across;
  const unsigned depth = (factors.rows_are_depth ? row : column) / factors.depth;
  return matrix_value(values, row, column) / (1 << (factor_exponent(factors, across, depth) + 1)) *
         2;
}

__global__ void fill_scaled_matrix_kernel(void* target, Element element, MatrixLayout layout,
                                          MatrixValues values, BlockFactors factors) {
  const unsigned stored_rows = layout.transposed ? layout.columns : layout.rows;
  const unsigned each = element == Element::e2m1 ? 2 : 1;
  const std::size_t count = static_cast<std::size_t>(layout.rows) * layout.columns / each;
  const auto value_at = [&](unsigned stored_row, unsigned stored_column) {
    return layout.transposed ? scaled_value(values, factors, stored_column, stored_row)
                             : scaled_value(values, factors, stored_row, stored_column);
  };
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    const unsigned stored_row = static_cast<unsigned>(i * each % stored_rows);
    const unsigned stored_column = static_cast<unsigned>(i * each / stored_rows);
    const std::size_t at = static_cast<std::size_t>(stored_column) * layout.leading + stored_row;
    const double value = value_at(stored_row, stored_column);
    if (each == 1) {
      store_element(target, at, element, value);
    } else {
      static_cast<unsigned char*>(target)[at / 2] = static_cast<unsigned char>(
          to_e2m1(value) | to_e2m1(value_at(stored_row + 1, stored_column)) << 4);
    }
  }
}

/// The number of a block's factor in memory. cuBLAS: Narrow Precision Data Types Usage.
inline __device__ std::size_t factor_place(FactorOrder order, const Blocks& room, unsigned across,
                                           unsigned depth) {
  if (order == FactorOrder::across) return static_cast<std::size_t>(depth) * room.across + across;
  if (order == FactorOrder::depth) return static_cast<std::size_t>(across) * room.depth + depth;
  const std::size_t tile = static_cast<std::size_t>(across / 128) * (room.depth / 4) + depth / 4;
  return tile * 512 + across % 32 * 16 + across % 128 / 32 * 4 + depth % 4;
}

__global__ void fill_factors_kernel(void* target, BlockFactors factors, Blocks blocks,
                                    Blocks room) {
  const std::size_t count = static_cast<std::size_t>(room.across) * room.depth;
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    const auto across = static_cast<unsigned>(i % room.across);
    const auto depth = static_cast<unsigned>(i / room.across);
    const bool is_one = across < blocks.across && depth < blocks.depth;
    const int exponent = factor_exponent(factors, across, depth);
    const std::size_t at = factor_place(factors.order, room, across, depth);
    switch (factors.order) {
      case FactorOrder::across:
      case FactorOrder::depth:
        static_cast<float*>(target)[at] =
            is_one ? static_cast<float>(1 << (exponent + 1)) / 2 : 0.0F;
        break;
      case FactorOrder::tiled_ue8m0:
        static_cast<unsigned char*>(target)[at] =
            static_cast<unsigned char>(is_one ? 127 + exponent : 0);
        break;
      case FactorOrder::tiled_ue4m3:
        static_cast<unsigned char*>(target)[at] =
            static_cast<unsigned char>(is_one ? (7 + exponent) << 3 : 0);
        break;
    }
  }
}

}  // namespace conformance::kernels
