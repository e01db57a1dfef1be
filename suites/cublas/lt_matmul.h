#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <cublasLt.h>

#include "suites/cublas/matmul.h"

namespace conformance::cublas {

/// What cublasLtMatmul can do beside a product; all device memory is the caller's.
struct LtOptions {
  void* workspace = nullptr;  ///< aligned to 256 bytes
  std::size_t workspace_bytes = 0;
  const void* scale_a = nullptr;  ///< factors of A and B, where they are narrow; 1 if null
  const void* scale_b = nullptr;
  cublasLtMatmulMatrixScale_t scale_mode_a = CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
  cublasLtMatmulMatrixScale_t scale_mode_b = CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;  ///< one element of C's type for each row of C
  void* aux = nullptr;         ///< what GELU is applied to, of C's type
  std::int64_t aux_leading = 0;
  cublasLtPointerMode_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
};

/// A product by cublasLtMatmul, with the algorithm that its heuristic puts first: chosen when this
/// is made, so that a call costs no more than the product.
class LtMatmul {
 public:
  /// Throws StatusError; with CUBLAS_STATUS_NOT_SUPPORTED if cuBLASLt has no algorithm.
  LtMatmul(const CublasHandle& handle, const Precision& precision,
           const Multiplication& multiplication, const LtOptions& options = {});
  /// Queues the product in the handle's stream. `alpha` and `beta` are of scale_type().
  Status queue(const void* alpha, const void* a, const void* b, const void* beta, void* c) const;
  /// "algorithm 66, tile 20, stages 36, split 1": numbers as cublasLtMatmulAlgoConfigAttributes_t
  /// has them.
  std::string algorithm() const;

 private:
  struct Destroy {
    void operator()(cublasLtMatmulDesc_t operation) const;
    void operator()(cublasLtMatrixLayout_t layout) const;
  };
  using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
  static Layout layout(kernels::Element element, const kernels::MatrixLayout& matrix);

  const cublasLtHandle_t handle_;
  const cudaStream_t stream_;
  const LtOptions options_;
  std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy> operation_;
  const Layout a_, b_, c_;
  cublasLtMatmulAlgo_t algorithm_{};
};

}  // namespace conformance::cublas
