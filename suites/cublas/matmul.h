#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "fixtures/cublas_handle.h"
#include "fixtures/gpu_test.h"
#include "kernels/matmul_reference.h"
#include "kernels/random_fill.h"

namespace conformance::cublas {

/// A way to multiply: the types of the matrices and of the arithmetic, what cuBLAS asks of the
/// shape, and what is known of the rounding. README.md derives the numbers.
struct Precision {
  std::string_view name;     ///< such as "fp64"
  kernels::Element element;  ///< of A
  kernels::Element element_b = element;
  kernels::Element result = element;  ///< of C
  cublasComputeType_t compute;
  int compute_capability = 0;  ///< 10·major + minor from which on GPUs have it; 0 if all do
  bool optional = false;       ///< whether there is it depends on the library: cuBLAS says so
  // What cuBLAS asks for.
  unsigned dimension_step = 1;    ///< m, n and k are multiples of it
  unsigned leading_step = 1;      ///< lda and ldb are multiples of it
  bool only_tn = false;           ///< A must be transposed, and B not
  bool only_unit_scales = false;  ///< alpha must be 1, and beta 0 or 1
  // For products that must be exact.
  int integer_bits;          ///< of the elements of A and B
  std::int64_t exact_limit;  ///< accumulator and output hold every integer up to this
  // For products of random data.
  int significand_bits;    ///< that an operand keeps on its way into the multiplier
  double accumulator = 0;  ///< unit roundoff of the sums; 0 if they are of integers
  unsigned longest = 0;    ///< the k up to which the bound on rounding is one; 0 if any
  double output = 0;       ///< unit roundoff of rounding the sum to C; 0 if they are of one type
  double output_smallest = 0;  ///< half of C's smallest positive number; 0 if they are of one type
};
extern const Precision fp64, fp32, tf32, fp16, bf16;
/// fp16 with sums of fp16; fp32 by sums of products of bf16; fp64 by those of integers.
extern const Precision fp16_sums, fp32_emulated, fp64_emulated;
/// int8 with sums and results of int32.
extern const Precision int8;
/// e4m3 by e4m3, and e5m2 by e4m3, with results of bf16.
extern const Precision e4m3, e5m2;
/// The same with results of fp32, which show all bits of the operands.
extern const Precision e4m3_to_fp32, e5m2_to_fp32;
/// e2m1 with results of bf16: only with a factor for each block of 16 elements.
extern const Precision e2m1;
extern const Precision complex_fp64, complex_fp32;

cudaDataType_t data_type(kernels::Element element);
/// The type of alpha and beta.
kernels::Element scale_type(const Precision& precision);
bool is_complex(const Precision& precision);
/// Whether cublasLtMatmul alone has it.
bool needs_lt(const Precision& precision);

/// The bound on the rounding of a product of depth `k`, for kernels::check_bounded_product.
kernels::ErrorBound rounding_bound(const Precision& precision, unsigned k);

/// alpha or beta as cuBLAS wants it.
class Scalar {
 public:
  Scalar(kernels::Element type, double value);
  const void* data() const { return bytes_.data(); }

 private:
  alignas(16) std::array<std::byte, 16> bytes_{};
};

/// Every byte of memory that holds no value. In each type of floating point it makes a NaN, which
/// no bound accepts, and of integers -1, so that an element that was not written, or was read from
/// between the columns, shows.
inline constexpr unsigned char kPoison = 0xFF;

/// Keeps the partial sums of split products out of the type of C, where no bound for the
/// accumulator would cover them. Throws StatusError.
void keep_sums_in_the_accumulator(const CublasHandle& handle);

/// A product and how its operands lie in memory.
struct Multiplication {
  kernels::Product product;
  kernels::MatrixLayout a, b, c;
};

/// Whether a matrix is taken as it lies, transposed, or transposed and conjugated.
cublasOperation_t operation(const kernels::MatrixLayout& layout);

/// "fp16 C = -1·op(A)·op(B) + 1·C, m 17, n 33, k 65, TN".
std::string describe(const Precision& precision, const Multiplication& multiplication);

/// Queues C = alpha·op(A)·op(B) + beta·C: by cublas<t>gemm for fp64, fp32 and the complex types,
/// cublasLtMatmul for e4m3 and e5m2, and cublasGemmEx for the others. To time the products that
/// need cublasLtMatmul, take LtMatmul (lt_matmul.h), which makes its choices beforehand.
Status multiply(const CublasHandle& handle, const Precision& precision,
                const Multiplication& multiplication, const void* a, const void* b, void* c);

/// An element of the real product that a complex one amounts to (kernels::Product), as it lies in
/// C.
struct RealPlace {
  unsigned column;        ///< of C
  std::string_view part;  ///< ", real part", ", imaginary part", or empty if C is not complex
  std::size_t index;      ///< in memory, counting parts
};
RealPlace real_place(const Multiplication& multiplication, unsigned row, unsigned column);

/// for_each_device, with cuBLAS's errors as findings of this layer.
void for_each_gpu(const CudaInventory& devices, const std::function<void(const CudaDevice&)>& work);

/// Those of `devices` that have `precision`; skips the test if none has. Asks cuBLAS where it is
/// optional.
CudaInventory capable(const CudaInventory& devices, const Precision& precision);

/// Base of the tests that compute products.
class MatmulTest : public GpuTest {};

/// The side of a square matrix of 8-byte elements that a test of `wanted` may use on this device.
unsigned scaled_side(unsigned wanted, const CudaDevice& device);

/// An element of a device matrix, waited for; of a complex one, `index` counts parts.
double read_element(const void* matrix, std::size_t index, kernels::Element element,
                    const Stream& stream, const Subject& subject);

}  // namespace conformance::cublas
