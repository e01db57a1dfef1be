#pragma once

#include "kernels/element.cuh"
#include "kernels/grid.cuh"

namespace conformance::kernels {

__global__ void fill_matrix_kernel(void* target, Element element, MatrixLayout layout,
                                   MatrixValues values) {
  const unsigned stored_rows = layout.transposed ? layout.columns : layout.rows;
  const std::size_t count = static_cast<std::size_t>(layout.rows) * layout.columns;
  for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
    const unsigned stored_row = static_cast<unsigned>(i % stored_rows);
    const unsigned stored_column = static_cast<unsigned>(i / stored_rows);
    const double value = layout.transposed ? matrix_value(values, stored_column, stored_row)
                                           : matrix_value(values, stored_row, stored_column);
    store_element(target, static_cast<std::size_t>(stored_column) * layout.leading + stored_row,
                  element, value);
  }
}

}  // namespace conformance::kernels
