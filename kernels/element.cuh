#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/random_fill.h"

namespace conformance::kernels {

inline __host__ __device__ double load_element(const void* matrix, std::size_t index,
                                               Element element) {
  switch (element) {
    case Element::fp64:
      return static_cast<const double*>(matrix)[index];
    case Element::fp32:
      return static_cast<const float*>(matrix)[index];
    case Element::fp16:
      return __half2float(static_cast<const __half*>(matrix)[index]);
    case Element::bf16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(matrix)[index]);
  }
  return 0;
}

/// For values that are exact in `element`: the narrow types hold no more bits than a float, so the
/// way through float rounds nothing.
inline __device__ void store_element(void* matrix, std::size_t index, Element element,
                                     double value) {
  switch (element) {
    case Element::fp64:
      static_cast<double*>(matrix)[index] = value;
      break;
    case Element::fp32:
      static_cast<float*>(matrix)[index] = static_cast<float>(value);
      break;
    case Element::fp16:
      static_cast<__half*>(matrix)[index] = __float2half(static_cast<float>(value));
      break;
    case Element::bf16:
      static_cast<__nv_bfloat16*>(matrix)[index] = __float2bfloat16(static_cast<float>(value));
      break;
  }
}

}  // namespace conformance::kernels
