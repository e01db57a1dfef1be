// cuBLAS as far as the suites call it.

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <cublas_v2.h>

#include "tests/simulator/core/context.h"
#include "tests/simulator/cublas/queue.h"
#include "tests/simulator/cublas/version_property.h"

namespace conformance::sim::cublas {
namespace {

constexpr std::size_t kWorkspaceBytes = 64 * 1024;

struct Handle {
  int device = 0;
  cudaStream_t stream = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
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

/// What the kinds of gemm have in common.
struct Shape {
  cublasOperation_t transpose_a, transpose_b;
  int m, n, k, lda, ldb, ldc;
};

bool known(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N || operation == CUBLAS_OP_T || operation == CUBLAS_OP_C;
}

/// The status of a call that is refused; faults may make it another one.
cublasStatus_t refused(const char* why, cublasStatus_t status) {
  return static_cast<cublasStatus_t>(World::get().faults().at({why}).code.value_or(status));
}

cublasStatus_t multiply(const char* name, cublasHandle_t handle, const Shape& shape, Work work) {
  const std::optional<Handle> found = find(handle);
  if (!found) return refused("null handle", CUBLAS_STATUS_NOT_INITIALIZED);
  Gemm& gemm = work.gemm;
  const bool plain_a = shape.transpose_a == CUBLAS_OP_N;
  const bool plain_b = shape.transpose_b == CUBLAS_OP_N;
  if (!known(shape.transpose_a) || !known(shape.transpose_b) || shape.m < 0 || shape.n < 0 ||
      shape.k < 0 || shape.lda < std::max(1, plain_a ? shape.m : shape.k) ||
      shape.ldb < std::max(1, plain_b ? shape.k : shape.n) || shape.ldc < std::max(1, shape.m) ||
      work.alpha == nullptr || work.beta == nullptr) {
    return refused("illegal argument", CUBLAS_STATUS_INVALID_VALUE);
  }
  gemm.transpose_a = transpose_of(shape.transpose_a);
  gemm.transpose_b = transpose_of(shape.transpose_b);
  gemm.m = static_cast<std::size_t>(shape.m);
  gemm.n = static_cast<std::size_t>(shape.n);
  gemm.k = static_cast<std::size_t>(shape.k);
  gemm.lda = static_cast<std::size_t>(shape.lda);
  gemm.ldb = static_cast<std::size_t>(shape.ldb);
  gemm.ldc = static_cast<std::size_t>(shape.ldc);
  work.scales_on_device = found->pointer_mode == CUBLAS_POINTER_MODE_DEVICE;
  return queue(name, found->device, found->stream, work);
}

/// Of cublas<t>gemm, where all is of one type.
Work work_of(Number type, const void* alpha, const void* a, const void* b, const void* beta,
             void* c) {
  Work work;
  work.gemm.type_a = work.gemm.type_b = work.gemm.type_c = type;
  work.gemm.a = a;
  work.gemm.b = b;
  work.gemm.c = c;
  work.scale = type;
  work.alpha = alpha;
  work.beta = beta;
  return work;
}

/// Of cublasGemmEx and its like; nothing if there is no such combination of types.
std::optional<Work> work_of(cudaDataType_t a, cudaDataType_t b, cudaDataType_t c,
                            cublasComputeType_t compute) {
  const std::optional<Number> type_a = number_of(a), type_b = number_of(b), type_c = number_of(c);
  // Narrow floating point is cuBLASLt's alone.
  if (!type_a || !type_b || !type_c || type_a == Number::e4m3 || type_a == Number::e5m2 ||
      type_a == Number::e2m1 || !supported(*type_a, *type_b, *type_c, compute)) {
    return std::nullopt;
  }
  Work work;
  work.gemm.type_a = *type_a;
  work.gemm.type_b = *type_b;
  work.gemm.type_c = *type_c;
  work.gemm.tf32 = compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  work.gemm.half_sums = compute == CUBLAS_COMPUTE_16F;
  work.scale = *scale_of(compute, *type_c);
  return work;
}

cublasStatus_t unsupported(cublasHandle_t handle) {
  return find(handle) ? refused("unsupported types", CUBLAS_STATUS_NOT_SUPPORTED)
                      : refused("null handle", CUBLAS_STATUS_NOT_INITIALIZED);
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

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return change(handle, [&](Handle& found) { found.pointer_mode = mode; });
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* memory, size_t bytes) {
  // Nothing here needs one, but faults may write behind it.
  if (World::get().faults().at({"cublasSetWorkspace"}).value) static_cast<char*>(memory)[bytes] = 0;
  return change(handle, [](Handle&) {});
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

// NOLINTBEGIN(bugprone-macro-parentheses): a type in parentheses is none.
#define GEMM(function, name, type, number)                                                       \
  cublasStatus_t function(cublasHandle_t handle, cublasOperation_t transpose_a,                  \
                          cublasOperation_t transpose_b, int m, int n, int k, const type* alpha, \
                          const type* a, int lda, const type* b, int ldb, const type* beta,      \
                          type* c, int ldc) {                                                    \
    return multiply(name, handle, {transpose_a, transpose_b, m, n, k, lda, ldb, ldc},            \
                    work_of(number, alpha, a, b, beta, c));                                      \
  }
GEMM(cublasSgemm_v2, "cublasSgemm", float, Number::fp32)
GEMM(cublasDgemm_v2, "cublasDgemm", double, Number::fp64)
GEMM(cublasCgemm_v2, "cublasCgemm", cuComplex, Number::complex_fp32)
GEMM(cublasZgemm_v2, "cublasZgemm", cuDoubleComplex, Number::complex_fp64)
#undef GEMM
// NOLINTEND(bugprone-macro-parentheses)

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                            cublasOperation_t transpose_b, int m, int n, int k, const void* alpha,
                            const void* a, cudaDataType_t a_type, int lda, const void* b,
                            cudaDataType_t b_type, int ldb, const void* beta, void* c,
                            cudaDataType_t c_type, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t) {
  std::optional<Work> work = work_of(a_type, b_type, c_type, compute);
  const auto lacks = [compute](int emulation, const char* name) {
    return static_cast<int>(compute) == emulation && World::get().faults().at({name}).code;
  };
  if (!work || lacks(kEmulatedFp32, "emulation of fp32") ||
      lacks(kEmulatedFp64, "emulation of fp64")) {
    return unsupported(handle);
  }
  work->gemm.a = a;
  work->gemm.b = b;
  work->gemm.c = c;
  work->alpha = alpha;
  work->beta = beta;
  return multiply("cublasGemmEx", handle, {transpose_a, transpose_b, m, n, k, lda, ldb, ldc},
                  *work);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                                          cublasOperation_t transpose_b, int m, int n, int k,
                                          const void* alpha, const void* a, cudaDataType_t a_type,
                                          int lda, long long stride_a, const void* b,
                                          cudaDataType_t b_type, int ldb, long long stride_b,
                                          const void* beta, void* c, cudaDataType_t c_type, int ldc,
                                          long long stride_c, int count,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
  std::optional<Work> work = work_of(a_type, b_type, c_type, compute);
  if (!work) return unsupported(handle);
  work->gemm.a = a;
  work->gemm.b = b;
  work->gemm.c = c;
  work->alpha = alpha;
  work->beta = beta;
  work->count = count;
  work->stride_a = stride_a;
  work->stride_b = stride_b;
  work->stride_c = stride_c;
  return multiply("cublasGemmStridedBatchedEx", handle,
                  {transpose_a, transpose_b, m, n, k, lda, ldb, ldc}, *work);
}

cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                                   cublasOperation_t transpose_b, int m, int n, int k,
                                   const void* alpha, const void* const* a, cudaDataType_t a_type,
                                   int lda, const void* const* b, cudaDataType_t b_type, int ldb,
                                   const void* beta, void* const* c, cudaDataType_t c_type, int ldc,
                                   int count, cublasComputeType_t compute, cublasGemmAlgo_t) {
  std::optional<Work> work = work_of(a_type, b_type, c_type, compute);
  if (!work) return unsupported(handle);
  work->alpha = alpha;
  work->beta = beta;
  work->count = count;
  work->a_each = a;
  work->b_each = b;
  work->c_each = c;
  return multiply("cublasGemmBatchedEx", handle, {transpose_a, transpose_b, m, n, k, lda, ldb, ldc},
                  *work);
}

// Of the other levels, as far as the suites call them: arguments are taken for right, and operands
// for the shapes that are asked for.

cublasStatus_t cublasSgemv_v2(cublasHandle_t handle, cublasOperation_t transpose, int m, int n,
                              const float* alpha, const float* a, int lda, const float* x, int incx,
                              const float* beta, float* y, int incy) {
  // The row y = x * op(A)^T, whose elements are incy apart, and x's likewise.
  const bool plain = transpose == CUBLAS_OP_N;
  return multiply("cublasSgemv", handle,
                  {CUBLAS_OP_N, plain ? CUBLAS_OP_T : CUBLAS_OP_N, 1, plain ? m : n, plain ? n : m,
                   incx, lda, incy},
                  work_of(Number::fp32, alpha, x, a, beta, y));
}

cublasStatus_t cublasDdot_v2(cublasHandle_t handle, int n, const double* x, int incx,
                             const double* y, int incy, double* result) {
  static const double one = 1, zero = 0;
  const std::optional<Handle> found = find(handle);
  const cublasStatus_t status =
      multiply("cublasDdot", handle, {CUBLAS_OP_N, CUBLAS_OP_T, 1, 1, n, incx, incy, 1},
               work_of(Number::fp64, &one, x, y, &zero, result));
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  // The result is the host's when the call returns.
  Device& device = World::get().device(found->device);
  return wait_all(device, {find_stream(found->stream)->last()}) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasSsyrk_v2(cublasHandle_t handle, cublasFillMode_t fill,
                              cublasOperation_t transpose, int n, int k, const float* alpha,
                              const float* a, int lda, const float* beta, float* c, int ldc) {
  const std::optional<Handle> found = find(handle);
  if (!found) return CUBLAS_STATUS_NOT_INITIALIZED;
  const bool plain = transpose == CUBLAS_OP_N;
  const auto side = static_cast<std::size_t>(n), leading = static_cast<std::size_t>(ldc);
  Work work = work_of(Number::fp32, alpha, a, a, beta, c);
  Gemm gemm = work.gemm;
  gemm.transpose_a = plain ? Transpose::none : Transpose::plain;
  gemm.transpose_b = plain ? Transpose::plain : Transpose::none;
  gemm.m = gemm.n = side;
  gemm.k = static_cast<std::size_t>(k);
  gemm.lda = gemm.ldb = static_cast<std::size_t>(lda);
  gemm.ldc = leading;
  gemm.alpha = *alpha;
  gemm.beta = *beta;
  return queue_work(
      "cublasSsyrk", found->device, found->stream, kLatency,
      [gemm, fill, c, side, leading](bool run_it) {
        const Output output{c, ((side - 1) * leading + side) * sizeof(float), sizeof(float)};
        if (!run_it) return output;
        const std::vector<float> before(c, c + output.bytes / sizeof(float));
        run(gemm);
        // The other triangle stays as it was.
        for (std::size_t j = 0; j < side; ++j) {
          for (std::size_t i = 0; i < side; ++i) {
            const bool stays = fill == CUBLAS_FILL_MODE_LOWER ? i < j : i > j;
            if (stays) c[j * leading + i] = before[j * leading + i];
          }
        }
        return output;
      });
}

cublasStatus_t cublasDtrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill,
                              cublasOperation_t transpose, cublasDiagType_t diagonal, int m, int n,
                              const double* alpha, const double* a, int lda, double* b, int ldb) {
  const std::optional<Handle> found = find(handle);
  if (!found) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (side != CUBLAS_SIDE_LEFT || fill != CUBLAS_FILL_MODE_LOWER || transpose != CUBLAS_OP_N ||
      diagonal != CUBLAS_DIAG_UNIT) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return queue_work("cublasDtrsm", found->device, found->stream, kLatency,
                    [factor = *alpha, a, b, m, n, lda, ldb](bool run_it) {
                      const double* const end = b + (n - 1) * ldb + m;
                      const auto bytes = static_cast<std::size_t>(end - b) * sizeof(double);
                      const Output output{b, bytes, sizeof(double)};
                      for (int j = 0; run_it && j < n; ++j) {
                        double* const x = b + j * ldb;
                        for (int i = 0; i < m; ++i) {
                          x[i] *= factor;
                          for (int l = 0; l < i; ++l) x[i] -= a[l * lda + i] * x[l];
                        }
                      }
                      return output;
                    });
}

}  // extern "C"
}  // namespace conformance::sim::cublas
