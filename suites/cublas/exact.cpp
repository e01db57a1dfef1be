#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
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

/// Every byte of memory that holds no value. In each of the types it makes a NaN, so that an
/// element that was not written, or was read from between the columns, shows.
constexpr unsigned char kPoison = 0xFF;
/// Columns after the last one of C, which must stay as they are.
constexpr unsigned kGuardColumns = 2;

struct Scale {
  int alpha, beta;
};
struct Transposes {
  bool a, b;
};
constexpr std::array<Transposes, 4> kTransposes{
    {{false, false}, {false, true}, {true, false}, {true, true}}};
constexpr std::array<Scale, 3> kScales{{{1, 0}, {-1, 1}, {2, 1}}};

struct Shape {
  unsigned m, n, k;
  /// How many elements more than needed lie from one column to the next.
  unsigned pad_a, pad_b, pad_c;
};

kernels::MatrixLayout layout(unsigned rows, unsigned columns, unsigned pad, bool transposed) {
  return {rows, columns, (transposed ? columns : rows) + pad, transposed};
}

/// Of 1024 elements, how many to draw so that Σ|a·b| stays near a fifth of what the narrowest step
/// of the product can hold: alpha 2 and the spread of the sum then fit with room.
int drawn_in_1024(const Precision& precision, unsigned k) {
  const double mean = (std::exp2(precision.integer_bits) - 1) / 2;
  const double all = k * mean * mean;
  const double share = std::sqrt(static_cast<double>(precision.exact_limit) / 5 / all);
  return std::clamp(static_cast<int>(share * 1024), 1, 1024);
}

Multiplication multiplication(const Precision& precision, const Shape& shape, Transposes transposes,
                              Scale scale) {
  const std::uint64_t seed = Session::current().settings().seed;
  const int drawn = drawn_in_1024(precision, shape.k);
  return {
      {shape.m, shape.n, shape.k, kernels::random_matrix(seed, 0, precision.integer_bits, drawn, 1),
       kernels::random_matrix(seed, 1, precision.integer_bits, drawn, 1),
       kernels::random_matrix(seed, 2, 1, 1024, 1), scale.alpha, scale.beta},
      layout(shape.m, shape.k, shape.pad_a, transposes.a),
      layout(shape.k, shape.n, shape.pad_b, transposes.b),
      layout(shape.m, shape.n, shape.pad_c, false)};
}

/// What a device needs to compute and check products of one type.
class Bench {
 public:
  Bench(const Precision& precision, const CudaDevice& device, std::size_t most_elements)
      : precision_(precision),
        subject_(device.subject()),
        handle_(stream_),
        a_(most_elements * kernels::bytes_of(precision.element)),
        b_(a_.size()),
        c_(a_.size()),
        product_check_(stream_),
        guard_check_(stream_) {}

  /// Computes one product and compares every element and everything around it.
  void check(const Multiplication& it) {
    const kernels::Product& product = it.product;
    const unsigned stored_columns = product.n + kGuardColumns;
    const kernels::Element element = precision_.element;
    prepare(a_, it.a, &product.a, it.a.transposed ? product.m : product.k);
    prepare(b_, it.b, &product.b, it.b.transposed ? product.k : product.n);
    // With beta 0 a NaN in C must not reach the result.
    prepare(c_, it.c, product.beta == 0 ? nullptr : &product.c, stored_columns);
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
  void prepare(const DeviceBuffer<std::byte>& buffer, const kernels::MatrixLayout& layout,
               const kernels::MatrixValues* values, unsigned stored_columns) {
    const std::size_t bytes =
        std::size_t{layout.leading} * stored_columns * kernels::bytes_of(precision_.element);
    if (bytes > buffer.bytes()) throw std::logic_error("a matrix is larger than its buffer");
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(buffer.data(), kPoison, bytes, stream_.get())));
    if (values == nullptr) return;
    ensure(CONFORMANCE_CALL(
        kernels::fill_matrix(buffer.data(), precision_.element, layout, *values, stream_.get())));
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
      const double value = read_element(c_.data(), std::size_t{column} * it.c.leading + row,
                                        precision_.element, stream_, subject_);
      fail(Finding(wrong_element, subject_,
                   fmt::format("{}: {} of {} elements are wrong; row {}, column {} should be {}, "
                               "is {}",
                               describe(precision_, it), found.wrong,
                               std::uint64_t{product.m} * product.n, row, column, expected, value),
                   {{"type", std::string(precision_.name)},
                    {"wrong_elements", std::uint64_t{found.wrong}},
                    {"row", std::uint64_t{row}},
                    {"column", std::uint64_t{column}},
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

/// Small shapes in every combination, one of middling, odd size in every transposition, and a large
/// one as used in earnest.
std::vector<Multiplication> multiplications(const Precision& precision, const CudaDevice& device) {
  constexpr std::array<Shape, 3> kSmall{
      {{1, 1, 1, 0, 0, 0}, {17, 33, 65, 3, 1, 5}, {64, 32, 48, 0, 0, 0}}};
  std::vector<Multiplication> result;
  for (const Shape& shape : kSmall) {
    for (const Transposes transposes : kTransposes) {
      for (const Scale scale : kScales) {
        result.push_back(multiplication(precision, shape, transposes, scale));
      }
    }
  }
  const unsigned middle = scaled_side(1000, device);
  const Shape odd{middle | 1, (middle / 2) | 1, (middle - 8) | 1, 2, 7, 3};
  for (const Transposes transposes : kTransposes) {
    result.push_back(multiplication(precision, odd, transposes, {2, 1}));
  }
  const unsigned side = scaled_side(4096, device);
  const Shape large{side, side, side, 0, 0, 0};
  result.push_back(multiplication(precision, large, {false, false}, {1, 0}));
  result.push_back(multiplication(precision, large, {true, false}, {-1, 1}));
  return result;
}

void check_precision(const CudaInventory& devices, const Precision& precision) {
  for_each_gpu(capable(devices, precision), [&](const CudaDevice& device) {
    const std::vector<Multiplication> all = multiplications(precision, device);
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
  check_precision(require(Devices{1}), fp64);
}

TEST_F(Exact, FloatProductsEqualIntegerArithmetic) {
  claim("cublasSgemm gives every element exactly where no sum needs rounding", kSource);
  check_precision(require(Devices{1}), fp32);
}

TEST_F(Exact, Tf32ProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUBLAS_COMPUTE_32F_FAST_TF32 gives every element exactly where no operand "
      "and no sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), tf32);
}

TEST_F(Exact, HalfProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_32F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), fp16);
}

TEST_F(Exact, Bfloat16ProductsEqualIntegerArithmetic) {
  claim(
      "cublasGemmEx with CUDA_R_16BF and CUBLAS_COMPUTE_32F gives every element exactly where no "
      "sum needs rounding",
      kSource);
  check_precision(require(Devices{1}), bf16);
}

}  // namespace
}  // namespace conformance::cublas
