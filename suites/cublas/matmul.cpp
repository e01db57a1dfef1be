#include "suites/cublas/matmul.h"

#include <cmath>
#include <cstdint>
#include <iterator>

#include <dlfcn.h>

#include <fmt/format.h>

#include "suites/cublas/findings.h"

namespace conformance::cublas {

using kernels::Element;

const Precision fp64{.name = "fp64",
                     .element = Element::fp64,
                     .type = CUDA_R_64F,
                     .compute = CUBLAS_COMPUTE_64F,
                     .integer_bits = 19,
                     .exact_limit = std::int64_t{1} << 53,
                     .significand_bits = 53,
                     .accumulator = 0x1p-53};
const Precision fp32{.name = "fp32",
                     .element = Element::fp32,
                     .type = CUDA_R_32F,
                     .compute = CUBLAS_COMPUTE_32F,
                     .integer_bits = 5,
                     .exact_limit = std::int64_t{1} << 24,
                     .significand_bits = 24,
                     .accumulator = 0x1p-24};
const Precision tf32{.name = "tf32",
                     .element = Element::fp32,
                     .type = CUDA_R_32F,
                     .compute = CUBLAS_COMPUTE_32F_FAST_TF32,
                     .compute_capability = 8,
                     .integer_bits = 5,
                     .exact_limit = std::int64_t{1} << 24,
                     .significand_bits = 11,
                     .accumulator = 0x1p-22};
const Precision fp16{.name = "fp16",
                     .element = Element::fp16,
                     .type = CUDA_R_16F,
                     .compute = CUBLAS_COMPUTE_32F,
                     .integer_bits = 2,
                     .exact_limit = std::int64_t{1} << 11,
                     .significand_bits = 11,
                     .accumulator = 0x1p-22,
                     .output = 0x1p-11,
                     .output_smallest = 0x1p-25};
const Precision bf16{.name = "bf16",
                     .element = Element::bf16,
                     .type = CUDA_R_16BF,
                     .compute = CUBLAS_COMPUTE_32F,
                     .compute_capability = 8,
                     .integer_bits = 1,
                     .exact_limit = std::int64_t{1} << 8,
                     .significand_bits = 8,
                     .accumulator = 0x1p-22,
                     .output = 0x1p-8,
                     .output_smallest = 0x1p-134};

namespace {

cublasOperation_t operation(const kernels::MatrixLayout& layout) {
  return layout.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
}

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

std::string describe(const Precision& precision, const Multiplication& multiplication) {
  const kernels::Product& product = multiplication.product;
  return fmt::format("{} C = {}·op(A)·op(B) + {}·C, m {}, n {}, k {}, {}{}, lda {}, ldb {}, ldc {}",
                     precision.name, product.alpha, product.beta, product.m, product.n, product.k,
                     multiplication.a.transposed ? 'T' : 'N',
                     multiplication.b.transposed ? 'T' : 'N', multiplication.a.leading,
                     multiplication.b.leading, multiplication.c.leading);
}

Status multiply(const CublasHandle& handle, const Precision& precision,
                const Multiplication& multiplication, const void* a, const void* b, void* c) {
  const kernels::Product& product = multiplication.product;
  const cublasOperation_t transpose_a = operation(multiplication.a);
  const cublasOperation_t transpose_b = operation(multiplication.b);
  const int m = static_cast<int>(product.m);
  const int n = static_cast<int>(product.n);
  const int k = static_cast<int>(product.k);
  const int lda = static_cast<int>(multiplication.a.leading);
  const int ldb = static_cast<int>(multiplication.b.leading);
  const int ldc = static_cast<int>(multiplication.c.leading);
  if (precision.element == Element::fp64) {
    const double alpha = product.alpha;
    const double beta = product.beta;
    return CONFORMANCE_CALL(cublasDgemm(
        handle.get(), transpose_a, transpose_b, m, n, k, &alpha, static_cast<const double*>(a), lda,
        static_cast<const double*>(b), ldb, &beta, static_cast<double*>(c), ldc));
  }
  const float alpha = static_cast<float>(product.alpha);
  const float beta = static_cast<float>(product.beta);
  if (precision.element == Element::fp32 && precision.compute == CUBLAS_COMPUTE_32F) {
    return CONFORMANCE_CALL(cublasSgemm(
        handle.get(), transpose_a, transpose_b, m, n, k, &alpha, static_cast<const float*>(a), lda,
        static_cast<const float*>(b), ldb, &beta, static_cast<float*>(c), ldc));
  }
  return CONFORMANCE_CALL(cublasGemmEx(
      handle.get(), transpose_a, transpose_b, m, n, k, &alpha, a, precision.type, lda, b,
      precision.type, ldb, &beta, c, precision.type, ldc, precision.compute, CUBLAS_GEMM_DEFAULT));
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

CudaInventory capable(const CudaInventory& devices, const Precision& precision) {
  CudaInventory result;
  int best = 0;
  for (const CudaDevice& device : devices) {
    if (device.major > best) best = device.major;
    if (device.major >= precision.compute_capability) result.push_back(device);
  }
  if (result.empty()) {
    skip(fmt::format("{} needs compute capability {}.0; the newest GPU here has {}.x",
                     precision.name, precision.compute_capability, best));
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
  PinnedBuffer<std::byte> bytes(sizeof(double));
  const std::size_t size = kernels::bytes_of(element);
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(bytes.data(),
                                          static_cast<const std::byte*>(matrix) + index * size,
                                          size, cudaMemcpyDeviceToHost, stream.get())));
  synchronize(stream, subject);
  return kernels::element_value(bytes.data(), element);
}

}  // namespace conformance::cublas
