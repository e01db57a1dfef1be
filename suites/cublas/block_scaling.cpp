#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "suites/cublas/calls_test.h"
#include "suites/cublas/exact_bench.h"
#include "suites/cublas/lt_matmul.h"

namespace conformance::cublas {
namespace {

constexpr std::string_view kSource = "cuBLAS: Narrow Precision Data Types Usage, cublasLtMatmul";

/// How one operand is scaled.
struct Mode {
  cublasLtMatmulMatrixScale_t mode;
  kernels::FactorOrder order;
  unsigned across, depth;  ///< elements of a block
};
constexpr unsigned kAll = ~0U;
constexpr Mode kOuterVector{CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F,
                            kernels::FactorOrder::across, 1, kAll};
constexpr Mode kVector128{CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F, kernels::FactorOrder::across, 1,
                          128};
constexpr Mode kSquare128{CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F, kernels::FactorOrder::depth,
                          128, 128};
constexpr Mode kVector32{CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0,
                         kernels::FactorOrder::tiled_ue8m0, 1, 32};
constexpr Mode kVector16{CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3,
                         kernels::FactorOrder::tiled_ue4m3, 1, 16};

/// A way to scale both operands, and the type that it is tried with.
struct Scaling {
  std::string_view name;
  const Precision& precision;
  Mode a, b;
};

kernels::BlockFactors factors(const Mode& mode, unsigned which) {
  return {kernels::mix(Session::current().settings().seed + which), mode.order, mode.across,
          mode.depth, which == 1};
}

/// Those of `devices` that have it, of which cuBLAS's documentation says so by compute capability;
/// skips the test if none has.
CudaInventory with_capability(const CudaInventory& devices, int lowest, int highest,
                              std::string_view what) {
  CudaInventory result;
  std::copy_if(devices.begin(), devices.end(), std::back_inserter(result),
               [&](const CudaDevice& device) {
                 const int capability = 10 * device.major + device.minor;
                 return capability >= lowest && capability <= highest;
               });
  if (result.empty()) {
    skip(fmt::format("cuBLAS documents {} for compute capability {}.{}{}; no GPU here has it", what,
                     lowest / 10, lowest % 10, highest == lowest ? "" : " and higher"));
  }
  return result;
}

void check(const Scaling& scaling, const CudaDevice& device) {
  const Precision& precision = scaling.precision;
  // Several blocks along each side, the last of which are not full.
  const Multiplication it =
      exact_product(precision, {144, 144, 144, 0, 32, 16}, {CUBLAS_OP_T, CUBLAS_OP_N}, {-1, 1});
  ExactBench bench(precision, device, ExactBench::room_for(it));
  const OperandFactors by{factors(scaling.a, 0), factors(scaling.b, 1)};
  bench.fill(it, {}, &by);
  const DeviceBuffer<std::byte> a(kernels::bytes_of_factors(by.a, it.a));
  const DeviceBuffer<std::byte> b(kernels::bytes_of_factors(by.b, it.b));
  ensure(CONFORMANCE_CALL(kernels::fill_factors(a.data(), by.a, it.a, bench.stream().get())));
  ensure(CONFORMANCE_CALL(kernels::fill_factors(b.data(), by.b, it.b, bench.stream().get())));
  const DeviceBuffer<std::byte> workspace(scaled_bytes(std::size_t{32} << 20, device.total_memory));
  const Scalar alpha(scale_type(precision), it.product.alpha);
  const Scalar beta(scale_type(precision), it.product.beta);
  ensure(LtMatmul(bench.handle(), precision, it,
                  {.workspace = workspace.data(),
                   .workspace_bytes = workspace.bytes(),
                   .scale_a = a.data(),
                   .scale_b = b.data(),
                   .scale_mode_a = scaling.a.mode,
                   .scale_mode_b = scaling.b.mode})
             .queue(alpha.data(), bench.a(), bench.b(), beta.data(), bench.c()));
  bench.verify(it, {}, scaling.name);
}

void check_all(const CudaInventory& devices, std::span<const Scaling> scalings) {
  for_each_gpu(devices, [&](const CudaDevice& device) {
    for (const Scaling& scaling : scalings) check(scaling, device);
  });
}

TEST_F(Calls, Fp8OperandsAreScaledByRowsAndByBlocksOf128) {
  claim(
      "cublasLtMatmul multiplies each row of A and column of B, or each block of 128 or 128 x 128 "
      "of their 8-bit elements, by its own factor",
      kSource);
  const std::array<Scaling, 4> scalings{
      {{"factors of rows and columns", e5m2_to_fp32, kOuterVector, kOuterVector},
       {"factors of blocks of 128", e4m3_to_fp32, kVector128, kVector128},
       {"factors of blocks of 128 of A, of 128 x 128 of B", e4m3_to_fp32, kVector128, kSquare128},
       {"factors of blocks of 128 x 128 of A, of 128 of B", e4m3_to_fp32, kSquare128, kVector128}}};
  check_all(with_capability(require(Devices{1}), 90, 90, "these factors"), scalings);
}

TEST_F(Calls, Fp8OperandsAreScaledByBlocksOf32) {
  claim("cublasLtMatmul multiplies each block of 32 8-bit elements by its own power of two",
        kSource);
  const std::array<Scaling, 2> scalings{
      {{"factors of blocks of 32", e4m3_to_fp32, kVector32, kVector32},
       {"factors of blocks of 32", e5m2_to_fp32, kVector32, kVector32}}};
  check_all(with_capability(require(Devices{1}), 100, 999, "factors of blocks of 32"), scalings);
}

TEST_F(Calls, Fp4ProductsAreRightAndScaledByBlocksOf16) {
  claim(
      "cublasLtMatmul with CUDA_R_4F_E2M1 gives every element exactly where no sum needs rounding, "
      "and multiplies each block of 16 elements by its own factor",
      kSource);
  const std::array<Scaling, 1> scalings{{{"factors of blocks of 16", e2m1, kVector16, kVector16}}};
  check_all(capable(require(Devices{1}), e2m1), scalings);
}

}  // namespace
}  // namespace conformance::cublas
