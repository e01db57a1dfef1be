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

}  // namespace conformance::kernels
