#include "tests/simulator/cublas/gemm.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace conformance::sim::cublas {
namespace {

double load(const void* matrix, std::size_t index, Number type) {
  switch (type) {
    case Number::fp64:
      return static_cast<const double*>(matrix)[index];
    case Number::fp32:
      return static_cast<const float*>(matrix)[index];
    case Number::fp16:
      return __half2float(static_cast<const __half*>(matrix)[index]);
    case Number::bf16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(matrix)[index]);
  }
  return 0;
}

void store(void* matrix, std::size_t index, Number type, double value) {
  switch (type) {
    case Number::fp64:
      static_cast<double*>(matrix)[index] = value;
      break;
    case Number::fp32:
      static_cast<float*>(matrix)[index] = static_cast<float>(value);
      break;
    case Number::fp16:
      static_cast<__half*>(matrix)[index] = __float2half_rn(static_cast<float>(value));
      break;
    case Number::bf16:
      static_cast<__nv_bfloat16*>(matrix)[index] = __float2bfloat16_rn(static_cast<float>(value));
      break;
  }
}

float to_tf32(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  constexpr std::uint32_t kDropped = 13;
  bits += (1u << (kDropped - 1)) - 1 + (bits >> kDropped & 1);
  return std::bit_cast<float>(bits & ~((1u << kDropped) - 1));
}

template <typename Sum>
void multiply(const Gemm& g) {
  // op(A) column by column and op(B) column by column, so that the inner loops run along memory.
  std::vector<Sum> a(g.m * g.k), b(g.k * g.n);
  const auto operand = [&](const void* matrix, std::size_t index) {
    const auto value = static_cast<Sum>(load(matrix, index, g.type));
    return g.tf32 ? static_cast<Sum>(to_tf32(static_cast<float>(value))) : value;
  };
  for (std::size_t l = 0; l < g.k; ++l) {
    for (std::size_t i = 0; i < g.m; ++i) {
      a[l * g.m + i] = operand(g.a, g.transpose_a ? i * g.lda + l : l * g.lda + i);
    }
  }
  for (std::size_t j = 0; j < g.n; ++j) {
    for (std::size_t l = 0; l < g.k; ++l) {
      b[j * g.k + l] = operand(g.b, g.transpose_b ? l * g.ldb + j : j * g.ldb + l);
    }
  }
  constexpr std::size_t kColumns = 4;
  std::vector<Sum> sums(g.m * kColumns);
  for (std::size_t first = 0; first < g.n; first += kColumns) {
    const std::size_t columns = std::min(kColumns, g.n - first);
    std::fill(sums.begin(), sums.end(), Sum{0});
    for (std::size_t l = 0; l < g.k; ++l) {
      const Sum* column = &a[l * g.m];
      for (std::size_t j = 0; j < columns; ++j) {
        const Sum factor = b[(first + j) * g.k + l];
        Sum* out = &sums[j * g.m];
        for (std::size_t i = 0; i < g.m; ++i) out[i] += column[i] * factor;
      }
    }
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t i = 0; i < g.m; ++i) {
        const std::size_t at = (first + j) * g.ldc + i;
        auto value = static_cast<Sum>(g.alpha) * sums[j * g.m + i];
        if (g.beta != 0)
          value += static_cast<Sum>(g.beta) * static_cast<Sum>(load(g.c, at, g.type));
        store(g.c, at, g.type, value);
      }
    }
  }
}

}  // namespace

std::size_t bytes_of(Number number) {
  switch (number) {
    case Number::fp64:
      return 8;
    case Number::fp32:
      return 4;
    case Number::fp16:
    case Number::bf16:
      return 2;
  }
  return 0;
}

void run(const Gemm& gemm) {
  if (gemm.type == Number::fp64) {
    multiply<double>(gemm);
  } else {
    multiply<float>(gemm);
  }
}

}  // namespace conformance::sim::cublas
