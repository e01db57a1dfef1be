#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "kernels/compare.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/matmul.h"

namespace conformance::cublas {
namespace {

class Random : public MatmulTest {};

constexpr std::string_view kSource =
    "cuBLAS: cublas<t>gemm, cublasGemmEx, cublasLtMatmul, Results Reproducibility; Higham, "
    "Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.5";

/// How often each product is computed.
constexpr int kRepeats = 4;

Multiplication random_product(const Precision& precision, const CudaDevice& device) {
  const std::uint64_t seed = Session::current().settings().seed;
  // Multiples of 64, as every type takes them.
  const unsigned side = std::max(64U, scaled_side(4096, device) / 128 * 64);
  const unsigned depth = precision.longest == 0 ? side : std::min(side, precision.longest);
  const int bits = precision.significand_bits;
  const double unit = precision.accumulator == 0 ? 1 : std::ldexp(1.0, -bits);
  const bool transposed = precision.only_tn;
  return {{side,
           side,
           depth,
           kernels::random_matrix(seed, 20, bits, 1024, unit),
           kernels::random_matrix(seed, 21, bits, 1024, unit),
           {},
           1,
           0,
           is_complex(precision)},
          {side, depth, transposed ? depth : side, transposed},
          {depth, side, depth, false},
          {side, side, side, false}};
}

/// A product of one type on one GPU: computed several times, and compared with its reference.
class Trial {
 public:
  Trial(const Precision& precision, const CudaDevice& device)
      : precision_(precision),
        subject_(device.subject()),
        multiplication_(random_product(precision, device)),
        handle_(stream_),
        a_(kernels::elements_of(multiplication_.a) * kernels::bytes_of(precision.element)),
        b_(kernels::elements_of(multiplication_.b) * kernels::bytes_of(precision.element_b)),
        c_(kernels::elements_of(multiplication_.c) * kernels::bytes_of(precision.result)),
        hash_(stream_),
        check_(stream_) {
    keep_sums_in_the_accumulator(handle_);
    fill(a_, precision.element, multiplication_.a, multiplication_.product.a);
    fill(b_, precision.element_b, multiplication_.b, multiplication_.product.b);
  }

  void run() {
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      compute();
      const unsigned long long hash = hash_.take(subject_);
      if (repeat == 0) first_ = hash;
      if (hash != first_) {
        fail_and_end(
            Finding(results_differ, subject_,
                    fmt::format("{}: the results of call 1 and call {} differ; their "
                                "hashes are {:016x} and {:016x}",
                                describe(precision_, multiplication_), repeat + 1, first_, hash),
                    {{"type", std::string(precision_.name)},
                     {"call", std::int64_t{repeat + 1}},
                     {"seed", Session::current().settings().seed}}));
      }
    }
    check();
    verified(std::uint64_t{kRepeats} * multiplication_.product.m * multiplication_.product.n,
             "elements");
  }

  unsigned long long hash() const { return first_; }
  /// The greatest error in units of its bound.
  double worst() const { return worst_; }
  unsigned depth() const { return multiplication_.product.k; }
  unsigned side() const { return multiplication_.product.m; }
  std::string text() const { return describe(precision_, multiplication_); }

 private:
  void fill(const DeviceBuffer<std::byte>& buffer, kernels::Element element,
            const kernels::MatrixLayout& layout, const kernels::MatrixValues& values) {
    ensure(CONFORMANCE_CALL(
        kernels::fill_matrix(buffer.data(), element, layout, values, stream_.get())));
  }

  void compute() {
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(c_.data(), kPoison, c_.bytes(), stream_.get())));
    ensure(multiply(handle_, precision_, multiplication_, a_.data(), b_.data(), c_.data()));
    ensure(CONFORMANCE_CALL(kernels::hash_words(c_.data(), c_.bytes() / sizeof(std::uint64_t),
                                                hash_.data(), stream_.get())));
  }

  void check() {
    const kernels::Product& product = multiplication_.product;
    const kernels::ErrorBound bound = rounding_bound(precision_, product.k);
    ensure(CONFORMANCE_CALL(kernels::check_bounded_product(c_.data(), precision_.result,
                                                           multiplication_.c.leading, product,
                                                           bound, check_.data(), stream_.get())));
    const kernels::ProductCheck found = check_.take(subject_);
    worst_ = found.worst;
    if (found.wrong == 0) return;
    const auto row = static_cast<unsigned>(found.first_wrong % product.m);
    const auto column = static_cast<unsigned>(found.first_wrong / product.m);
    const kernels::BoundedElement expected = kernels::bounded_element(product, bound, row, column);
    const RealPlace place = real_place(multiplication_, row, column);
    const double value = read_element(c_.data(), place.index, precision_.result, stream_, subject_);
    fail_and_end(Finding(
        wrong_element, subject_,
        fmt::format("{}: {} elements are off by more than their bound; row {}, column {}{} should "
                    "be {:.17g} within {:.3g}, is {:.17g}",
                    text(), found.wrong, row, place.column, place.part, expected.value,
                    expected.bound, value),
        {{"type", std::string(precision_.name)},
         {"wrong_elements", std::uint64_t{found.wrong}},
         {"row", std::uint64_t{row}},
         {"column", std::uint64_t{place.column}},
         {"expected", expected.value},
         {"bound", expected.bound},
         {"found", value},
         {"seed", Session::current().settings().seed}}));
  }

  const Precision& precision_;
  const Subject subject_;
  const Multiplication multiplication_;
  const Stream stream_;
  const CublasHandle handle_;
  const DeviceBuffer<std::byte> a_, b_, c_;
  DeviceResult<unsigned long long> hash_;
  DeviceResult<kernels::ProductCheck> check_;
  unsigned long long first_ = 0;
  double worst_ = 0;
};

/// What a trial said, which outlives its memory.
struct Result {
  unsigned long long hash = 0;
  double worst = 0;
  unsigned side = 0, depth = 0;
  std::string text;
};

/// Whether cuBLAS promises both the same bits: "GPUs with the same architecture and the same number
/// of SMs".
bool alike(const CudaDevice& one, const CudaDevice& other) {
  return one.name == other.name && one.major == other.major && one.minor == other.minor &&
         one.multiprocessors == other.multiprocessors;
}

/// Compares the results of GPUs that are alike. Right are the bits of most of them; of two halves,
/// those that are closer to the reference.
void compare(const Precision& precision, const std::vector<const CudaDevice*>& devices,
             const std::map<int, Result>& results) {
  std::map<unsigned long long, std::vector<const CudaDevice*>> by_hash;
  for (const CudaDevice* device : devices) {
    by_hash[results.at(device->ordinal).hash].push_back(device);
  }
  verified(devices.size() - 1, "pairs of GPUs");
  if (by_hash.size() == 1) return;
  const auto better = [&](const auto& one, const auto& other) {
    if (one.second.size() != other.second.size()) return one.second.size() > other.second.size();
    const auto worst = [&](const auto& group) {
      return results.at(group.second.front()->ordinal).worst;
    };
    return worst(one) < worst(other);
  };
  const auto right = std::min_element(by_hash.begin(), by_hash.end(), better);
  for (const auto& [hash, group] : by_hash) {
    if (hash == right->first) continue;
    for (const CudaDevice* device : group) {
      const Result& result = results.at(device->ordinal);
      fail(Finding(
          results_differ, device->subject(),
          fmt::format("{}: the result has the hash {:016x}, on {} of {} GPUs of this model it has "
                      "{:016x}; the largest error is {:.3g} of its bound, there {:.3g}",
                      result.text, hash, right->second.size(), devices.size(), right->first,
                      result.worst, results.at(right->second.front()->ordinal).worst),
          {{"type", std::string(precision.name)},
           {"gpus_alike", std::uint64_t{group.size()}},
           {"gpus_otherwise", std::uint64_t{right->second.size()}},
           {"error", result.worst},
           {"seed", Session::current().settings().seed}}));
    }
  }
}

void check_precision(const CudaInventory& devices, const Precision& precision) {
  const CudaInventory able = capable(devices, precision);
  std::map<int, Result> results;
  for (const CudaDevice& device : able) results[device.ordinal];
  for_each_gpu(able, [&](const CudaDevice& device) {
    Trial trial(precision, device);
    trial.run();
    results.at(device.ordinal) = {trial.hash(), trial.worst(), trial.side(), trial.depth(),
                                  trial.text()};
  });
  for (const CudaDevice& device : able) {
    const Result& result = results.at(device.ordinal);
    record(Figure{.name = fmt::format("matmul-rounding-{}", precision.name),
                  .unit = "of its bound",
                  .subject = device.subject(),
                  .samples = {result.worst},
                  .formula = fmt::format("largest |found - reference| / bound over all elements of "
                                         "the product, m and n {}, k {}",
                                         result.side, result.depth)});
  }
  std::vector<const CudaDevice*> left;
  for (const CudaDevice& device : able) left.push_back(&device);
  while (!left.empty()) {
    const CudaDevice& one = *left.front();
    const auto others = std::stable_partition(
        left.begin(), left.end(), [&](const CudaDevice* other) { return alike(one, *other); });
    compare(precision, {left.begin(), others}, results);
    left.erase(left.begin(), others);
  }
}

constexpr std::string_view kClaim =
    " with random data is within its rounding bound in every element, and has the same bits at "
    "each call and on all GPUs of one model";

TEST_F(Random, DoubleProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasDgemm{}", kClaim), kSource);
  check_precision(require(Devices{1}), fp64);
}

TEST_F(Random, FloatProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasSgemm{}", kClaim), kSource);
  check_precision(require(Devices{1}), fp32);
}

TEST_F(Random, Tf32ProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasGemmEx with CUBLAS_COMPUTE_32F_FAST_TF32{}", kClaim), kSource);
  check_precision(require(Devices{1}), tf32);
}

TEST_F(Random, HalfProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_32F{}", kClaim), kSource);
  check_precision(require(Devices{1}), fp16);
}

TEST_F(Random, Bfloat16ProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasGemmEx with CUDA_R_16BF and CUBLAS_COMPUTE_32F{}", kClaim), kSource);
  check_precision(require(Devices{1}), bf16);
}

TEST_F(Random, HalfProductsWithHalfSumsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_16F{}", kClaim), kSource);
  check_precision(require(Devices{1}), fp16_sums);
}

TEST_F(Random, EmulatedFloatProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasGemmEx with CUBLAS_COMPUTE_32F_EMULATED_16BFX9{}", kClaim), kSource);
  check_precision(require(Devices{1}), fp32_emulated);
}

TEST_F(Random, EmulatedDoubleProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasGemmEx with CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT{}", kClaim), kSource);
  check_precision(require(Devices{1}), fp64_emulated);
}

TEST_F(Random, Int8ProductsAreRightAndTheSameEverywhere) {
  claim(
      "cublasGemmEx with CUDA_R_8I and CUBLAS_COMPUTE_32I gives every element exactly, at each "
      "call and on all GPUs of one model",
      kSource);
  check_precision(require(Devices{1}), int8);
}

TEST_F(Random, Fp8E4m3ProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasLtMatmul with CUDA_R_8F_E4M3{}", kClaim), kSource);
  check_precision(require(Devices{1}), e4m3);
}

TEST_F(Random, Fp8E5m2ProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasLtMatmul with CUDA_R_8F_E5M2 and CUDA_R_8F_E4M3{}", kClaim), kSource);
  check_precision(require(Devices{1}), e5m2);
}

TEST_F(Random, ComplexDoubleProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasZgemm{}", kClaim), kSource);
  check_precision(require(Devices{1}), complex_fp64);
}

TEST_F(Random, ComplexFloatProductsAreWithinTheirBoundAndTheSameEverywhere) {
  claim(fmt::format("cublasCgemm{}", kClaim), kSource);
  check_precision(require(Devices{1}), complex_fp32);
}

}  // namespace
}  // namespace conformance::cublas
