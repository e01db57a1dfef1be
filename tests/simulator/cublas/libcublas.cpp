// cuBLAS as far as the suites call it.

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <cublas_v2.h>

#include "tests/simulator/core/context.h"
#include "tests/simulator/cublas/gemm.h"
#include "tests/simulator/cublas/version_property.h"

namespace conformance::sim::cublas {
namespace {

constexpr std::size_t kWorkspaceBytes = 64 * 1024;

struct Handle {
  int device = 0;
  cudaStream_t stream = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
  void* workspace = nullptr;
};
struct Handles {
  std::mutex mutex;
  std::unordered_map<cublasHandle_t, std::unique_ptr<Handle>> all;
};
Handles& handles() {
  static auto* table = new Handles;
  return *table;
}

std::optional<Handle> find(cublasHandle_t handle) {
  const std::lock_guard lock(handles().mutex);
  const auto found = handles().all.find(handle);
  return found == handles().all.end() ? std::nullopt : std::optional(*found->second);
}

template <typename Change>
cublasStatus_t change(cublasHandle_t handle, Change apply) {
  const std::lock_guard lock(handles().mutex);
  const auto found = handles().all.find(handle);
  if (found == handles().all.end()) return CUBLAS_STATUS_NOT_INITIALIZED;
  apply(*found->second);
  return CUBLAS_STATUS_SUCCESS;
}

/// Operations per clock and multiprocessor, as NVIDIA publishes them for the two compute
/// capabilities with the largest GPUs; less for the others.
double operations_per_clock(const Gpu& gpu, const Gemm& gemm) {
  const bool hopper = gpu.major == 9, ampere = gpu.major == 8 && gpu.minor == 0;
  const bool half = gemm.type == Number::fp16 || gemm.type == Number::bf16;
  if (gemm.type == Number::fp64) return hopper ? 256 : (ampere ? 128 : 4);
  if (half) return hopper ? 4096 : (ampere ? 2048 : 512);
  if (gemm.tf32) return hopper ? 2048 : (ampere ? 1024 : 256);
  return hopper ? 256 : 128;
}

cublasStatus_t multiply(const char* name, cublasHandle_t handle, Gemm gemm, cublasOperation_t a,
                        cublasOperation_t b, int m, int n, int k, int lda, int ldb, int ldc) {
  const std::optional<Handle> found = find(handle);
  if (!found) return CUBLAS_STATUS_NOT_INITIALIZED;
  gemm.transpose_a = a != CUBLAS_OP_N;
  gemm.transpose_b = b != CUBLAS_OP_N;
  if (m < 0 || n < 0 || k < 0 || lda < std::max(1, gemm.transpose_a ? k : m) ||
      ldb < std::max(1, gemm.transpose_b ? n : k) || ldc < std::max(1, m)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  gemm.m = static_cast<std::size_t>(m);
  gemm.n = static_cast<std::size_t>(n);
  gemm.k = static_cast<std::size_t>(k);
  gemm.lda = static_cast<std::size_t>(lda);
  gemm.ldb = static_cast<std::size_t>(ldb);
  gemm.ldc = static_cast<std::size_t>(ldc);
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  const StreamPtr stream = find_stream(found->stream);
  if (!stream) return CUBLAS_STATUS_EXECUTION_FAILED;
  Device& device = World::get().device(found->device);
  const double rate = operations_per_clock(device.gpu(), gemm) * device.gpu().multiprocessors *
                      device.gpu().clock_khz * 1e3 * device.gpu().matmul_efficiency;
  const double seconds = kLatency + 2.0 * m * n * k / rate;
  Operation operation;
  operation.call = name;
  operation.device = device.index();
  operation.work = [gemm, seconds](const Firing& firing) {
    const std::size_t bytes = (gemm.ldc * (gemm.n - 1) + gemm.m) * bytes_of(gemm.type);
    const auto* out = static_cast<const char*>(gemm.c);
    std::vector<char> before;
    if (keeps_old_bytes(firing)) before.assign(out, out + bytes);
    run(gemm);
    damage(firing, gemm.c, bytes, bytes_of(gemm.type), before);
    return Outcome{seconds, 0, 0};
  };
  const Firing firing = World::get().faults().at({name, device.index()});
  if (firing.code) return static_cast<cublasStatus_t>(*firing.code);
  return submit(stream, std::move(operation), firing) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

/// A product without its shape.
Gemm gemm_of(Number type, const void* a, const void* b, void* c, double alpha, double beta) {
  Gemm gemm;
  gemm.type = type;
  gemm.a = a;
  gemm.b = b;
  gemm.c = c;
  gemm.alpha = alpha;
  gemm.beta = beta;
  return gemm;
}

std::optional<Number> number_of(cudaDataType_t type) {
  switch (type) {
    case CUDA_R_64F:
      return Number::fp64;
    case CUDA_R_32F:
      return Number::fp32;
    case CUDA_R_16F:
      return Number::fp16;
    case CUDA_R_16BF:
      return Number::bf16;
    default:
      return std::nullopt;
  }
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = nullptr;
  if (start_driver() != 0) return CUBLAS_STATUS_NOT_INITIALIZED;
  Device* device = device_at(current_ordinal());
  const Firing firing = World::get().faults().at({"cublasCreate", device->index()});
  obstruct(firing);
  if (firing.code) return static_cast<cublasStatus_t>(*firing.code);
  if (device->lost() != 0) return CUBLAS_STATUS_NOT_INITIALIZED;
  auto made = std::make_unique<Handle>();
  made->device = device->index();
  made->workspace = device->allocate(kWorkspaceBytes);
  if (made->workspace == nullptr) return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = reinterpret_cast<cublasHandle_t>(made.get());
  const std::lock_guard lock(handles().mutex);
  handles().all[*handle] = std::move(made);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  const std::optional<Handle> found = find(handle);
  if (!found) return CUBLAS_STATUS_NOT_INITIALIZED;
  Device& device = World::get().device(found->device);
  wait_all(device, device.pending());
  device.release(found->workspace);
  const std::lock_guard lock(handles().mutex);
  handles().all.erase(handle);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return change(handle, [&](Handle& found) { found.stream = stream; });
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return change(handle, [&](Handle& found) { found.mode = mode; });
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Firing firing = World::get().faults().at({"cublasGetVersion"});
  *version = firing.value ? static_cast<int>(*firing.value) : CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value) {
  return version_property(type, value);
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unknown status";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "an error of the simulated cuBLAS";
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int m, int n, int k,
                              const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  return multiply("cublasSgemm", handle, gemm_of(Number::fp32, a, b, c, *alpha, *beta), transpose_a,
                  transpose_b, m, n, k, lda, ldb, ldc);
}

cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int m, int n, int k,
                              const double* alpha, const double* a, int lda, const double* b,
                              int ldb, const double* beta, double* c, int ldc) {
  return multiply("cublasDgemm", handle, gemm_of(Number::fp64, a, b, c, *alpha, *beta), transpose_a,
                  transpose_b, m, n, k, lda, ldb, ldc);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                            cublasOperation_t transpose_b, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType a_type, int lda, const void* b,
                            cudaDataType b_type, int ldb, const void* beta, void* c,
                            cudaDataType c_type, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t) {
  const std::optional<Number> number = number_of(c_type);
  const bool wide = compute == CUBLAS_COMPUTE_64F;
  if (!number || a_type != c_type || b_type != c_type || wide != (number == Number::fp64) ||
      (!wide && compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_FAST_TF32)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const auto scale = [wide](const void* value) -> double {
    return wide ? *static_cast<const double*>(value) : *static_cast<const float*>(value);
  };
  Gemm gemm = gemm_of(*number, a, b, c, scale(alpha), scale(beta));
  gemm.tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32 && number == Number::fp32;
  return multiply("cublasGemmEx", handle, gemm, transpose_a, transpose_b, m, n, k, lda, ldb, ldc);
}

}  // extern "C"
}  // namespace conformance::sim::cublas
