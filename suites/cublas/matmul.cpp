#include "suites/cublas/matmul.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <dlfcn.h>

#include <cuda_fp16.h>
#include <fmt/format.h>

#include "suites/cublas/findings.h"
#include "suites/cublas/lt_matmul.h"

namespace conformance::cublas {

using kernels::Element;

const Precision fp64{.name = "fp64",
                     .element = Element::fp64,
                     .compute = CUBLAS_COMPUTE_64F,
                     .integer_bits = 19,
                     .exact_limit = std::int64_t{1} << 53,
                     .significand_bits = 53,
                     .accumulator = 0x1p-53};
const Precision fp32{.name = "fp32",
                     .element = Element::fp32,
                     .compute = CUBLAS_COMPUTE_32F,
                     .integer_bits = 5,
                     .exact_limit = std::int64_t{1} << 24,
                     .significand_bits = 24,
                     .accumulator = 0x1p-24};
const Precision tf32{.name = "tf32",
                     .element = Element::fp32,
                     .compute = CUBLAS_COMPUTE_32F_FAST_TF32,
                     .compute_capability = 80,
                     .integer_bits = 5,
                     .exact_limit = std::int64_t{1} << 24,
                     .significand_bits = 11,
                     .accumulator = 0x1p-22};
const Precision fp16{.name = "fp16",
                     .element = Element::fp16,
                     .compute = CUBLAS_COMPUTE_32F,
                     .integer_bits = 2,
                     .exact_limit = std::int64_t{1} << 11,
                     .significand_bits = 11,
                     .accumulator = 0x1p-22,
                     .output = 0x1p-11,
                     .output_smallest = 0x1p-25};
const Precision bf16{.name = "bf16",
                     .element = Element::bf16,
                     .compute = CUBLAS_COMPUTE_32F,
                     .compute_capability = 80,
                     .integer_bits = 1,
                     .exact_limit = std::int64_t{1} << 8,
                     .significand_bits = 8,
                     .accumulator = 0x1p-22,
                     .output = 0x1p-8,
                     .output_smallest = 0x1p-134};
const Precision fp16_sums{.name = "fp16-sums",
                          .element = Element::fp16,
                          .compute = CUBLAS_COMPUTE_16F,
                          .compute_capability = 53,
                          .integer_bits = 2,
                          .exact_limit = std::int64_t{1} << 11,
                          .significand_bits = 11,
                          .accumulator = 0x1p-10,
                          .longest = 256,
                          .output_smallest = 0x1p-25};
const Precision fp32_emulated{.name = "fp32-emulated",
                              .element = Element::fp32,
                              // CUBLAS_COMPUTE_32F_EMULATED_16BFX9, which older headers lack.
                              .compute = static_cast<cublasComputeType_t>(78),
                              .optional = true,
                              .integer_bits = 5,
                              .exact_limit = std::int64_t{1} << 24,
                              .significand_bits = 24,
                              .accumulator = 0x1p-18};
const Precision fp64_emulated{.name = "fp64-emulated",
                              .element = Element::fp64,
                              // CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT, which older headers lack.
                              .compute = static_cast<cublasComputeType_t>(79),
                              .optional = true,
                              .integer_bits = 19,
                              // The parts of an operand may have signs of their own.
                              .exact_limit = std::int64_t{1} << 51,
                              .significand_bits = 53,
                              .accumulator = 0x1p-53};
const Precision int8{.name = "int8",
                     .element = Element::int8,
                     .result = Element::int32,
                     .compute = CUBLAS_COMPUTE_32I,
                     .compute_capability = 61,
                     .dimension_step = 4,
                     .leading_step = 4,
                     .only_unit_scales = true,
                     .integer_bits = 7,
                     .exact_limit = (std::int64_t{1} << 31) - 1,
                     .significand_bits = 7};
const Precision e4m3{.name = "e4m3",
                     .element = Element::e4m3,
                     .result = Element::bf16,
                     .compute = CUBLAS_COMPUTE_32F,
                     .compute_capability = 89,
                     .dimension_step = 16,
                     .leading_step = 16,
                     .only_tn = true,
                     .integer_bits = 1,
                     .exact_limit = std::int64_t{1} << 8,
                     .significand_bits = 4,
                     .accumulator = 0x1p-12,
                     .longest = 2048,
                     .output = 0x1p-8,
                     .output_smallest = 0x1p-134};
const Precision e5m2{.name = "e5m2",
                     .element = Element::e5m2,
                     .element_b = Element::e4m3,
                     .result = Element::bf16,
                     .compute = CUBLAS_COMPUTE_32F,
                     .compute_capability = 89,
                     .dimension_step = 16,
                     .leading_step = 16,
                     .only_tn = true,
                     .integer_bits = 1,
                     .exact_limit = std::int64_t{1} << 8,
                     .significand_bits = 3,
                     .accumulator = 0x1p-12,
                     .longest = 2048,
                     .output = 0x1p-8,
                     .output_smallest = 0x1p-134};
const Precision e4m3_to_fp32{.name = "e4m3 to fp32",
                             .element = Element::e4m3,
                             .result = Element::fp32,
                             .compute = CUBLAS_COMPUTE_32F,
                             .compute_capability = 89,
                             .dimension_step = 16,
                             .leading_step = 16,
                             .only_tn = true,
                             .integer_bits = 4,
                             // What the tensor cores' sums hold before they are promoted.
                             .exact_limit = std::int64_t{1} << 13,
                             .significand_bits = 4,
                             .accumulator = 0x1p-12,
                             .longest = 2048};
const Precision e5m2_to_fp32{.name = "e5m2 to fp32",
                             .element = Element::e5m2,
                             .element_b = Element::e4m3,
                             .result = Element::fp32,
                             .compute = CUBLAS_COMPUTE_32F,
                             .compute_capability = 89,
                             .dimension_step = 16,
                             .leading_step = 16,
                             .only_tn = true,
                             .integer_bits = 3,
                             // What the tensor cores' sums hold before they are promoted.
                             .exact_limit = std::int64_t{1} << 13,
                             .significand_bits = 3,
                             .accumulator = 0x1p-12,
                             .longest = 2048};
const Precision e2m1{.name = "e2m1",
                     .element = Element::e2m1,
                     .result = Element::bf16,
                     .compute = CUBLAS_COMPUTE_32F,
                     .compute_capability = 100,
                     .dimension_step = 32,
                     .leading_step = 32,
                     .only_tn = true,
                     .integer_bits = 2,
                     .exact_limit = std::int64_t{1} << 8,
                     .significand_bits = 2,
                     .output = 0x1p-8,
                     .output_smallest = 0x1p-134};
const Precision complex_fp64{.name = "complex-fp64",
                             .element = Element::complex_fp64,
                             .compute = CUBLAS_COMPUTE_64F,
                             .integer_bits = 19,
                             .exact_limit = std::int64_t{1} << 53,
                             .significand_bits = 53,
                             .accumulator = 0x1p-53};
const Precision complex_fp32{.name = "complex-fp32",
                             .element = Element::complex_fp32,
                             .compute = CUBLAS_COMPUTE_32F,
                             .integer_bits = 5,
                             .exact_limit = std::int64_t{1} << 24,
                             .significand_bits = 24,
                             .accumulator = 0x1p-24};

cudaDataType_t data_type(Element element) {
  switch (element) {
    case Element::fp64:
      return CUDA_R_64F;
    case Element::fp32:
      return CUDA_R_32F;
    case Element::fp16:
      return CUDA_R_16F;
    case Element::bf16:
      return CUDA_R_16BF;
    case Element::e4m3:
      return CUDA_R_8F_E4M3;
    case Element::e5m2:
      return CUDA_R_8F_E5M2;
    case Element::e2m1:
      return CUDA_R_4F_E2M1;
    case Element::int8:
      return CUDA_R_8I;
    case Element::int32:
      return CUDA_R_32I;
    case Element::complex_fp64:
      return CUDA_C_64F;
    case Element::complex_fp32:
      return CUDA_C_32F;
  }
  throw std::logic_error("an element of no type");
}

Element scale_type(const Precision& precision) {
  if (is_complex(precision) || precision.element == Element::fp64) return precision.element;
  switch (precision.compute) {
    case CUBLAS_COMPUTE_16F:
      return Element::fp16;
    case CUBLAS_COMPUTE_32I:
      return Element::int32;
    default:
      return Element::fp32;
  }
}

bool is_complex(const Precision& precision) { return kernels::is_complex(precision.element); }

bool needs_lt(const Precision& precision) {
  return precision.element == Element::e4m3 || precision.element == Element::e5m2 ||
         precision.element == Element::e2m1;
}

namespace {

/// Unit roundoff of the sums. cuBLAS may be told to emulate fp32 wherever a program asks for it.
double sum_roundoff(const Precision& precision) {
  const char* const told = std::getenv("CUBLAS_EMULATE_SINGLE_PRECISION");
  const bool emulated = told != nullptr && std::string_view(told) != "0" &&
                        precision.compute == CUBLAS_COMPUTE_32F &&
                        kernels::part_of(precision.element) == Element::fp32;
  return emulated ? std::max(precision.accumulator, fp32_emulated.accumulator)
                  : precision.accumulator;
}

}  // namespace

kernels::ErrorBound rounding_bound(const Precision& precision, unsigned k) {
  const unsigned depth = is_complex(precision) ? 2 * k : k;
  const auto gamma = [depth](double u) { return depth * u / (1 - depth * u); };
  // The reference rounds too, and so does the Σ|a·b| that it gives.
  const double sums =
      gamma(sum_roundoff(precision)) + kernels::reference_roundoff(precision.result, depth);
  return {sums / (1 - gamma(0x1p-53)), precision.output, precision.output_smallest};
}

Scalar::Scalar(Element type, double value) {
  const auto put = [this](auto number) { std::memcpy(bytes_.data(), &number, sizeof(number)); };
  switch (type) {
    case Element::fp64:
    case Element::complex_fp64:
      put(value);
      break;
    case Element::fp32:
    case Element::complex_fp32:
      put(static_cast<float>(value));
      break;
    case Element::fp16:
      put(__half(value));
      break;
    case Element::int32:
      put(static_cast<std::int32_t>(value));
      break;
    default:
      throw std::logic_error("a scalar of no type that cuBLAS has");
  }
}

namespace {

/// The file that holds the cuBLAS in use.
std::string library_path() {
  // The address of cublasCreate in this program may be its own jump table's; dlsym's is not.
  void* const function = ::dlsym(RTLD_DEFAULT, "cublasCreate_v2");
  Dl_info info{};
  if (function == nullptr || ::dladdr(function, &info) == 0) return "unknown";
  return info.dli_fname;
}

Finding cublas_finding(const Status& status, const Subject& subject) {
  const bool set_up =
      status.code() == CUBLAS_STATUS_NOT_INITIALIZED || status.code() == CUBLAS_STATUS_ALLOC_FAILED;
  Evidence evidence{{"status", status.name()},
                    {"code", std::int64_t{status.code()}},
                    {"call", status.expression()},
                    {"library", library_path()}};
  std::string detail = fmt::format("{}; library {}", status.describe(), library_path());
  std::size_t free = 0;
  std::size_t total = 0;
  if (cudaMemGetInfo(&free, &total) == cudaSuccess) {
    evidence.add("free_bytes", free).add("total_bytes", total);
    detail += fmt::format(", {} of {} MiB of the GPU's memory are free", free >> 20, total >> 20);
  }
  return {set_up ? not_initialized : call_failed, subject, detail, evidence};
}

}  // namespace

void keep_sums_in_the_accumulator(const CublasHandle& handle) {
  ensure(CONFORMANCE_CALL(cublasSetMathMode(
      handle.get(), static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                              CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION))));
}

cublasOperation_t operation(const kernels::MatrixLayout& layout) {
  if (!layout.transposed) return CUBLAS_OP_N;
  return layout.conjugated ? CUBLAS_OP_C : CUBLAS_OP_T;
}

std::string describe(const Precision& precision, const Multiplication& multiplication) {
  const kernels::Product& product = multiplication.product;
  constexpr std::string_view kNames{"NTC"};
  return fmt::format("{} C = {}·op(A)·op(B) + {}·C, m {}, n {}, k {}, {}{}, lda {}, ldb {}, ldc {}",
                     precision.name, product.alpha, product.beta, product.m, product.n, product.k,
                     kNames[operation(multiplication.a)], kNames[operation(multiplication.b)],
                     multiplication.a.leading, multiplication.b.leading, multiplication.c.leading);
}

Status multiply(const CublasHandle& handle, const Precision& precision,
                const Multiplication& multiplication, const void* a, const void* b, void* c) {
  const kernels::Product& product = multiplication.product;
  const Scalar alpha(scale_type(precision), product.alpha);
  const Scalar beta(scale_type(precision), product.beta);
  if (needs_lt(precision)) {
    return LtMatmul(handle, precision, multiplication).queue(alpha.data(), a, b, beta.data(), c);
  }
  const cublasOperation_t transpose_a = operation(multiplication.a);
  const cublasOperation_t transpose_b = operation(multiplication.b);
  const int m = static_cast<int>(product.m);
  const int n = static_cast<int>(product.n);
  const int k = static_cast<int>(product.k);
  const int lda = static_cast<int>(multiplication.a.leading);
  const int ldb = static_cast<int>(multiplication.b.leading);
  const int ldc = static_cast<int>(multiplication.c.leading);
  // cublas<t>gemm, all alike but for the type.
  const auto gemm = [&]<typename T>(auto function, T* result) {
    return function(handle.get(), transpose_a, transpose_b, m, n, k,
                    static_cast<const T*>(alpha.data()), static_cast<const T*>(a), lda,
                    static_cast<const T*>(b), ldb, static_cast<const T*>(beta.data()), result, ldc);
  };
  if (precision.compute == CUBLAS_COMPUTE_64F || precision.compute == CUBLAS_COMPUTE_32F) {
    switch (precision.element) {
      case Element::fp64:
        return to_status(gemm(cublasDgemm, static_cast<double*>(c)), "cublasDgemm");
      case Element::fp32:
        return to_status(gemm(cublasSgemm, static_cast<float*>(c)), "cublasSgemm");
      case Element::complex_fp64:
        return to_status(gemm(cublasZgemm, static_cast<cuDoubleComplex*>(c)), "cublasZgemm");
      case Element::complex_fp32:
        return to_status(gemm(cublasCgemm, static_cast<cuComplex*>(c)), "cublasCgemm");
      default:
        break;
    }
  }
  return CONFORMANCE_CALL(cublasGemmEx(
      handle.get(), transpose_a, transpose_b, m, n, k, alpha.data(), a,
      data_type(precision.element), lda, b, data_type(precision.element_b), ldb, beta.data(), c,
      data_type(precision.result), ldc, precision.compute, CUBLAS_GEMM_DEFAULT));
}

RealPlace real_place(const Multiplication& multiplication, unsigned row, unsigned column) {
  const std::size_t leading = multiplication.c.leading;
  if (!multiplication.product.complex) return {column, "", column * leading + row};
  return {column / 2, column % 2 == 0 ? ", real part" : ", imaginary part",
          (column / 2 * leading + row) * 2 + column % 2};
}

void for_each_gpu(const CudaInventory& devices,
                  const std::function<void(const CudaDevice&)>& work) {
  for_each_device(devices, [&work](const CudaDevice& device) {
    try {
      work(device);
    } catch (const StatusError& error) {
      if (error.status().api() != "cublas") throw;
      fail_and_end(cublas_finding(error.status(), device.subject()), error.status().where());
    }
  });
}

namespace {

/// Whether the cuBLAS in use knows the arithmetic at all.
bool is_known(const Precision& precision, const CudaDevice& device) {
  bool known = false;
  for_each_gpu({device}, [&](const CudaDevice& one) {
    const Stream stream;
    const CublasHandle handle(stream);
    constexpr std::size_t kMost = 3;
    const DeviceBuffer<double> operands(kMost);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(operands.data(), 0, operands.bytes(), stream.get())));
    const kernels::MatrixLayout layout{1, 1, 1, false};
    const Status status =
        multiply(handle, precision, {{1, 1, 1, {}, {}, {}, 1, 0}, layout, layout, layout},
                 operands.data(), operands.data() + 1, operands.data() + 2);
    known = status.code() != CUBLAS_STATUS_NOT_SUPPORTED;
    if (known) ensure(status);
    synchronize(stream, one.subject());
  });
  return known;
}

}  // namespace

CudaInventory capable(const CudaInventory& devices, const Precision& precision) {
  CudaInventory result;
  int best = 0;
  for (const CudaDevice& device : devices) {
    const int capability = 10 * device.major + device.minor;
    best = std::max(best, capability);
    if (capability >= precision.compute_capability) result.push_back(device);
  }
  if (result.empty()) {
    skip(fmt::format("{} needs compute capability {}.{}; the newest GPU here has {}.{}",
                     precision.name, precision.compute_capability / 10,
                     precision.compute_capability % 10, best / 10, best % 10));
  }
  if (precision.optional && !is_known(precision, result.front())) {
    skip(fmt::format("the cuBLAS in use does not have {}", precision.name));
  }
  return result;
}

unsigned scaled_side(unsigned wanted, const CudaDevice& device) {
  const std::size_t elements =
      scaled_bytes(std::size_t{wanted} * wanted * sizeof(double), device.total_memory) /
      sizeof(double);
  return static_cast<unsigned>(std::sqrt(static_cast<double>(elements)));
}

double read_element(const void* matrix, std::size_t index, Element element, const Stream& stream,
                    const Subject& subject) {
  const PinnedBuffer<std::byte> bytes(sizeof(double));
  const std::size_t size = kernels::bytes_of(kernels::part_of(element));
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(bytes.data(),
                                          static_cast<const std::byte*>(matrix) + index * size,
                                          size, cudaMemcpyDeviceToHost, stream.get())));
  synchronize(stream, subject);
  return kernels::element_value(bytes.data(), element);
}

}  // namespace conformance::cublas
