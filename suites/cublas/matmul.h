#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "fixtures/cublas_handle.h"
#include "fixtures/gpu_test.h"
#include "kernels/matmul_reference.h"
#include "kernels/random_fill.h"

namespace conformance::cublas {

/// A way to multiply: the types of the matrices and of the arithmetic, and what is known of their
/// rounding. README.md derives the numbers.
struct Precision {
  std::string_view name;     ///< "fp64", "fp32", "tf32", "fp16" or "bf16"
  kernels::Element element;  ///< of A, B and C
  cudaDataType_t type;       ///< the same, as cuBLAS calls it
  cublasComputeType_t compute;
  int compute_capability = 0;  ///< major version from which GPUs have it; 0 if all do
  // For products that must be exact.
  int integer_bits;          ///< of the elements of A and B
  std::int64_t exact_limit;  ///< accumulator and output hold every integer up to this
  // For products of random data.
  int significand_bits;  ///< that an operand keeps on its way into the multiplier
  double accumulator;    ///< unit roundoff of the sums
  double output = 0;     ///< unit roundoff of rounding the sum to C; 0 if they are of one type
  double output_smallest = 0;  ///< half of C's smallest positive number; 0 if they are of one type
};
extern const Precision fp64, fp32, tf32, fp16, bf16;

/// A product and how its operands lie in memory.
struct Multiplication {
  kernels::Product product;
  kernels::MatrixLayout a, b, c;
};

/// "fp16 C = -1·op(A)·op(B) + 1·C, m 17, n 33, k 65, TN".
std::string describe(const Precision& precision, const Multiplication& multiplication);

/// Queues C = alpha·op(A)·op(B) + beta·C: cublasDgemm for fp64, cublasSgemm for fp32, cublasGemmEx
/// for the others.
Status multiply(const CublasHandle& handle, const Precision& precision,
                const Multiplication& multiplication, const void* a, const void* b, void* c);

/// for_each_device, with cuBLAS's errors as findings of this layer.
void for_each_gpu(const CudaInventory& devices, const std::function<void(const CudaDevice&)>& work);

/// Those of `devices` that have `precision`; skips the test if none has.
CudaInventory capable(const CudaInventory& devices, const Precision& precision);

/// Base of the tests that compute products.
class MatmulTest : public GpuTest {};

/// The side of a square matrix of 8-byte elements that a test of `wanted` may use on this device.
unsigned scaled_side(unsigned wanted, const CudaDevice& device);

/// An element of a device matrix, waited for.
double read_element(const void* matrix, std::size_t index, kernels::Element element,
                    const Stream& stream, const Subject& subject);

}  // namespace conformance::cublas
