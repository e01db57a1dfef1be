#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "kernels/compare.h"
#include "suites/cublas/clocks.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/matmul.h"
#include "suites/cublas/throughput_limit.h"

namespace conformance::cublas {
namespace {

class Performance : public MatmulTest {};

constexpr std::string_view kSource =
    "cuBLAS: cublas<t>gemm, cublasGemmEx, Results Reproducibility; Higham, Accuracy and Stability "
    "of Numerical Algorithms, 2nd ed., section 3.5";

// In each of the types these bytes make a NaN, which no bound accepts.
constexpr unsigned char kPoison = 0xFF;

// Enough samples for a median, and no more than the time they are worth.
constexpr std::size_t kLeastSamples = 5;
constexpr std::size_t kMostSamples = 15;
constexpr double kSampledSeconds = 0.3;
constexpr double kWarmUpSeconds = 0.05;
constexpr int kMostWarmUps = 30;

/// What a GPU may lack of its peers' speed: README.md gives the source.
constexpr double kShareOfPeers = 0.78;

/// Higham's γ_k = k·u / (1 - k·u).
double gamma(unsigned k, double u) { return k * u / (1 - k * u); }

kernels::ErrorBound error_bound(const Precision& precision, unsigned k) {
  // The reference rounds too, and so does the Σ|a·b| that it gives.
  const double reference = gamma(k, 0x1p-53);
  return {(gamma(k, precision.accumulator) + reference) / (1 - reference), precision.output,
          precision.output_smallest};
}

Arithmetic arithmetic_of(const Precision& precision) {
  if (&precision == &fp64) return Arithmetic::fp64;
  if (&precision == &fp32) return Arithmetic::fp32;
  if (&precision == &tf32) return Arithmetic::tf32;
  return &precision == &fp16 ? Arithmetic::fp16 : Arithmetic::bf16;
}

struct Measured {
  unsigned side = 0;
  std::vector<double> seconds;  ///< of each timed product
  double worst = 0;             ///< error in units of its bound
  Conditions conditions;
};

/// Times products of one type on the current device. Every timed result is verified: the first
/// element by element against the reference, the others byte by byte against the first, as cuBLAS
/// promises the same bits for the same call.
class Run {
 public:
  Run(const Precision& precision, const CudaDevice& device, const NvmlSession* nvml)
      : precision_(precision),
        subject_(device.subject()),
        side_(std::max(64U, scaled_side(8192, device) / 64 * 64)),
        multiplication_(square(precision, side_)),
        watch_(nvml, device),
        handle_(stream_),
        a_(std::size_t{side_} * side_ * kernels::bytes_of(precision.element)),
        b_(a_.size()),
        first_(a_.size()),
        next_(a_.size()),
        difference_(stream_),
        check_(stream_) {
    // Otherwise partial sums of a split product may be added in the type of C, which no bound for
    // the accumulator covers.
    ensure(CONFORMANCE_CALL(cublasSetMathMode(
        handle_.get(),
        static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                  CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION))));
    const kernels::Product& product = multiplication_.product;
    ensure(CONFORMANCE_CALL(kernels::fill_matrix(a_.data(), precision.element, multiplication_.a,
                                                 product.a, stream_.get())));
    ensure(CONFORMANCE_CALL(kernels::fill_matrix(b_.data(), precision.element, multiplication_.b,
                                                 product.b, stream_.get())));
  }

  Measured measure() {
    double warm = 0;
    for (int i = 0; i < kMostWarmUps && warm < kWarmUpSeconds; ++i) warm += timed(next_);
    Measured result{side_, {timed(first_)}, 0, {}};
    double spent = result.seconds.front();
    while (result.seconds.size() < kLeastSamples ||
           (result.seconds.size() < kMostSamples && spent < kSampledSeconds)) {
      result.seconds.push_back(timed(next_));
      spent += result.seconds.back();
      compare();
      verified(elements(), "elements");
    }
    result.worst = check_first();
    verified(elements(), "elements");
    result.conditions = watch_.conditions();
    return result;
  }

 private:
  static Multiplication square(const Precision& precision, unsigned side) {
    const std::uint64_t seed = Session::current().settings().seed;
    const int bits = precision.significand_bits;
    const double unit = std::ldexp(1.0, -bits);
    const kernels::MatrixLayout layout{side, side, side, false};
    return {{side,
             side,
             side,
             kernels::random_matrix(seed, 10, bits, 1024, unit),
             kernels::random_matrix(seed, 11, bits, 1024, unit),
             {},
             1,
             0},
            layout,
            layout,
            layout};
  }

  std::uint64_t elements() const { return std::uint64_t{side_} * side_; }

  double timed(const DeviceBuffer<std::byte>& target) {
    ensure(
        CONFORMANCE_CALL(cudaMemsetAsync(target.data(), kPoison, target.bytes(), stream_.get())));
    start_.record(stream_);
    ensure(multiply(handle_, precision_, multiplication_, a_.data(), b_.data(), target.data()));
    end_.record(stream_);
    watch_.look();
    synchronize(stream_, subject_);
    return Event::seconds(start_, end_);
  }

  void compare() {
    ensure(CONFORMANCE_CALL(kernels::compare_bytes(next_.data(), first_.data(), next_.bytes(),
                                                   difference_.data(), stream_.get())));
    const kernels::Mismatch difference = difference_.take(subject_);
    if (difference.count == 0) return;
    const std::size_t index = difference.first_index / kernels::bytes_of(precision_.element);
    const double expected =
        read_element(first_.data(), index, precision_.element, stream_, subject_);
    fail_wrong(
        index, expected, read(next_, index),
        fmt::format("{} bytes differ from an earlier result of the same call", difference.count),
        {});
  }

  /// The greatest error in units of its bound.
  double check_first() {
    const kernels::Product& product = multiplication_.product;
    const kernels::ErrorBound bound = error_bound(precision_, side_);
    ensure(CONFORMANCE_CALL(kernels::check_bounded_product(
        first_.data(), precision_.element, side_, product, bound, check_.data(), stream_.get())));
    const kernels::ProductCheck found = check_.take(subject_);
    if (found.wrong > 0) {
      const kernels::BoundedElement expected =
          kernels::bounded_element(product, bound, static_cast<unsigned>(found.first_wrong % side_),
                                   static_cast<unsigned>(found.first_wrong / side_));
      fail_wrong(found.first_wrong, expected.value, read(first_, found.first_wrong),
                 fmt::format("{} of {} elements are off by more than their bound, which is {:.3g} "
                             "for the first",
                             found.wrong, elements(), expected.bound),
                 {{"wrong_elements", std::uint64_t{found.wrong}}, {"bound", expected.bound}});
    }
    return found.worst;
  }

  double read(const DeviceBuffer<std::byte>& matrix, std::size_t index) {
    return read_element(matrix.data(), index, precision_.element, stream_, subject_);
  }

  [[noreturn]] void fail_wrong(std::size_t index, double expected, double found,
                               const std::string& what, Evidence evidence) {
    const std::uint64_t row = index % side_;
    const std::uint64_t column = index / side_;
    evidence.add("type", std::string(precision_.name))
        .add("row", row)
        .add("column", column)
        .add("expected", expected)
        .add("found", found)
        .add("seed", Session::current().settings().seed);
    fail_and_end(Finding(
        wrong_element, subject_,
        fmt::format("{}: {}; row {}, column {} should be {:.9g}, is {:.9g}",
                    describe(precision_, multiplication_), what, row, column, expected, found),
        evidence));
  }

  const Precision& precision_;
  const Subject subject_;
  const unsigned side_;
  const Multiplication multiplication_;
  ClockWatch watch_;
  const Stream stream_;
  const CublasHandle handle_;
  Event start_, end_;
  const DeviceBuffer<std::byte> a_, b_, first_, next_;
  DeviceResult<kernels::Mismatch> difference_;
  DeviceResult<kernels::ProductCheck> check_;
};

/// What CUDA says of a GPU's clock is the boost clock of its model; NVML knows of higher ones.
int highest_clock_mhz(const CudaDevice& device, const Measured& measured) {
  const auto highest = static_cast<int>(measured.conditions.highest_clock_mhz.value_or(0));
  return std::max(device.clock_khz / 1000, highest);
}

double throughput(unsigned side, double seconds) {
  return 2.0 * side * side * side / seconds * 1e-12;
}

void record_device(const Precision& precision, const CudaDevice& device, const CudaInventory& all,
                   const std::map<int, Measured>& results) {
  const Measured& own = results.at(device.ordinal);
  Figure figure{.name = fmt::format("matmul-throughput-{}", precision.name),
                .unit = "TFLOP/s",
                .subject = device.subject(),
                .samples = {},
                .formula = fmt::format("2·n³ / time of one product between two events, n = {}, all "
                                       "GPUs at once",
                                       own.side),
                .limit = throughput_limit(device.major, device.minor, arithmetic_of(precision),
                                          device.multiprocessors, highest_clock_mhz(device, own))};
  for (const double seconds : own.seconds) {
    figure.samples.push_back(throughput(own.side, seconds));
  }
  std::vector<double> peers, clocks;
  for (const CudaDevice& peer : all) {
    const Measured& other = results.at(peer.ordinal);
    if (peer.ordinal == device.ordinal || peer.name != device.name || other.side != own.side) {
      continue;
    }
    peers.push_back(throughput(other.side, median(other.seconds)));
    if (other.conditions.clock_mhz) clocks.push_back(*other.conditions.clock_mhz);
  }
  figure.floor = peer_floor(
      peers, kShareOfPeers,
      "GPUs of one model differ by up to 22 %: Sinha et al., Not All GPUs Are Created Equal, SC22");
  const std::optional<double> peers_clock =
      clocks.empty() ? std::nullopt : std::optional(median(clocks));
  Evidence evidence = own.conditions.evidence();
  if (peers_clock) evidence.add("peers_clock_mhz", *peers_clock);
  record(figure, why_slow(own.conditions, peers_clock, figure.value() / median(peers)), evidence);
  fact(fmt::format("cublas.{}.{}", precision.name, device.pci_bus_id), own.conditions.text());
  record(Figure{.name = fmt::format("matmul-error-{}", precision.name),
                .unit = "of its bound",
                .subject = device.subject(),
                .samples = {own.worst},
                .formula = "largest |found - reference| / bound over all elements of the product"});
}

void measure_precision(const CudaInventory& devices, const Precision& precision) {
  const CudaInventory able = capable(devices, precision);
  std::unique_ptr<NvmlSession> nvml;
  // Without NVML a slow GPU is still found, only not explained; the devices layer judges NVML.
  if (!NvmlSession::open(nvml).ok()) nvml.reset();
  std::map<int, Measured> results;
  for (const CudaDevice& device : able) results[device.ordinal];
  for_each_gpu(able, [&](const CudaDevice& device) {
    results.at(device.ordinal) = Run(precision, device, nvml.get()).measure();
  });
  for (const CudaDevice& device : able) record_device(precision, device, able, results);
}

TEST_F(Performance, DoubleProductsAreWithinTheirBoundAndAsFastAsOnPeers) {
  claim("cublasDgemm is accurate on random data, repeatable to the bit, and as fast as on peers",
        kSource);
  measure_precision(require(Devices{1}), fp64);
}

TEST_F(Performance, FloatProductsAreWithinTheirBoundAndAsFastAsOnPeers) {
  claim("cublasSgemm is accurate on random data, repeatable to the bit, and as fast as on peers",
        kSource);
  measure_precision(require(Devices{1}), fp32);
}

TEST_F(Performance, Tf32ProductsAreWithinTheirBoundAndAsFastAsOnPeers) {
  claim(
      "cublasGemmEx with CUBLAS_COMPUTE_32F_FAST_TF32 is accurate on random data, repeatable to "
      "the bit, and as fast as on peers",
      kSource);
  measure_precision(require(Devices{1}), tf32);
}

TEST_F(Performance, HalfProductsAreWithinTheirBoundAndAsFastAsOnPeers) {
  claim(
      "cublasGemmEx with CUDA_R_16F and CUBLAS_COMPUTE_32F is accurate on random data, repeatable "
      "to the bit, and as fast as on peers",
      kSource);
  measure_precision(require(Devices{1}), fp16);
}

TEST_F(Performance, Bfloat16ProductsAreWithinTheirBoundAndAsFastAsOnPeers) {
  claim(
      "cublasGemmEx with CUDA_R_16BF and CUBLAS_COMPUTE_32F is accurate on random data, repeatable "
      "to the bit, and as fast as on peers",
      kSource);
  measure_precision(require(Devices{1}), bf16);
}

}  // namespace
}  // namespace conformance::cublas
