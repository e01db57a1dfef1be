#include "suites/cublas/lt_matmul.h"

#include <cstdio>
#include <utility>

#include <fmt/format.h>

namespace conformance::cublas {
namespace {

void report(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    std::fprintf(stderr, "conformance: %s in a destructor: %s\n", call,
                 cublasGetStatusName(status));
  }
}

template <typename T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, T value) {
  ensure(CONFORMANCE_CALL(
      cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof(value))));
}

template <typename T>
void set(cublasLtMatmulPreference_t limits, cublasLtMatmulPreferenceAttributes_t attribute,
         T value) {
  ensure(CONFORMANCE_CALL(
      cublasLtMatmulPreferenceSetAttribute(limits, attribute, &value, sizeof(value))));
}

}  // namespace

void LtMatmul::Destroy::operator()(cublasLtMatmulDesc_t operation) const {
  report(cublasLtMatmulDescDestroy(operation), "cublasLtMatmulDescDestroy");
}
void LtMatmul::Destroy::operator()(cublasLtMatrixLayout_t layout) const {
  report(cublasLtMatrixLayoutDestroy(layout), "cublasLtMatrixLayoutDestroy");
}

LtMatmul::Layout LtMatmul::layout(kernels::Element element, const kernels::MatrixLayout& matrix) {
  cublasLtMatrixLayout_t made = nullptr;
  ensure(CONFORMANCE_CALL(cublasLtMatrixLayoutCreate(
      &made, data_type(element), matrix.transposed ? matrix.columns : matrix.rows,
      matrix.transposed ? matrix.rows : matrix.columns, matrix.leading)));
  return Layout(made);
}

LtMatmul::LtMatmul(const CublasHandle& handle, const Precision& precision,
                   const Multiplication& multiplication, const LtOptions& options)
    // cuBLAS: any cublasHandle_t can be used in place of a cublasLtHandle_t.
    : handle_(reinterpret_cast<cublasLtHandle_t>(handle.get())),
      stream_(handle.stream()),
      options_(options),
      a_(layout(precision.element, multiplication.a)),
      b_(layout(precision.element_b, multiplication.b)),
      c_(layout(precision.result, multiplication.c)) {
  cublasLtMatmulDesc_t made = nullptr;
  ensure(CONFORMANCE_CALL(
      cublasLtMatmulDescCreate(&made, precision.compute, data_type(scale_type(precision)))));
  operation_.reset(made);
  set(made, CUBLASLT_MATMUL_DESC_TRANSA, operation(multiplication.a));
  set(made, CUBLASLT_MATMUL_DESC_TRANSB, operation(multiplication.b));
  set(made, CUBLASLT_MATMUL_DESC_POINTER_MODE, options.pointer_mode);
  set(made, CUBLASLT_MATMUL_DESC_EPILOGUE, options.epilogue);
  if (options.scale_a != nullptr) {
    set(made, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, options.scale_a);
    set(made, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, options.scale_b);
    set(made, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, options.scale_mode_a);
    set(made, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, options.scale_mode_b);
  }
  if (options.bias != nullptr) set(made, CUBLASLT_MATMUL_DESC_BIAS_POINTER, options.bias);
  if (options.aux != nullptr) {
    set(made, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, options.aux);
    set(made, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, options.aux_leading);
  }
  cublasLtMatmulPreference_t limits = nullptr;
  ensure(CONFORMANCE_CALL(cublasLtMatmulPreferenceCreate(&limits)));
  const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t,
                        decltype(&cublasLtMatmulPreferenceDestroy)>
      owner(limits, &cublasLtMatmulPreferenceDestroy);
  set(limits, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, options.workspace_bytes);
  // No partial sums in the type of C, which no bound for the accumulator covers.
  set(limits, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t first{};
  int found = 0;
  ensure(CONFORMANCE_CALL(cublasLtMatmulAlgoGetHeuristic(
      handle_, made, a_.get(), b_.get(), c_.get(), c_.get(), limits, 1, &first, &found)));
  ensure(to_status(found > 0 ? first.state : CUBLAS_STATUS_NOT_SUPPORTED,
                   "cublasLtMatmulAlgoGetHeuristic"));
  algorithm_ = first.algo;
}

Status LtMatmul::queue(const void* alpha, const void* a, const void* b, const void* beta,
                       void* c) const {
  return CONFORMANCE_CALL(cublasLtMatmul(handle_, operation_.get(), alpha, a, a_.get(), b, b_.get(),
                                         beta, c, c_.get(), c, c_.get(), &algorithm_,
                                         options_.workspace, options_.workspace_bytes, stream_));
}

std::string LtMatmul::algorithm() const {
  std::string text;
  for (const auto& [attribute, name] : {std::pair{CUBLASLT_ALGO_CONFIG_ID, "algorithm"},
                                        {CUBLASLT_ALGO_CONFIG_TILE_ID, "tile"},
                                        {CUBLASLT_ALGO_CONFIG_STAGES_ID, "stages"},
                                        {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, "split"}}) {
    std::int32_t value = 0;
    std::size_t written = 0;
    ensure(CONFORMANCE_CALL(cublasLtMatmulAlgoConfigGetAttribute(&algorithm_, attribute, &value,
                                                                 sizeof(value), &written)));
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  }
  return text;
}

}  // namespace conformance::cublas
