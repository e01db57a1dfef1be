#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "kernels/compare.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/matmul.h"

namespace conformance::cublas {
namespace {

class Exact : public MatmulTest {};

constexpr std::string_view kSource =
    "cuBLAS: cublas<t>gemm, cublasGemmEx; IEEE 754: integers within the significand are exact";

constexpr std::string_view kLtSource =
    "cuBLAS: cublasLtMatmul, data types for FP8; IEEE 754: integers within the significand are "
    "exact";

/// Every byte of memory that holds no value. In each of the types it makes a NaN, so that an
/// element that was not written, or was read from between the columns, shows.
constexpr unsigned char kPoison = 0xFF;
/// Columns after the last one of C, which must stay as they are.
constexpr unsigned kGuardColumns = 2;

struct Scale {
  int alpha, beta;
};
struct Transposes {
  cublasOperation_t a, b;
};
constexpr std::array<Transposes, 4> kTransposes{{{CUBLAS_OP_N, CUBLAS_OP_N},
                                                 {CUBLAS_OP_N, CUBLAS_OP_T},
                                                 {CUBLAS_OP_T, CUBLAS_OP_N},
                                                 {CUBLAS_OP_T, CUBLAS_OP_T}}};
constexpr std::array<Transposes, 5> kComplexTransposes{{{CUBLAS_OP_N, CUBLAS_OP_N},
                                                        {CUBLAS_OP_N, CUBLAS_OP_C},
                                                        {CUBLAS_OP_C, CUBLAS_OP_N},
                                                        {CUBLAS_OP_C, CUBLAS_OP_T},
                                                        {CUBLAS_OP_T, CUBLAS_OP_C}}};

struct Shape {
  unsigned m, n, k;
  /// How many elements more than needed lie from one column to the next.
  unsigned pad_a, pad_b, pad_c;
};

unsigned multiple_of(unsigned step, unsigned at_least) {
  return (at_least + step - 1) / step * step;
}

kernels::MatrixLayout layout(const Precision& precision, unsigned rows, unsigned columns,
                             unsigned pad, cublasOperation_t operation) {
  const bool transposed = operation != CUBLAS_OP_N;
  return {rows, columns, multiple_of(precision.leading_step, (transposed ? columns : rows) + pad),
          transposed, operation == CUBLAS_OP_C};
}

/// Of 1024 elements, how many to draw so that Σ|a·b| stays near a fifth of what the narrowest step
/// of the product can hold: alpha 2 and the spread of the sum then fit with room.
int drawn_in_1024(const Precision& precision, unsigned depth) {
  const double mean = (std::exp2(precision.integer_bits) - 1) / 2;
  const double all = depth * mean * mean;
  const double share = std::sqrt(static_cast<double>(precision.exact_limit) / 5 / all);
  return std::clamp(static_cast<int>(share * 1024), 1, 1024);
}

/// The shape as cuBLAS allows it for the precision.
Multiplication multiplication(const Precision& precision, const Shape& shape, Transposes transposes,
                              Scale scale) {
  const std::uint64_t seed = Session::current().settings().seed;
  const unsigned m = multiple_of(precision.dimension_step, shape.m);
  const unsigned n = multiple_of(precision.dimension_step, shape.n);
  const unsigned k = multiple_of(precision.dimension_step, shape.k);
  const int drawn = drawn_in_1024(precision, is_complex(precision) ? 2 * k : k);
  return {
      {m, n, k, kernels::random_matrix(seed, 0, precision.integer_bits, drawn, 1),
       kernels::random_matrix(seed, 1, precision.integer_bits, drawn, 1),
       kernels::random_matrix(seed, 2, 1, 1024, 1), scale.alpha, scale.beta, is_complex(precision)},
      layout(precision, m, k, shape.pad_a, transposes.a),
      layout(precision, k, n, shape.pad_b, transposes.b),
      layout(precision, m, n, shape.pad_c, CUBLAS_OP_N)};
}

/// Which part of a complex element a column of the real product is (see kernels::Product).
std::string_view part_name(const kernels::Product& product, unsigned column) {
  if (!product.complex) return "";
  return column % 2 == 0 ? ", real part" : ", imaginary part";
}

/// What a device needs to compute and check products of one type.
class Bench {
 public:
  Bench(const Precision& precision, const CudaDevice& device, std::size_t most_elements)
      : precision_(precision),
        subject_(device.subject()),
        handle_(stream_),
        a_(most_elements * kernels::bytes_of(precision.element)),
        b_(most_elements * kernels::bytes_of(precision.element_b)),
        c_(most_elements * kernels::bytes_of(precision.result)),
        product_check_(stream_),
        guard_check_(stream_) {}

  /// Computes one product and compares every element and everything around it.
  void check(const Multiplication& it) {
    const kernels::Product& product = it.product;
    const unsigned stored_columns = product.n + kGuardColumns;
    const kernels::Element element = precision_.result;
    prepare(a_, precision_.element, it.a, &product.a, it.a.transposed ? product.m : product.k);
    prepare(b_, precision_.element_b, it.b, &product.b, it.b.transposed ? product.k : product.n);
    // With beta 0 a NaN in C must not reach the result.
    prepare(c_, element, it.c, product.beta == 0 ? nullptr : &product.c, stored_columns);
    ensure(multiply(handle_, precision_, it, a_.data(), b_.data(), c_.data()));
    ensure(CONFORMANCE_CALL(kernels::check_exact_product(c_.data(), element, it.c.leading, product,
                                                         precision_.exact_limit,
                                                         product_check_.data(), stream_.get())));
    ensure(CONFORMANCE_CALL(kernels::check_around_matrix(
        c_.data(), element, it.c, stored_columns, kPoison, guard_check_.data(), stream_.get())));
    const kernels::ProductCheck found = product_check_.take(subject_);
    const kernels::Mismatch around = guard_check_.take(subject_);
    judge(it, found, around);
    verified(std::uint64_t{product.m} * product.n, "elements");
  }

 private:
  void prepare(const DeviceBuffer<std::byte>& buffer, kernels::Element element,
               const kernels::MatrixLayout& layout, const kernels::MatrixValues* values,
               unsigned stored_columns) {
    const std::size_t bytes =
        std::size_t{layout.leading} * stored_columns * kernels::bytes_of(element);
    if (bytes > buffer.bytes()) throw std::logic_error("a matrix is larger than its buffer");
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(buffer.data(), kPoison, bytes, stream_.get())));
    if (values == nullptr) return;
    ensure(CONFORMANCE_CALL(
        kernels::fill_matrix(buffer.data(), element, layout, *values, stream_.get())));
  }

  void judge(const Multiplication& it, const kernels::ProductCheck& found,
             const kernels::Mismatch& around) {
    const kernels::Product& product = it.product;
    bool good = expect(
        found.inexact == 0,
        Finding(premise_broken, subject_,
                fmt::format("{}: {} elements could round", describe(precision_, it), found.inexact),
                {{"elements", std::uint64_t{found.inexact}}}));
    if (found.wrong > 0) {
      const auto row = static_cast<unsigned>(found.first_wrong % product.m);
      const auto column = static_cast<unsigned>(found.first_wrong / product.m);
      const std::int64_t expected = kernels::exact_element(product, row, column);
      const unsigned parts = product.complex ? 2 : 1;
      const std::size_t place = std::size_t{column / parts} * it.c.leading + row;
      const double value = read_element(c_.data(), place * parts + column % parts,
                                        precision_.result, stream_, subject_);
      fail(Finding(wrong_element, subject_,
                   fmt::format("{}: {} of {} {} are wrong; row {}, column {}{} should be {}, is {}",
                               describe(precision_, it), found.wrong,
                               std::uint64_t{product.m} * kernels::real_columns(product),
                               product.complex ? "parts of elements" : "elements", row,
                               column / parts, part_name(product, column), expected, value),
                   {{"type", std::string(precision_.name)},
                    {"wrong_elements", std::uint64_t{found.wrong}},
                    {"row", std::uint64_t{row}},
                    {"column", std::uint64_t{column / parts}},
                    {"expected", expected},
                    {"found", value},
                    {"seed", Session::current().settings().seed}}));
      good = false;
    }
    good = expect(around.count == 0,
                  Finding(wrote_outside, subject_,
                          fmt::format("{}: {} elements around C changed, the first is row {} of "
                                      "column {}",
                                      describe(precision_, it), around.count,
                                      around.first_index % it.c.leading,
                                      around.first_index / it.c.leading),
                          {{"type", std::string(precision_.name)},
                           {"changed_elements", std::uint64_t{around.count}},
                           {"first", std::uint64_t{around.first_index}}})) &&
           good;
    // One failed product says it all; the thousandth repetition would only hide it.
    if (!good) throw TestEnded();
  }

  const Precision& precision_;
  const Subject subject_;
  const Stream stream_;
  const CublasHandle handle_;
  const DeviceBuffer<std::byte> a_, b_, c_;
  DeviceResult<kernels::ProductCheck> product_check_;
  DeviceResult<kernels::Mismatch> guard_check_;
};

/// What the precision allows of the transposes that are tried.
std::vector<Transposes> transposes_of(const Precision& precision) {
  if (precision.only_tn) return {{CUBLAS_OP_T, CUBLAS_OP_N}};
  if (is_complex(precision)) return {kComplexTransposes.begin(), kComplexTransposes.end()};
  return {kTransposes.begin(), kTransposes.end()};
}

/// How much is done for a type. `half`: the largest products have half the side, and one small
/// shape less, which keeps the whole of the types within seconds.
enum class Effort { full, half };

/// Small shapes in every combination, one of middling, odd size in every transposition, and a large
/// one.
std::vector<Multiplication> multiplications(const Precision& precision, const CudaDevice& device,
                                            Effort effort) {
  const unsigned part = effort == Effort::full ? 1 : 2;
  constexpr std::array<Shape, 3> kSmall{
      {{1, 1, 1, 0, 0, 0}, {17, 33, 65, 3, 1, 5}, {64, 32, 48, 0, 0, 0}}};
  const std::vector<Transposes> all_transposes = transposes_of(precision);
  const std::vector<Scale> scales = precision.only_unit_scales
                                        ? std::vector<Scale>{{1, 0}, {1, 1}}
                                        : std::vector<Scale>{{1, 0}, {-1, 1}, {2, 1}};
  std::vector<Multiplication> result;
  for (const Shape& shape : std::span(kSmall).first(kSmall.size() + 1 - part)) {
    for (const Transposes transposes : all_transposes) {
      for (const Scale scale : scales) {
        result.push_back(multiplication(precision, shape, transposes, scale));
      }
    }
  }
  const unsigned middle = scaled_side(1000, device) / part;
  const Shape odd{middle | 1, (middle / 2) | 1, (middle - 8) | 1, 2, 7, 3};
  for (const Transposes transposes : all_transposes) {
    result.push_back(multiplication(precision, odd, transposes, scales.back()));
  }
  const unsigned side = scaled_side(4096, device) / part;
  const Shape large{side, side, side, 0, 0, 0};
  const auto last = static_cast<std::ptrdiff_t>(all_transposes.size()) - 1;
  result.push_back(multiplication(precision, large, all_transposes.front(), scales.front()));
  result.push_back(multiplication(precision, large,
                                  all_transposes[std::min(last, std::ptrdiff_t{2})], scales[1]));
  return result;
}

void check_precision(const CudaInventory& devices, const Precision& precision,
                     Effort effort = Effort::half) {
  for_each_gpu(capable(devices, precision), [&](const CudaDevice& device) {
    const std::vector<Multiplication> all = multiplications(precision, device, effort);
    std::size_t most = 0;
    for (const Multiplication& it : all) {
      most = std::max({most, kernels::elements_of(it.a), kernels::elements_of(it.b),
                       kernels::elements_of(it.c) + std::size_t{kGuardColumns} * it.c.leading});
    }
    Bench bench(precision, device, most);
    for (const Multiplication& it : all) bench.check(it);
  });
}

TEST_F(Exact, DoubleProductsEqualIntegerArithmetic) {
  claim("cublasDgemm gives every element exactly where no sum needs rounding", kSource);
  check_precision(require(Devices{1}), fp64, Effort::full);
}

TEST_F(Exact, FloatProductsEqualIntegerArithmetic) {
  claim("cublasSgemm gives every element exactly where no sum needs rounding", kSource);
  check_precision(require(Devices{1}), fp32, Effort::full);
}

TEST_F(Exact, Tf32ProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUBLAS_COMPUTE_32F_FAST_TF32 gives every element exactly where no operand "
      "and no sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), tf32, Effort::full);
}

TEST_F(Exact, HalfProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_32F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), fp16, Effort::full);
}

TEST_F(Exact, Bfloat16ProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16BF and CUBLAS_COMPUTE_32F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), bf16, Effort::full);
}

TEST_F(Exact, HalfProductsWithHalfSumsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_16F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), fp16_sums);
}

TEST_F(Exact, Int8ProductsEqualIntegerArithmetic) {
  claim("cublasGemmEx with CUDA_R_8I and CUBLAS_COMPUTE_32I gives every element exactly", kSource);
  check_precision(require(Devices{1}), int8);
}

TEST_F(Exact, Fp8E4m3ProductsEqualIntegerArithmetic) {
  claim(
      "cublasLtMatmul with CUDA_R_8F_E4M3 gives every element exactly where no sum needs rounding",
      kLtSource);
  check_precision(require(Devices{1}), e4m3);
}

TEST_F(Exact, Fp8E5m2ProductsEqualIntegerArithmetic) {
  claim(
      "cublasLtMatmul with CUDA_R_8F_E5M2 and CUDA_R_8F_E4M3 gives every element exactly where no "
      "sum needs rounding",
      kLtSource);
  check_precision(require(Devices{1}), e5m2);
}

TEST_F(Exact, ComplexDoubleProductsEqualIntegerArithmetic) {
  claim("cublasZgemm gives both parts of every element exactly where no sum needs rounding",
        kSource);
  check_precision(require(Devices{1}), complex_fp64);
}

TEST_F(Exact, ComplexFloatProductsEqualIntegerArithmetic) {
  claim("cublasCgemm gives both parts of every element exactly where no sum needs rounding",
        kSource);
  check_precision(require(Devices{1}), complex_fp32);
}

}  // namespace
}  // namespace conformance::cublas
