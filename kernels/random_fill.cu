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

double element_value(const void* bytes, Element element) {
  return load_element(bytes, 0, part_of(element));
}

}  // namespace conformance::kernels
