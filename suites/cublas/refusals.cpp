#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "suites/cublas/calls_test.h"
#include "suites/cublas/exact_bench.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/lt_matmul.h"

namespace conformance::cublas {
namespace {

/// A call that must be refused, and with which status.
struct Refusal {
  std::string_view call;
  cublasStatus_t expected;
  std::function<cublasStatus_t()> make;
};

void expect_refusals(const std::vector<Refusal>& refusals, const Subject& subject) {
  for (const Refusal& refusal : refusals) {
    const cublasStatus_t found = refusal.make();
    expect(found == refusal.expected,
           Finding(wrong_status, subject,
                   fmt::format("{}: the status should be {}, is {}", refusal.call,
                               cublasGetStatusName(refusal.expected), cublasGetStatusName(found)),
                   {{"call", std::string(refusal.call)},
                    {"expected", std::string(cublasGetStatusName(refusal.expected))},
                    {"found", std::string(cublasGetStatusName(found))}}));
  }
  verified(refusals.size(), "calls");
}

/// A product that must still be right after calls were refused.
Multiplication plain_product() {
  return exact_product(fp32, {8, 8, 8}, {CUBLAS_OP_N, CUBLAS_OP_N}, {1, 1});
}

TEST_F(Calls, WrongArgumentsAreRefusedAndTheLibraryWorksOn) {
  claim(
      "A null handle, negative dimensions, leading dimensions that are too small and missing "
      "scalars are refused with the documented status, and later calls are not affected",
      "cuBLAS: cublasStatus_t, cublasCreate, cublas<t>gemm, cublasGemmEx");
  for_each_gpu(require(Devices{1}), [](const CudaDevice& device) {
    const Multiplication it = plain_product();
    ExactBench bench(fp32, device, 2 * ExactBench::room_for(it));
    const cublasHandle_t handle = bench.handle().get();
    const float one = 1;
    const auto sgemm = [&](cublasHandle_t with, cublasOperation_t op_a, cublasOperation_t op_b,
                           int m, int n, int k, int lda, int ldb, int ldc,
                           const float* alpha = nullptr, const float* beta = nullptr) {
      return cublasSgemm(with, op_a, op_b, m, n, k, alpha, static_cast<const float*>(bench.a()),
                         lda, static_cast<const float*>(bench.b()), ldb, beta,
                         static_cast<float*>(bench.c()), ldc);
    };
    const auto wrong = [&](std::string_view what, cublasOperation_t op_a, cublasOperation_t op_b,
                           int m, int n, int k, int lda, int ldb, int ldc) {
      return Refusal{what, CUBLAS_STATUS_INVALID_VALUE, [=, &one, &sgemm] {
                       return sgemm(handle, op_a, op_b, m, n, k, lda, ldb, ldc, &one, &one);
                     }};
    };
    const auto gemm_ex = [&](cublasHandle_t with, int m, int lda) {
      return cublasGemmEx(with, CUBLAS_OP_N, CUBLAS_OP_N, m, 8, 8, &one, bench.a(), CUDA_R_32F, lda,
                          bench.b(), CUDA_R_32F, 8, &one, bench.c(), CUDA_R_32F, 8,
                          CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    };
    constexpr cublasOperation_t kN = CUBLAS_OP_N, kT = CUBLAS_OP_T;
    expect_refusals(
        {
            {"cublasCreate(nullptr)", CUBLAS_STATUS_INVALID_VALUE,
             [] { return cublasCreate(nullptr); }},
            {"cublasDestroy(nullptr)", CUBLAS_STATUS_NOT_INITIALIZED,
             [] { return cublasDestroy(nullptr); }},
            {"cublasSetStream(nullptr, stream)", CUBLAS_STATUS_NOT_INITIALIZED,
             [&] { return cublasSetStream(nullptr, bench.stream().get()); }},
            {"cublasSgemm with a null handle", CUBLAS_STATUS_NOT_INITIALIZED,
             [&] { return sgemm(nullptr, kN, kN, 8, 8, 8, 8, 8, 8, &one, &one); }},
            {"cublasGemmEx with a null handle", CUBLAS_STATUS_NOT_INITIALIZED,
             [&] { return gemm_ex(nullptr, 8, 8); }},
            wrong("cublasSgemm, m -1", kN, kN, -1, 8, 8, 8, 8, 8),
            wrong("cublasSgemm, n -1", kN, kN, 8, -1, 8, 8, 8, 8),
            wrong("cublasSgemm, k -1", kN, kN, 8, 8, -1, 8, 8, 8),
            wrong("cublasSgemm, NN, lda 7 of m 8", kN, kN, 8, 4, 4, 7, 8, 8),
            wrong("cublasSgemm, TN, lda 7 of k 8", kT, kN, 4, 4, 8, 7, 8, 8),
            wrong("cublasSgemm, NN, ldb 7 of k 8", kN, kN, 4, 4, 8, 8, 7, 8),
            wrong("cublasSgemm, NT, ldb 7 of n 8", kN, kT, 4, 8, 4, 8, 7, 8),
            wrong("cublasSgemm, ldc 7 of m 8", kN, kN, 8, 4, 4, 8, 8, 7),
            {"cublasSgemm without alpha", CUBLAS_STATUS_INVALID_VALUE,
             [&] { return sgemm(handle, kN, kN, 8, 8, 8, 8, 8, 8, nullptr, &one); }},
            {"cublasSgemm without beta", CUBLAS_STATUS_INVALID_VALUE,
             [&] { return sgemm(handle, kN, kN, 8, 8, 8, 8, 8, 8, &one, nullptr); }},
            {"cublasGemmEx, m -1", CUBLAS_STATUS_INVALID_VALUE,
             [&] { return gemm_ex(handle, -1, 8); }},
            {"cublasGemmEx, lda 7 of m 8", CUBLAS_STATUS_INVALID_VALUE,
             [&] { return gemm_ex(handle, 8, 7); }},
        },
        bench.subject());
    bench.check(it);
  });
}

TEST_F(Calls, UnsupportedTypesAreRefusedAndTheLibraryWorksOn) {
  claim(
      "Combinations of types that the documentation does not list are refused with "
      "CUBLAS_STATUS_NOT_SUPPORTED by cublasGemmEx and by the heuristic of cuBLASLt, and later "
      "calls are not affected",
      "cuBLAS: cublasGemmEx, cublasLtMatmul, cublasLtMatmulAlgoGetHeuristic");
  for_each_gpu(require(Devices{1}), [](const CudaDevice& device) {
    const Multiplication it = plain_product();
    ExactBench bench(fp32, device, 16 * ExactBench::room_for(it));
    // Of the widest type: 1 in each is as good as another number, as none may be read.
    const double one = 1;
    const auto gemm_ex = [&](std::string_view what, cudaDataType_t a, cudaDataType_t b,
                             cudaDataType_t c, cublasComputeType_t compute) {
      return Refusal{what, CUBLAS_STATUS_NOT_SUPPORTED, [=, &bench, &one] {
                       return cublasGemmEx(bench.handle().get(), CUBLAS_OP_N, CUBLAS_OP_N, 8, 8, 8,
                                           &one, bench.a(), a, 8, bench.b(), b, 8, &one, bench.c(),
                                           c, 8, compute, CUBLAS_GEMM_DEFAULT);
                     }};
    };
    std::vector<Refusal> refusals{gemm_ex("cublasGemmEx of fp64 and fp32", CUDA_R_64F, CUDA_R_32F,
                                          CUDA_R_64F, CUBLAS_COMPUTE_64F),
                                  gemm_ex("cublasGemmEx of fp16 and bf16", CUDA_R_16F, CUDA_R_16BF,
                                          CUDA_R_16F, CUBLAS_COMPUTE_32F),
                                  gemm_ex("cublasGemmEx of fp16 with sums of fp64", CUDA_R_16F,
                                          CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_64F),
                                  gemm_ex("cublasGemmEx of fp32 with results of fp16", CUDA_R_32F,
                                          CUDA_R_32F, CUDA_R_16F, CUBLAS_COMPUTE_32F),
                                  gemm_ex("cublasGemmEx of fp32 with sums of int32", CUDA_R_32F,
                                          CUDA_R_32F, CUDA_R_32I, CUBLAS_COMPUTE_32I)};
    const auto lt = [&](std::string_view what, Precision precision, Transposes transposes) {
      precision.only_tn = false;
      return Refusal{what, CUBLAS_STATUS_NOT_SUPPORTED, [=, &bench] {
                       try {
                         const Multiplication product =
                             exact_product(precision, {64, 32, 48}, transposes, {1, 0});
                         const LtMatmul made(bench.handle(), precision, product);
                       } catch (const StatusError& error) {
                         return static_cast<cublasStatus_t>(error.status().code());
                       }
                       return CUBLAS_STATUS_SUCCESS;
                     }};
    };
    constexpr Transposes kTn{CUBLAS_OP_T, CUBLAS_OP_N};
    Precision both_e5m2 = e5m2;
    both_e5m2.element_b = kernels::Element::e5m2;
    refusals.push_back(lt("cublasLtMatmulAlgoGetHeuristic for e5m2 and e5m2", both_e5m2, kTn));
    Precision in_double = e4m3;
    in_double.compute = CUBLAS_COMPUTE_64F;
    refusals.push_back(
        lt("cublasLtMatmulAlgoGetHeuristic for e4m3 with sums of fp64", in_double, kTn));
    // The documentation names Ada and Hopper, among others, for what follows.
    if (device.major == 9 || (device.major == 8 && device.minor == 9)) {
      refusals.push_back(
          lt("cublasLtMatmulAlgoGetHeuristic for e4m3, NN", e4m3, {CUBLAS_OP_N, CUBLAS_OP_N}));
    }
    expect_refusals(refusals, bench.subject());
    bench.check(it);
  });
}

}  // namespace
}  // namespace conformance::cublas
