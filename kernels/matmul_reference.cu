#include "kernels/matmul_reference.h"
#include "kernels/matmul_reference_kernels.cuh"

namespace conformance::kernels {
namespace {

unsigned tiles_of(const Product& operands) {
  return tiles_along(distinct_rows(operands)) * tiles_along(distinct_columns(operands));
}

}  // namespace

cudaError_t check_exact_product(const void* product, Element element, unsigned leading,
                                const Product& operands, std::int64_t exact_limit,
                                ProductCheck* check, cudaStream_t stream) {
  if (operands.a.bits > 31 || operands.b.bits > 31 || operands.complex != is_complex(element)) {
    return cudaErrorInvalidValue;
  }
  check_exact_product_kernel<<<tiles_of(operands), kTileThreads, 0, stream>>>(
      product, element, leading, operands, exact_limit, check);
  return cudaGetLastError();
}

cudaError_t check_bounded_product(const void* product, Element element, unsigned leading,
                                  const Product& operands, const ErrorBound& bound,
                                  ProductCheck* check, cudaStream_t stream) {
  if (operands.alpha != 1 || operands.beta != 0 || operands.complex != is_complex(element)) {
    return cudaErrorInvalidValue;
  }
  if (part_of(element) == Element::fp64) {
    check_bounded_product_kernel<DoubleDouble><<<tiles_of(operands), kTileThreads, 0, stream>>>(
        product, element, leading, operands, bound, check);
  } else {
    check_bounded_product_kernel<double><<<tiles_of(operands), kTileThreads, 0, stream>>>(
        product, element, leading, operands, bound, check);
  }
  return cudaGetLastError();
}

}  // namespace conformance::kernels
