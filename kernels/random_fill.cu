#include "kernels/launch.h"
#include "kernels/random_fill.h"
#include "kernels/random_fill_kernels.cuh"

namespace conformance::kernels {

cudaError_t fill_matrix(void* target, Element element, const MatrixLayout& layout,
                        const MatrixValues& values, cudaStream_t stream) {
  const std::size_t count = static_cast<std::size_t>(layout.rows) * layout.columns;
  fill_matrix_kernel<<<blocks_for(count), kThreads, 0, stream>>>(target, element, layout, values);
  return cudaGetLastError();
}

cudaError_t fill_scaled_matrix(void* target, Element element, const MatrixLayout& layout,
                               const MatrixValues& values, const BlockFactors& factors,
                               cudaStream_t stream) {
  const unsigned stored_rows = layout.transposed ? layout.columns : layout.rows;
  if (is_complex(element) ||
      (element == Element::e2m1 && (stored_rows % 2 != 0 || layout.leading % 2 != 0))) {
    return cudaErrorInvalidValue;
  }
  const std::size_t count = static_cast<std::size_t>(layout.rows) * layout.columns;
  fill_scaled_matrix_kernel<<<blocks_for(count), kThreads, 0, stream>>>(target, element, layout,
                                                                        values, factors);
  return cudaGetLastError();
}

cudaError_t fill_factors(void* target, const BlockFactors& factors, const MatrixLayout& layout,
                         cudaStream_t stream) {
  const Blocks blocks = blocks_of(factors, layout);
  const Blocks room = room_for(factors.order, blocks);
  const std::size_t count = static_cast<std::size_t>(room.across) * room.depth;
  fill_factors_kernel<<<blocks_for(count), kThreads, 0, stream>>>(target, factors, blocks, room);
  return cudaGetLastError();
}

double element_value(const void* bytes, Element element) {
  return load_element(bytes, 0, part_of(element));
}

}  // namespace conformance::kernels
