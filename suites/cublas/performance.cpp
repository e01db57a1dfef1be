#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "fixtures/clock_watch.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/matmul.h"
#include "suites/cublas/throughput_limit.h"
#include "suites/cublas/verified_products.h"
#include "suites/cublas/why_slow.h"

namespace conformance::cublas {
namespace {

class Performance : public MatmulTest {};

constexpr std::string_view kSource =
    "cuBLAS: cublas<t>gemm, cublasGemmEx, cublasLtMatmul, Results Reproducibility; Higham, "
    "Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.5";

// Smaller on GPUs with little memory, where several may then be one.
constexpr std::array<unsigned, 3> kSides{4096, 8192, 16384};
/// A side of which one product would take longer is left out.
constexpr double kLongestProduct = 0.5;

// Enough samples for a median, and no more than the time they are worth.
constexpr double kLeastSamples = 3;
constexpr double kMostSamples = 9;
constexpr double kSampledSeconds = 0.15;
constexpr double kWarmUpSeconds = 0.05;

/// What a GPU may lack of its peers' speed: README.md gives the source.
constexpr double kShareOfPeers = 0.78;

Arithmetic arithmetic_of(const Precision& precision) {
  if (&precision == &fp64) return Arithmetic::fp64;
  if (&precision == &fp32) return Arithmetic::fp32;
  if (&precision == &tf32) return Arithmetic::tf32;
  if (&precision == &fp16) return Arithmetic::fp16;
  if (&precision == &bf16) return Arithmetic::bf16;
  return &precision == &int8 ? Arithmetic::int8 : Arithmetic::fp8;
}

/// Of products of one side.
struct Sampled {
  unsigned side = 0;
  VerifiedProducts::Times times;

  double operations() const { return 2.0 * side * side * side; }
  double throughput() const { return operations() / median(times.products) * 1e-12; }
};

/// Of one type on one GPU.
struct Measured {
  std::map<unsigned, Sampled> of;  ///< by the side that was wanted, one of kSides
  double worst = 0;                ///< error in units of its bound
  Conditions conditions;
};

unsigned side_on(unsigned wanted, const CudaDevice& device) {
  return std::max(64U, scaled_side(wanted, device) / 64 * 64);
}

unsigned samples_worth(double seconds, double seconds_each) {
  return static_cast<unsigned>(std::clamp(seconds / seconds_each, kLeastSamples, kMostSamples));
}

/// Times products of one type on the current device, side after side.
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
    if (last == 0) {
      seconds = median(products.run(2, watch).products);
      // Alone it runs later, and is warm.
      if (!alone) products.run(samples_worth(kWarmUpSeconds, seconds), watch);
    }
    Sampled& sampled = result.of[wanted];
    sampled = {side, products.run(samples_worth(alone ? 0 : kSampledSeconds, seconds), watch)};
    seconds = median(sampled.times.products);
    result.worst = std::max(result.worst, products.worst());
    if (!alone && device.ordinal == 0) {
      fact(fmt::format("cublas.kernel.{}.{}", precision.name, wanted), products.algorithm());
    }
    last = side;
  }
  result.conditions = watch.conditions();
  return result;
}

/// What CUDA says of a GPU's clock is the boost clock of its model; NVML knows of higher ones.
int highest_clock_mhz(const CudaDevice& device, const Conditions& conditions) {
  return std::max(device.clock_khz / 1000,
                  static_cast<int>(conditions.highest_clock_mhz.value_or(0)));
}

Figure throughput_figure(std::string_view kind, const Precision& precision,
                         const CudaDevice& device, unsigned wanted, const Measured& measured,
                         std::string_view which_gpus) {
  const Sampled& sampled = measured.of.at(wanted);
  Figure figure{.name = fmt::format("matmul-{}-{}-{}", kind, precision.name, wanted),
                .unit = "TFLOP/s",
                .subject = device.subject(),
                .samples = {},
                .formula = fmt::format("2·n³ / time of one product between two events, n = {}, {}",
                                       sampled.side, which_gpus),
                .limit = throughput_limit(device.major, device.minor, arithmetic_of(precision),
                                          device.multiprocessors,
                                          highest_clock_mhz(device, measured.conditions))};
  for (const double seconds : sampled.times.products) {
    figure.samples.push_back(sampled.operations() / seconds * 1e-12);
  }
  return figure;
}

/// What the other GPUs of the device's name reached with the largest products of its own.
struct Peers {
  std::vector<double> throughput, clocks_mhz;
};

Peers peers_of(const CudaDevice& device, const CudaInventory& all,
               const std::map<int, Measured>& results) {
  const auto& [wanted, largest] = *results.at(device.ordinal).of.rbegin();
  Peers peers;
  for (const CudaDevice& peer : all) {
    const Measured& other = results.at(peer.ordinal);
    const auto same = other.of.find(wanted);
    if (peer.ordinal == device.ordinal || peer.name != device.name || same == other.of.end() ||
        same->second.side != largest.side) {
      continue;
    }
    peers.throughput.push_back(same->second.throughput());
    if (other.conditions.clock_mhz) peers.clocks_mhz.push_back(*other.conditions.clock_mhz);
  }
  return peers;
}

void record_device(const Precision& precision, const CudaDevice& device, const CudaInventory& all,
                   const std::map<int, Measured>& results) {
  const Measured& own = results.at(device.ordinal);
  const unsigned largest = own.of.rbegin()->first;
  const Peers peers = peers_of(device, all, results);
  const std::optional<double> peers_clock =
      peers.clocks_mhz.empty() ? std::nullopt : std::optional(median(peers.clocks_mhz));
  fact(fmt::format("cublas.{}.{}", precision.name, device.pci_bus_id), own.conditions.text());
  for (const auto& [wanted, sampled] : own.of) {
    Figure figure =
        throughput_figure("throughput", precision, device, wanted, own, "all GPUs at once");
    // Of the largest alone: shorter ones depend more on what came before them.
    if (wanted == largest) {
      figure.floor = peer_floor(peers.throughput, kShareOfPeers,
                                "GPUs of one model differ by up to 22 %: Sinha et al., Not All "
                                "GPUs Are Created Equal, SC22");
    }
    Evidence evidence = own.conditions.evidence();
    if (peers_clock) evidence.add("peers_clock_mhz", *peers_clock);
    record(figure,
           why_slow(own.conditions, peers_clock, sampled.throughput() / median(peers.throughput)),
           evidence);
  }
  const VerifiedProducts::Times& times = own.of.at(largest).times;
  record(Figure{.name = fmt::format("matmul-verification-{}", precision.name),
                .unit = "%",
                .subject = device.subject(),
                .samples = {100 * median(times.verifications) / median(times.products)},
                .formula = fmt::format("time of a result's checksums / time of its product, n = {}",
                                       own.of.at(largest).side)});
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
  for (const auto& [wanted, sampled] : alone.of) {
    record(throughput_figure("throughput-alone", precision, first, wanted, alone,
                             "the other GPUs idle"));
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
