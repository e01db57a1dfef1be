#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "suites/cublas/throughput.h"
#include "suites/cublas/verified_products.h"

namespace conformance::cublas {
namespace {

class Performance : public MatmulTest {};

constexpr std::string_view kSource =
    "cuBLAS: cublas<t>gemm, cublasGemmEx, cublasLtMatmul, Results Reproducibility; Higham, "
    "Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.5";

// Enough samples for a median, and no more than the time they are worth.
constexpr double kLeastSamples = 3;
constexpr double kMostSamples = VerifiedProducts::kBuffers;
constexpr double kSampledSeconds = 0.15;
/// Of longer products verification takes a small share, wherever it is done.
constexpr double kLongestInSeries = 5e-3;
constexpr double kSeriesSeconds = 0.03;
constexpr double kLeastInSeries = 12;
/// Before the first sample; the checks of the first two results have the GPU's clocks up by then.
constexpr unsigned kWarmUps = 3;
/// Products of this side and more are judged, and the largest that there are: shorter ones depend
/// more on what came before them. At one of two sizes the GPUs that a slow one is compared with may
/// be held down by their power caps, seldom at both.
constexpr unsigned kJudgedSide = 8192;

/// Of one type on one GPU.
struct Measured {
  std::map<unsigned, Taken> of;             ///< by the side that was wanted, one of kSides
  std::map<unsigned, double> verification;  ///< what it adds to the time of a product, a share
  double worst = 0;                         ///< error in units of its bound
};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// What verification adds to the time of products, as a share of it.
double verification_share(VerifiedProducts& products, unsigned side,
                          const VerifiedProducts::Times& times, ClockWatch& watch) {
  const double before = median(times.products);
  if (before > kLongestInSeries) return median(times.verifications) / before;
  if (side < kSides.front()) {  // a small GPU
    return products.run_series(VerifiedProducts::kBuffers + 1, watch) / before - 1;
  }
  // Between two series without it that are as long together, as clocks go down while a GPU works.
  const auto half = static_cast<unsigned>(std::clamp(kSeriesSeconds / before, kLeastInSeries,
                                                     double{VerifiedProducts::kLongestSeries}) /
                                          2);
  const double first = mean(products.run(half, watch).products);
  const double with = products.run_series(2 * half, watch);
  const double second = mean(products.run(half, watch).products);
  return with / ((first + second) / 2) - 1;
}

/// Times products of one type on the current device, side after side; `alone`, while the other
/// GPUs rest.
Measured measure(const Precision& precision, const CudaDevice& device, const NvmlSession* nvml,
                 bool alone) {
  Measured result;
  ClockWatch watch(nvml, device.uuid);
  unsigned last = 0;
  double seconds = 0;  // of one product
  for (const unsigned wanted : kSides) {
    const unsigned side = side_on(wanted, device);
    if (last != 0) seconds *= std::pow(static_cast<double>(side) / last, 3);
    if (side == last || seconds > kLongestProduct) break;
    VerifiedProducts products(precision, device, side);
    if (last == 0) seconds = median(products.run(kWarmUps, watch).products);
    // Alone, less time: nothing is judged by it.
    const double samples = alone
                               ? std::clamp(0.1 * kSampledSeconds / seconds, 1.0, kMostSamples)
                               : std::clamp(kSampledSeconds / seconds, kLeastSamples, kMostSamples);
    const VerifiedProducts::Times times = products.run(static_cast<unsigned>(samples), watch);
    seconds = median(times.products);
    result.of[wanted] = {side, times.products, watch.conditions()};
    result.worst = std::max(result.worst, products.worst());
    if (!alone) {
      result.verification[wanted] = verification_share(products, side, times, watch);
      if (device.ordinal == 0) {
        fact(fmt::format("cublas.kernel.{}.{}", precision.name, wanted), products.algorithm());
      }
    }
    last = side;
  }
  return result;
}

void record_device(const Precision& precision, const CudaDevice& device, const CudaInventory& all,
                   const std::map<int, Measured>& results) {
  const Measured& own = results.at(device.ordinal);
  const auto& [largest, largest_taken] = *own.of.rbegin();
  fact(fmt::format("cublas.{}.{}", precision.name, device.pci_bus_id),
       largest_taken.conditions.text());
  for (const auto& [wanted, taken] : own.of) {
    const double own_seconds = median(taken.seconds);
    const Figure figure =
        throughput_figure(fmt::format("matmul-throughput-{}-{}", precision.name, wanted), precision,
                          device, taken, "all GPUs at once");
    record(Figure{.name = fmt::format("matmul-verification-{}-{}", precision.name, wanted),
                  .unit = "%",
                  .subject = device.subject(),
                  .samples = {100 * own.verification.at(wanted)},
                  .formula = own_seconds > kLongestInSeries
                                 ? "time of a result's checksums / time of its product"
                                 : "time of products, each verified while the next ones run, / "
                                   "time of products alone - 1"});
    if (wanted != largest && wanted < kJudgedSide) {
      record(figure);
      continue;
    }
    std::map<int, Taken> of_all;
    for (const auto& [ordinal, measured] : results) {
      const auto same = measured.of.find(wanted);
      if (same != measured.of.end()) of_all[ordinal] = same->second;
    }
    judge_throughput(figure, precision, device, all, of_all);
  }
  record(Figure{.name = fmt::format("matmul-error-{}", precision.name),
                .unit = "of its bound",
                .subject = device.subject(),
                .samples = {own.worst},
                .formula = "largest |found - reference| / bound over all elements of the first "
                           "products"});
}

void measure_precision(const CudaInventory& devices, const Precision& precision) {
  const CudaInventory able = capable(devices, precision);
  std::unique_ptr<NvmlSession> nvml;
  // Without NVML a slow GPU is still found, only not explained; the devices layer judges NVML.
  if (!NvmlSession::open(nvml).ok()) nvml.reset();
  const auto measure_all = [&](const CudaInventory& together, bool alone) {
    std::map<int, Measured> results;
    for (const CudaDevice& device : together) results[device.ordinal];
    for_each_gpu(together, [&](const CudaDevice& device) {
      results.at(device.ordinal) = measure(precision, device, nvml.get(), alone);
    });
    return results;
  };
  const std::map<int, Measured> results = measure_all(able, false);
  for (const CudaDevice& device : able) record_device(precision, device, able, results);
  if (able.size() < 2) return;
  const CudaDevice& first = able.front();
  const Measured alone = measure_all({first}, true).at(first.ordinal);
  for (const auto& [wanted, taken] : alone.of) {
    record(throughput_figure(fmt::format("matmul-throughput-alone-{}-{}", precision.name, wanted),
                             precision, first, taken, "the other GPUs idle"));
  }
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

TEST_F(Performance, Int8ProductsAreExactAndAsFastAsOnPeers) {
  claim(
      "cublasGemmEx with CUDA_R_8I and CUBLAS_COMPUTE_32I gives every element of a product of "
      "random integers, each time, and as fast as on peers",
      kSource);
  measure_precision(require(Devices{1}), int8);
}

TEST_F(Performance, EightBitFloatProductsAreRoundedOnceAndAsFastAsOnPeers) {
  claim(
      "cublasLtMatmul with CUDA_R_8F_E4M3 rounds every element of a product of small random "
      "integers only when it stores it, each time alike, and as fast as on peers",
      kSource);
  measure_precision(require(Devices{1}), e4m3);
}

}  // namespace
}  // namespace conformance::cublas
