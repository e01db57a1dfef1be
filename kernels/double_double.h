#pragma once

#include <cmath>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// A sum of twice the precision of double: high + low, where `high` alone is the sum as double
/// would give it.
struct DoubleDouble {
  double high = 0, low = 0;
};

// A compiler for GPUs may join a product and a sum into one rounding, which would void the proofs
// behind the functions below; these are never joined.
inline __host__ __device__ double plus(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dadd_rn(a, b);
#else
  return a + b;
#endif
}
inline __host__ __device__ double times(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

/// sum += a·b, as in the algorithm Dot2 (Ogita, Rump, Oishi: Accurate sum and dot product, SIAM
/// Journal on Scientific Computing 26, 2005): the product and each sum are split into what double
/// holds and the rest, exactly, and the rests are summed apart. After k products the error of high
/// + low is at most γ_k(2^-53)²·Σ|a·b|.
inline __host__ __device__ void add_product(DoubleDouble& sum, double a, double b) {
  const double product = times(a, b);
  const double product_rest = fma(a, b, -product);
  const double high = plus(sum.high, product);
  const double taken = plus(high, -sum.high);
  const double sum_rest = plus(plus(sum.high, -plus(high, -taken)), plus(product, -taken));
  sum.high = high;
  sum.low = plus(sum.low, plus(product_rest, sum_rest));
}

}  // namespace conformance::kernels
