// cuBLASLt as far as the suites call it.

#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <cublasLt.h>

#include "tests/simulator/core/context.h"
#include "tests/simulator/cublas/queue.h"
#include "tests/simulator/cublas/version_property.h"

namespace conformance::sim::cublas {
namespace {

struct Layout {
  cudaDataType_t type;
  std::uint64_t rows, columns;
  std::int64_t leading;
};

struct Description {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  std::map<cublasLtMatmulDescAttributes_t, std::vector<char>> attributes;

  template <typename T>
  T get(cublasLtMatmulDescAttributes_t attribute, T otherwise) const {
    const auto found = attributes.find(attribute);
    if (found == attributes.end()) return otherwise;
    T value;
    std::memcpy(&value, found->second.data(), sizeof(value));
    return value;
  }
};

/// The bytes of an attribute that the suites set; 0 for the others.
std::size_t size_of(cublasLtMatmulDescAttributes_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
    case CUBLASLT_MATMUL_DESC_TRANSA:
    case CUBLASLT_MATMUL_DESC_TRANSB:
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE:
    case CUBLASLT_MATMUL_DESC_B_SCALE_MODE:
      return sizeof(std::int32_t);
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return sizeof(void*);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return sizeof(std::int64_t);
    default:
      return 0;
  }
}

// The handles of cuBLASLt's objects are their addresses.
Layout& layout_of(cublasLtMatrixLayout_t layout) { return *reinterpret_cast<Layout*>(layout); }
Description& description_of(cublasLtMatmulDesc_t description) {
  return *reinterpret_cast<Description*>(description);
}

BlockFactors::Mode mode_of(std::int32_t mode) {
  switch (mode) {
    case CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F:
      return BlockFactors::Mode::vector;
    case CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F:
      return BlockFactors::Mode::vector_128;
    case CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F:
      return BlockFactors::Mode::square_128;
    case CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0:
      return BlockFactors::Mode::vector_32;
    case CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3:
      return BlockFactors::Mode::vector_16;
    default:
      return BlockFactors::Mode::none;
  }
}

/// Whether a GPU of this major revision multiplies such operands with these factors, as cuBLAS's
/// Narrow Precision Data Types Usage has it.
bool scalable(Number type, BlockFactors::Mode a, BlockFactors::Mode b, int major) {
  using Mode = BlockFactors::Mode;
  if (type == Number::e2m1) return a == Mode::vector_16 && b == a && major >= 10;
  if (a == Mode::none && b == a) return true;
  if (type != Number::e4m3 && type != Number::e5m2) return false;
  if (a == Mode::vector_32) return b == a && major >= 10;
  if (major != 9 || a == Mode::vector_16) return false;
  if (a == Mode::vector || b == Mode::vector) return a == b;
  return a == Mode::vector_128 || b == Mode::vector_128;
}

/// A product as described, as yet without memory; or why there is none.
cublasStatus_t describe(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a_layout,
                        cublasLtMatrixLayout_t b_layout, cublasLtMatrixLayout_t c_layout,
                        Work& work) {
  if (operation == nullptr || a_layout == nullptr || b_layout == nullptr || c_layout == nullptr) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const Description& description = description_of(operation);
  const Layout &a = layout_of(a_layout), &b = layout_of(b_layout), &c = layout_of(c_layout);
  const auto transpose_a = description.get(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_N);
  const auto transpose_b = description.get(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  const bool plain_a = transpose_a == CUBLAS_OP_N, plain_b = transpose_b == CUBLAS_OP_N;
  Gemm& gemm = work.gemm;
  gemm.m = c.rows;
  gemm.n = c.columns;
  gemm.k = plain_a ? a.columns : a.rows;
  if ((plain_a ? a.rows : a.columns) != gemm.m || (plain_b ? b.rows : b.columns) != gemm.k ||
      (plain_b ? b.columns : b.rows) != gemm.n) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  gemm.transpose_a = transpose_of(transpose_a);
  gemm.transpose_b = transpose_of(transpose_b);
  gemm.lda = static_cast<std::size_t>(a.leading);
  gemm.ldb = static_cast<std::size_t>(b.leading);
  gemm.ldc = static_cast<std::size_t>(c.leading);
  const auto type_a = number_of(a.type), type_b = number_of(b.type), type_c = number_of(c.type);
  if (!type_a || !type_b || !type_c || !supported(*type_a, *type_b, *type_c, description.compute)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  gemm.type_a = *type_a;
  gemm.type_b = *type_b;
  gemm.type_c = *type_c;
  using Mode = std::int32_t;
  gemm.factors_a.mode = mode_of(description.get(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, Mode{0}));
  gemm.factors_b.mode = mode_of(description.get(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, Mode{0}));
  if (!scalable(*type_a, gemm.factors_a.mode, gemm.factors_b.mode,
                device_at(current_ordinal())->gpu().major)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const bool narrow = bytes_of(*type_a) == 1 && type_a != Number::int8;
  if (narrow && (plain_a || !plain_b || gemm.m % 16 != 0 || gemm.k % 16 != 0)) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  gemm.tf32 = description.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  gemm.half_sums = description.compute == CUBLAS_COMPUTE_16F;
  work.scale = *scale_of(description.compute, *type_c);
  work.scales_on_device = description.get(CUBLASLT_MATMUL_DESC_POINTER_MODE,
                                          CUBLASLT_POINTER_MODE_HOST) != CUBLASLT_POINTER_MODE_HOST;
  const float* const none = nullptr;
  work.scale_a = description.get(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, none);
  work.scale_b = description.get(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, none);
  if (gemm.factors_a.mode != BlockFactors::Mode::none) {
    gemm.factors_a.values = std::exchange(work.scale_a, nullptr);
    gemm.factors_b.values = std::exchange(work.scale_b, nullptr);
    if (gemm.factors_a.values == nullptr || gemm.factors_b.values == nullptr) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
  }
  const auto epilogue = static_cast<unsigned>(description.get(CUBLASLT_MATMUL_DESC_EPILOGUE, 1));
  const auto has = [epilogue](cublasLtEpilogue_t bit) { return (epilogue & bit) != 0; };
  gemm.relu = has(CUBLASLT_EPILOGUE_RELU);
  gemm.gelu = has(CUBLASLT_EPILOGUE_GELU);
  void* const nowhere = nullptr;
  if (has(CUBLASLT_EPILOGUE_BIAS)) {
    gemm.bias = description.get(CUBLASLT_MATMUL_DESC_BIAS_POINTER, nowhere);
    if (gemm.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (epilogue == CUBLASLT_EPILOGUE_GELU_AUX || epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
    gemm.aux = description.get(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, nowhere);
    gemm.aux_leading = static_cast<std::size_t>(
        description.get(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{0}));
    if (gemm.aux == nullptr || gemm.aux_leading < gemm.m) return CUBLAS_STATUS_INVALID_VALUE;
  }
  return CUBLAS_STATUS_SUCCESS;
}

template <typename Object, typename Handle>
cublasStatus_t destroy(Handle handle) {
  delete reinterpret_cast<Object*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtGetProperty(libraryPropertyType type, int* value) {
  const Firing firing = World::get().faults().at({"cublasLtGetProperty"});
  if (!firing.value || value == nullptr) return version_property(type, value);
  *value = static_cast<int>(*firing.value);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Description{compute, scale, {}});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return destroy<Description>(description);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  if (value == nullptr || bytes == 0 || bytes != size_of(attribute)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto* first = static_cast<const char*>(value);
  description_of(description).attributes[attribute].assign(first, first + bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t leading) {
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, leading});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy<Layout>(layout);
}

// No algorithm here needs a workspace, so what is preferred says nothing.

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(new char);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy<char>(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void* value, size_t bytes) {
  return value != nullptr && bytes > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* found) {
  *found = 0;
  if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const int device = device_at(current_ordinal())->index();
  const Firing firing = World::get().faults().at({"cublasLtMatmulAlgoGetHeuristic", device});
  if (firing.code) return static_cast<cublasStatus_t>(*firing.code);
  Work work;
  const cublasStatus_t status = describe(operation, a, b, c, work);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
    const Firing fault = World::get().faults().at({"unsupported types", device});
    return static_cast<cublasStatus_t>(fault.code.value_or(status));
  }
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  results[0] = {};
  results[0].wavesCount = 1;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

// There is one algorithm.
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t,
                                                    void* value, size_t bytes, size_t* written) {
  if (algorithm == nullptr || value == nullptr || bytes != sizeof(std::int32_t)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memset(value, 0, bytes);
  if (written != nullptr) *written = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t*, void*, size_t, cudaStream_t stream) {
  // The suites have one matrix for C and D.
  if (alpha == nullptr || beta == nullptr || c != d) return CUBLAS_STATUS_INVALID_VALUE;
  Work work;
  const cublasStatus_t status = describe(operation, a_layout, b_layout, c_layout, work);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  work.gemm.a = a;
  work.gemm.b = b;
  work.gemm.c = d;
  work.alpha = alpha;
  work.beta = beta;
  return queue("cublasLtMatmul", device_at(current_ordinal())->index(), stream, work);
}

}  // extern "C"
}  // namespace conformance::sim::cublas
