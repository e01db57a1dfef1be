#pragma once

#include <functional>
#include <optional>

#include <cublas_v2.h>

#include "tests/simulator/cublas/gemm.h"

namespace conformance::sim::cublas {

// CUBLAS_COMPUTE_32F_EMULATED_16BFX9 and CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT, which older
// headers lack.
inline constexpr int kEmulatedFp32 = 78;
inline constexpr int kEmulatedFp64 = 79;

std::optional<Number> number_of(cudaDataType_t type);
/// The type of alpha and beta; nothing for an arithmetic that there is not.
std::optional<Number> scale_of(cublasComputeType_t compute, Number result);
/// Whether C may be a product of A and B in this arithmetic.
bool supported(Number a, Number b, Number c, cublasComputeType_t compute);
Transpose transpose_of(cublasOperation_t operation);

/// One product, or several of one shape.
struct Work {
  Gemm gemm;  ///< its alpha and beta are those of `scale` at the two addresses below
  Number scale = Number::fp32;
  const void* alpha = nullptr;
  const void* beta = nullptr;
  bool scales_on_device = false;   ///< they are read when the work runs
  const float* scale_a = nullptr;  ///< on the GPU: further factors, if not null
  const float* scale_b = nullptr;
  long long count = 1;
  long long stride_a = 0, stride_b = 0, stride_c = 0;  ///< elements from one product to the next
  // Instead, where each product's operands are; in the GPU's memory.
  const void* const* a_each = nullptr;
  const void* const* b_each = nullptr;
  void* const* c_each = nullptr;
};

/// What an operation writes.
struct Output {
  void* memory = nullptr;
  std::size_t bytes = 0, element_bytes = 1;
};

/// Queues work of the call `name`; called with false, it only says what it writes.
cublasStatus_t queue_work(const char* name, int device, cudaStream_t stream, double seconds,
                          std::function<Output(bool)> work);

/// Queues products. Beside the faults of the call `name`, it asks for those of its defects, which
/// are values: "<name>:transposes", and so on; see README.md.
cublasStatus_t queue(const char* name, int device, cudaStream_t stream, Work work);

}  // namespace conformance::sim::cublas
