#include "tests/simulator/cublas/gemm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp8.h>

namespace conformance::sim::cublas {
namespace {

Number part_of(Number number) {
  if (number == Number::complex_fp64) return Number::fp64;
  return number == Number::complex_fp32 ? Number::fp32 : number;
}

double load_fp8(const void* numbers, std::size_t index, __nv_fp8_interpretation_t kind) {
  const auto bits = static_cast<const __nv_fp8_storage_t*>(numbers)[index];
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(bits, kind)));
}

double load_fp4(const void* numbers, std::size_t index) {
  const unsigned pair = static_cast<const unsigned char*>(numbers)[index / 2];
  const auto bits = static_cast<__nv_fp4_storage_t>(index % 2 == 0 ? pair & 15 : pair >> 4);
  return __half2float(__half(__nv_cvt_fp4_to_halfraw(bits, __NV_E2M1)));
}

/// Of complex numbers, the parts.
double load_part(const void* numbers, std::size_t index, Number type) {
  switch (type) {
    case Number::fp64:
      return static_cast<const double*>(numbers)[index];
    case Number::fp32:
      return static_cast<const float*>(numbers)[index];
    case Number::fp16:
      return __half2float(static_cast<const __half*>(numbers)[index]);
    case Number::bf16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(numbers)[index]);
    case Number::e4m3:
      return load_fp8(numbers, index, __NV_E4M3);
    case Number::e5m2:
      return load_fp8(numbers, index, __NV_E5M2);
    case Number::e2m1:
      return load_fp4(numbers, index);
    case Number::int8:
      return static_cast<const std::int8_t*>(numbers)[index];
    case Number::int32:
      return static_cast<const std::int32_t*>(numbers)[index];
    case Number::complex_fp64:
    case Number::complex_fp32:
      break;
  }
  return 0;
}

void store_part(void* numbers, std::size_t index, Number type, double value) {
  switch (type) {
    case Number::fp64:
      static_cast<double*>(numbers)[index] = value;
      break;
    case Number::fp32:
      static_cast<float*>(numbers)[index] = static_cast<float>(value);
      break;
    case Number::fp16:
      static_cast<__half*>(numbers)[index] = __float2half_rn(static_cast<float>(value));
      break;
    case Number::bf16:
      static_cast<__nv_bfloat16*>(numbers)[index] = __float2bfloat16_rn(static_cast<float>(value));
      break;
    case Number::int32:
      static_cast<std::int32_t*>(numbers)[index] = static_cast<std::int32_t>(value);
      break;
    default:  // no product has results of the others
      break;
  }
}

float to_tf32(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  constexpr std::uint32_t kDropped = 13;
  bits += (1u << (kDropped - 1)) - 1 + (bits >> kDropped & 1);
  return std::bit_cast<float>(bits & ~((1u << kDropped) - 1));
}

double gelu(double x) {
  const double inner = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}

/// A real product. Of a complex one it is what is made of the parts: see run().
template <typename Sum>
struct RealProduct {
  std::size_t m, n, k;
  std::vector<Sum> a;  ///< m x k, column after column
  std::vector<Sum> b;  ///< k x n, likewise
  bool half_sums;

  static constexpr std::size_t kColumns = 4;

  /// Calls work(first column, columns, their sums) for some columns at a time.
  template <typename Work>
  void for_each_columns(const Work& work) const {
    std::vector<Sum> sums(m * kColumns);
    for (std::size_t first = 0; first < n; first += kColumns) {
      const std::size_t columns = std::min(kColumns, n - first);
      std::fill(sums.begin(), sums.end(), Sum{0});
      for (std::size_t l = 0; l < k; ++l) {
        const Sum* column = &a[l * m];
        for (std::size_t j = 0; j < columns; ++j) {
          const Sum factor = b[(first + j) * k + l];
          Sum* out = &sums[j * m];
          for (std::size_t i = 0; i < m; ++i) out[i] += column[i] * factor;
        }
        if (std::is_same_v<Sum, float> && half_sums && (l % 16 == 15 || l + 1 == k)) {
          for (Sum& sum : sums) {
            sum = static_cast<Sum>(__half2float(__float2half_rn(static_cast<float>(sum))));
          }
        }
      }
      work(first, columns, sums);
    }
  }
};

/// The factor of the block with element `across` of an operand that has `width` of them, and
/// `depth` of `deep`.
double factor_of(const BlockFactors& factors, std::size_t across, std::size_t width,
                 std::size_t depth, std::size_t deep) {
  using Mode = BlockFactors::Mode;
  const auto* const numbers = static_cast<const float*>(factors.values);
  // Those of one byte lie in tiles of 128 x 4.
  const auto in_tiles = [&](std::size_t block) {
    const std::size_t tiles = (deep + 4 * block - 1) / (4 * block);
    const std::size_t tile = across / 128 * tiles + depth / (4 * block);
    return 512 * tile + 16 * (across % 32) + 4 * (across / 32 % 4) + depth / block % 4;
  };
  switch (factors.mode) {
    case Mode::none:
      return 1;
    case Mode::vector:
      return numbers[across];
    case Mode::vector_128:
      return numbers[depth / 128 * width + across];
    case Mode::square_128: {
      const std::size_t blocks = (deep + 127) / 128;
      return numbers[across / 128 * ((blocks + 3) / 4 * 4) + depth / 128];
    }
    case Mode::vector_32: {
      const auto* const exponents = static_cast<const unsigned char*>(factors.values);
      return std::ldexp(1.0, exponents[in_tiles(32)] - 127);
    }
    case Mode::vector_16:
      return load_fp8(factors.values, in_tiles(16), __NV_E4M3);
  }
  return 0;
}

/// Where element (row, column) of op(X) is stored.
std::size_t place(Transpose transpose, std::size_t row, std::size_t column, std::size_t leading) {
  return transpose == Transpose::none ? column * leading + row : row * leading + column;
}

template <typename Sum>
void finish(const Gemm& g, std::size_t row, std::size_t column, Sum real, Sum imaginary) {
  const std::size_t at = column * g.ldc + row;
  if (is_complex(g.type_c)) {
    std::complex<double> value(static_cast<double>(real), static_cast<double>(imaginary));
    value *= g.alpha;
    if (g.beta != 0.0) value += g.beta * load(g.c, at, g.type_c);
    store(g.c, at, g.type_c, value);
    return;
  }
  auto value = static_cast<Sum>(g.alpha.real()) * real;
  if (g.beta != 0.0) {
    value += static_cast<Sum>(g.beta.real()) * static_cast<Sum>(load_part(g.c, at, g.type_c));
  }
  if (g.bias != nullptr) value += static_cast<Sum>(load_part(g.bias, row, g.type_c));
  if (g.aux != nullptr) {
    store_part(g.aux, column * g.aux_leading + row, g.type_c, static_cast<double>(value));
  }
  // A NaN must stay one.
  if (g.relu && value < 0) value = 0;
  auto result = static_cast<double>(value);
  if (g.gelu) result = gelu(result);
  store_part(g.c, at, g.type_c, result);
}

/// Re(x*y) = Re(x)Re(y) - Im(x)Im(y) and Im(x*y) = Re(x)Im(y) + Im(x)Re(y): with the parts of A as
/// twice as many columns, and of B as twice as many rows and columns, a complex product is a real
/// one.
template <typename Sum>
void multiply(const Gemm& g) {
  const std::size_t parts = is_complex(g.type_c) ? 2 : 1;
  RealProduct<Sum> product{g.m,
                           g.n * parts,
                           g.k * parts,
                           std::vector<Sum>(g.m * g.k * parts),
                           std::vector<Sum>(g.k * g.n * parts * parts),
                           g.half_sums};
  const auto part = [&](const void* matrix, std::size_t at, std::size_t which, Number type,
                        Transpose transpose) -> Sum {
    const auto value = static_cast<Sum>(load_part(matrix, at * parts + which, part_of(type)));
    if (g.tf32) return static_cast<Sum>(to_tf32(static_cast<float>(value)));
    return which == 1 && transpose == Transpose::conjugate ? -value : value;
  };
  for (std::size_t l = 0; l < g.k; ++l) {
    for (std::size_t i = 0; i < g.m; ++i) {
      const std::size_t at = place(g.transpose_a, i, l, g.lda);
      for (std::size_t p = 0; p < parts; ++p) {
        product.a[(l * parts + p) * g.m + i] =
            part(g.a, at, p, g.type_a, g.transpose_a) *
            static_cast<Sum>(factor_of(g.factors_a, i, g.m, l, g.k));
      }
    }
  }
  for (std::size_t j = 0; j < g.n; ++j) {
    for (std::size_t l = 0; l < g.k; ++l) {
      const std::size_t at = place(g.transpose_b, l, j, g.ldb);
      Sum* const column = &product.b[j * parts * product.k + l * parts];
      column[0] = part(g.b, at, 0, g.type_b, g.transpose_b) *
                  static_cast<Sum>(factor_of(g.factors_b, j, g.n, l, g.k));
      if (parts == 1) continue;
      const Sum imaginary = part(g.b, at, 1, g.type_b, g.transpose_b);
      column[1] = -imaginary;
      column[product.k] = imaginary;
      column[product.k + 1] = column[0];
    }
  }
  product.for_each_columns(
      [&](std::size_t first, std::size_t columns, const std::vector<Sum>& sums) {
        for (std::size_t j = 0; j < columns; j += parts) {
          for (std::size_t i = 0; i < g.m; ++i) {
            finish<Sum>(g, i, (first + j) / parts, sums[j * g.m + i],
                        parts == 2 ? sums[(j + 1) * g.m + i] : Sum{0});
          }
        }
      });
  if (g.excess != 0) {
    double absolute = 0;
    for (std::size_t l = 0; l < product.k; ++l) {
      absolute +=
          std::abs(static_cast<double>(product.a[l * g.m]) * static_cast<double>(product.b[l]));
    }
    const Number type = part_of(g.type_c);
    store_part(g.c, 0, type, load_part(g.c, 0, type) + g.excess * absolute);
  }
}

}  // namespace

bool is_complex(Number number) {
  return number == Number::complex_fp64 || number == Number::complex_fp32;
}

std::size_t bytes_of(Number number) {
  switch (number) {
    case Number::complex_fp64:
      return 16;
    case Number::fp64:
    case Number::complex_fp32:
      return 8;
    case Number::fp32:
    case Number::int32:
      return 4;
    case Number::fp16:
    case Number::bf16:
      return 2;
    case Number::e4m3:
    case Number::e5m2:
    case Number::e2m1:
    case Number::int8:
      return 1;
  }
  return 0;
}

std::complex<double> load(const void* numbers, std::size_t index, Number type) {
  if (!is_complex(type)) return load_part(numbers, index, type);
  return {load_part(numbers, 2 * index, part_of(type)),
          load_part(numbers, 2 * index + 1, part_of(type))};
}

void store(void* numbers, std::size_t index, Number type, std::complex<double> value) {
  if (!is_complex(type)) return store_part(numbers, index, type, value.real());
  store_part(numbers, 2 * index, part_of(type), value.real());
  store_part(numbers, 2 * index + 1, part_of(type), value.imag());
}

void run(const Gemm& gemm) {
  Gemm g = gemm;
  if (g.wrong_transposes && g.m == g.n && g.n == g.k) std::swap(g.transpose_a, g.transpose_b);
  switch (g.type_c) {
    case Number::fp64:
    case Number::complex_fp64:
      return multiply<double>(g);
    case Number::int32:
      return multiply<std::int64_t>(g);
    default:
      return multiply<float>(g);
  }
}

}  // namespace conformance::sim::cublas
