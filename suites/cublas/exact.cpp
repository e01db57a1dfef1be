#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "suites/cublas/exact_bench.h"

namespace conformance::cublas {
namespace {

class Exact : public MatmulTest {};

constexpr std::string_view kSource =
    "cuBLAS: cublas<t>gemm, cublasGemmEx; IEEE 754: integers within the significand are exact";

constexpr std::string_view kEmulationSource =
    "cuBLAS: cublasComputeType_t, floating point emulation; IEEE 754: integers within the "
    "significand are exact";

constexpr std::string_view kLtSource =
    "cuBLAS: cublasLtMatmul, data types for FP8; IEEE 754: integers within the significand are "
    "exact";

constexpr std::array<Transposes, 4> kTransposes{{{CUBLAS_OP_N, CUBLAS_OP_N},
                                                 {CUBLAS_OP_N, CUBLAS_OP_T},
                                                 {CUBLAS_OP_T, CUBLAS_OP_N},
                                                 {CUBLAS_OP_T, CUBLAS_OP_T}}};
constexpr std::array<Transposes, 5> kComplexTransposes{{{CUBLAS_OP_N, CUBLAS_OP_N},
                                                        {CUBLAS_OP_N, CUBLAS_OP_C},
                                                        {CUBLAS_OP_C, CUBLAS_OP_N},
                                                        {CUBLAS_OP_C, CUBLAS_OP_T},
                                                        {CUBLAS_OP_T, CUBLAS_OP_C}}};

/// What the precision allows of the transposes that are tried.
std::vector<Transposes> transposes_of(const Precision& precision) {
  if (precision.only_tn) return {{CUBLAS_OP_T, CUBLAS_OP_N}};
  if (is_complex(precision)) return {kComplexTransposes.begin(), kComplexTransposes.end()};
  return {kTransposes.begin(), kTransposes.end()};
}

/// How much is done for a type. `half`: the largest products have half the side, and one small
/// shape less, which keeps the whole of the types within seconds.
enum class Effort { full, half };

/// Small shapes in every combination, one of middling, odd size in every transposition, and a large
/// one.
std::vector<Multiplication> multiplications(const Precision& precision, const CudaDevice& device,
                                            Effort effort) {
  // On a small GPU all shapes are small, and it is their number that takes time.
  const bool large_gpu = scaled_side(4096, device) == 4096;
  const unsigned part = effort == Effort::full && large_gpu ? 1 : 2;
  constexpr std::array<Shape, 3> kSmall{
      {{1, 1, 1, 0, 0, 0}, {17, 33, 65, 3, 1, 5}, {64, 32, 48, 0, 0, 0}}};
  const std::vector<Transposes> all_transposes = transposes_of(precision);
  const std::vector<Scale> scales = precision.only_unit_scales
                                        ? std::vector<Scale>{{1, 0}, {1, 1}}
                                        : std::vector<Scale>{{1, 0}, {-1, 1}, {2, 1}};
  std::vector<Multiplication> result;
  for (const Shape& shape : std::span(kSmall).first(kSmall.size() + 1 - part)) {
    for (const Transposes transposes : all_transposes) {
      if (!large_gpu) {
        const Scale scale = scales[result.size() % scales.size()];
        result.push_back(exact_product(precision, shape, transposes, scale));
        continue;
      }
      for (const Scale scale : scales) {
        result.push_back(exact_product(precision, shape, transposes, scale));
      }
    }
  }
  const unsigned middle = scaled_side(2000, device) / 2 / part;
  const Shape odd{middle | 1, (middle / 2) | 1, (middle - 8) | 1, 2, 7, 3};
  for (const Transposes transposes : all_transposes) {
    result.push_back(exact_product(precision, odd, transposes, scales.back()));
  }
  const unsigned side = scaled_side(4096, device) / part;
  const Shape large{side, side, side, 0, 0, 0};
  const auto last = static_cast<std::ptrdiff_t>(all_transposes.size()) - 1;
  result.push_back(exact_product(precision, large, all_transposes.front(), scales.front()));
  result.push_back(exact_product(precision, large,
                                 all_transposes[std::min(last, std::ptrdiff_t{2})], scales[1]));
  return result;
}

void check_precision(const CudaInventory& devices, const Precision& precision,
                     Effort effort = Effort::half) {
  for_each_gpu(capable(devices, precision), [&](const CudaDevice& device) {
    const std::vector<Multiplication> all = multiplications(precision, device, effort);
    std::size_t most = 0;
    for (const Multiplication& it : all) most = std::max(most, ExactBench::room_for(it));
    ExactBench bench(precision, device, most);
    for (const Multiplication& it : all) bench.check(it);
  });
}

TEST_F(Exact, DoubleProductsEqualIntegerArithmetic) {
  claim("cublasDgemm gives every element exactly where no sum needs rounding", kSource);
  check_precision(require(Devices{1}), fp64, Effort::full);
}

TEST_F(Exact, FloatProductsEqualIntegerArithmetic) {
  claim("cublasSgemm gives every element exactly where no sum needs rounding", kSource);
  check_precision(require(Devices{1}), fp32, Effort::full);
}

TEST_F(Exact, Tf32ProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUBLAS_COMPUTE_32F_FAST_TF32 gives every element exactly where no operand "
      "and no sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), tf32, Effort::full);
}

TEST_F(Exact, HalfProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_32F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), fp16, Effort::full);
}

TEST_F(Exact, Bfloat16ProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16BF and CUBLAS_COMPUTE_32F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), bf16, Effort::full);
}

TEST_F(Exact, HalfProductsWithHalfSumsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_16F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), fp16_sums);
}

TEST_F(Exact, EmulatedFloatProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUBLAS_COMPUTE_32F_EMULATED_16BFX9 gives every element exactly where no "
      "sum needs rounding",
      kEmulationSource);
  check_precision(require(Devices{1}), fp32_emulated);
}

TEST_F(Exact, EmulatedDoubleProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT gives every element exactly where "
      "no sum needs rounding",
      kEmulationSource);
  check_precision(require(Devices{1}), fp64_emulated);
}

TEST_F(Exact, Int8ProductsEqualIntegerArithmetic) {
  claim("cublasGemmEx with CUDA_R_8I and CUBLAS_COMPUTE_32I gives every element exactly", kSource);
  check_precision(require(Devices{1}), int8);
}

TEST_F(Exact, Fp8E4m3ProductsEqualIntegerArithmetic) {
  claim(
      "cublasLtMatmul with CUDA_R_8F_E4M3 gives every element exactly where no sum needs rounding",
      kLtSource);
  const CudaInventory& devices = require(Devices{1});
  check_precision(devices, e4m3);
  check_precision(devices, e4m3_to_fp32);
}

TEST_F(Exact, Fp8E5m2ProductsEqualIntegerArithmetic) {
  claim(
      "cublasLtMatmul with CUDA_R_8F_E5M2 and CUDA_R_8F_E4M3 gives every element exactly where no "
      "sum needs rounding",
      kLtSource);
  const CudaInventory& devices = require(Devices{1});
  check_precision(devices, e5m2);
  check_precision(devices, e5m2_to_fp32);
}

TEST_F(Exact, ComplexDoubleProductsEqualIntegerArithmetic) {
  claim("cublasZgemm gives both parts of every element exactly where no sum needs rounding",
        kSource);
  check_precision(require(Devices{1}), complex_fp64);
}

TEST_F(Exact, ComplexFloatProductsEqualIntegerArithmetic) {
  claim("cublasCgemm gives both parts of every element exactly where no sum needs rounding",
        kSource);
  check_precision(require(Devices{1}), complex_fp32);
}

}  // namespace
}  // namespace conformance::cublas
