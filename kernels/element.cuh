#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/random_fill.h"

namespace conformance::kernels {

inline __host__ __device__ double load_fp8(const void* matrix, std::size_t index,
                                           __nv_fp8_interpretation_t kind) {
  const auto bits = static_cast<const __nv_fp8_storage_t*>(matrix)[index];
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(bits, kind)));
}
/// For values that it holds: 0, 1/2, 1, 3/2, 2, 3, 4, 6 and their opposites.
inline __device__ unsigned to_e2m1(double value) {
  const auto halves = static_cast<unsigned>(2 * (value < 0 ? -value : value));
  const unsigned magnitude = halves < 4 ? halves : (halves < 8 ? 2 + halves / 2 : 4 + halves / 4);
  return magnitude | (value < 0 ? 8u : 0u);
}
inline __device__ void store_fp8(void* matrix, std::size_t index, __nv_fp8_interpretation_t kind,
                                 double value) {
  static_cast<__nv_fp8_storage_t*>(matrix)[index] =
      __nv_cvt_float_to_fp8(static_cast<float>(value), __NV_NOSAT, kind);
}

// Of complex matrices these see the parts: twice as many elements of type part_of().

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
    case Element::e4m3:
      return load_fp8(matrix, index, __NV_E4M3);
    case Element::e5m2:
      return load_fp8(matrix, index, __NV_E5M2);
    case Element::int8:
      return static_cast<const std::int8_t*>(matrix)[index];
    case Element::int32:
      return static_cast<const std::int32_t*>(matrix)[index];
    case Element::complex_fp64:
    case Element::complex_fp32:
    case Element::e2m1:  // no result is of it
      break;
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
    case Element::e4m3:
      store_fp8(matrix, index, __NV_E4M3, value);
      break;
    case Element::e5m2:
      store_fp8(matrix, index, __NV_E5M2, value);
      break;
    case Element::int8:
      static_cast<std::int8_t*>(matrix)[index] = static_cast<std::int8_t>(value);
      break;
    case Element::int32:
      static_cast<std::int32_t*>(matrix)[index] = static_cast<std::int32_t>(value);
      break;
    case Element::complex_fp64:
    case Element::complex_fp32:
    case Element::e2m1:  // two at a time: to_e2m1
      break;
  }
}

}  // namespace conformance::kernels
