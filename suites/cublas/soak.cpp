#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "suites/cublas/throughput.h"
#include "suites/cublas/verified_products.h"

namespace conformance::cublas {
namespace {

class Soak : public MatmulTest {};

using Clock = std::chrono::steady_clock;

/// How long products of one type follow each other. So many are enough that the moments in between
/// do not count, and so few that a GPU that hangs is soon given up.
constexpr double kTurnSeconds = 0.5;
constexpr double kMostInTurn = 16;
constexpr unsigned kFirstTurn = 4;

/// The products of one type, as large as a turn allows.
class Turns {
 public:
  Turns(const Precision& precision, const CudaDevice& device, ClockWatch& watch)
      : precision_(precision) {
    make(device, kSides.front());
    for (const unsigned wanted : {kSides[2], kSides[1]}) {
      const unsigned side = side_on(wanted, device);
      if (side == side_) return;
      const double seconds = median(products_->run(2, watch).products);
      if (seconds * std::pow(static_cast<double>(side) / side_, 3) > kLongestProduct) continue;
      make(device, wanted);
      return;
    }
  }

  const Precision& precision() const { return precision_; }
  unsigned side() const { return side_; }
  /// Seconds of one product, median of the turns.
  double seconds() const { return median(seconds_); }

  /// Yields the seconds that the products of a turn took, without their verification.
  double run(ClockWatch& watch) {
    const unsigned count =
        seconds_.empty()
            ? kFirstTurn
            : static_cast<unsigned>(std::clamp(kTurnSeconds / seconds_.back(), 1.0, kMostInTurn));
    const std::vector<double> times = products_->run(count, watch).products;
    seconds_.push_back(median(times));
    return std::accumulate(times.begin(), times.end(), 0.0);
  }

 private:
  void make(const CudaDevice& device, unsigned wanted) {
    products_.reset();  // first: two of them take more memory than is meant
    side_ = side_on(wanted, device);
    products_ = std::make_unique<VerifiedProducts>(precision_, device, side_);
  }

  const Precision& precision_;
  unsigned side_ = 0;
  std::unique_ptr<VerifiedProducts> products_;
  std::vector<double> seconds_;
};

/// What came of one GPU.
struct Soaked {
  std::map<std::string_view, Taken> of;  ///< by the type's name
  double share = 0;                      ///< of the whole time that went into products
  Conditions conditions;
};

Soaked soak(const CudaDevice& device, const NvmlSession* nvml,
            const std::vector<const Precision*>& precisions) {
  ClockWatch watch(nvml, device.uuid);
  std::vector<std::unique_ptr<Turns>> turns;
  for (const Precision* precision : precisions) {
    if (10 * device.major + device.minor < precision->compute_capability) continue;
    turns.push_back(std::make_unique<Turns>(*precision, device, watch));
  }
  const Clock::time_point start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  const double length = static_cast<double>(Session::current().settings().stress_length.count());
  double busy = 0;
  do {
    for (const auto& each : turns) busy += each->run(watch);
  } while (passed() < length);
  Soaked result{{}, busy / passed(), watch.conditions()};
  for (const auto& each : turns) {
    result.of[each->precision().name] = {each->side(), {each->seconds()}, result.conditions};
  }
  return result;
}

void record_conditions(const CudaDevice& device, const Soaked& soaked) {
  const Conditions& conditions = soaked.conditions;
  fact(fmt::format("cublas.soak.{}", device.pci_bus_id), conditions.text());
  const auto record_if_known = [&](const char* name, const char* unit, const char* formula,
                                   const std::optional<double>& value) {
    if (!value) return;
    record(Figure{.name = name,
                  .unit = unit,
                  .subject = device.subject(),
                  .samples = {*value},
                  .formula = formula});
  };
  record_if_known("soak-clock", "MHz", "median of NVML's SM clock, one look at each turn",
                  conditions.clock_mhz);
  record_if_known("soak-temperature", "°C", "highest of NVML's GPU temperature",
                  conditions.celsius);
  record_if_known("soak-power", "W", "highest of NVML's power usage", conditions.watts);
  record_if_known("soak-rate", "% of the unverified rate",
                  "time of all products / time of all products, their verification and all else",
                  100 * soaked.share);
}

TEST_F(Soak, EveryProductOfEveryTypeIsRightForTheWholeTime) {
  claim("cuBLAS multiplies matrices of each type without a wrong element, however long it does so",
        "cuBLAS: cublas<t>gemm, cublasGemmEx, cublasLtMatmul, Results Reproducibility");
  const std::vector<const Precision*> precisions{&fp64, &fp32, &tf32, &fp16, &bf16, &int8, &e4m3};
  const CudaInventory& devices = require(Devices{1});
  std::unique_ptr<NvmlSession> nvml;
  if (!NvmlSession::open(nvml).ok()) nvml.reset();
  std::map<int, Soaked> results;
  for (const CudaDevice& device : devices) results[device.ordinal];
  for_each_gpu(devices, [&](const CudaDevice& device) {
    results.at(device.ordinal) = soak(device, nvml.get(), precisions);
  });
  for (const CudaDevice& device : devices) {
    record_conditions(device, results.at(device.ordinal));
    for (const Precision* precision : precisions) {
      std::map<int, Taken> of_all;
      for (const auto& [ordinal, soaked] : results) {
        const auto found = soaked.of.find(precision->name);
        if (found != soaked.of.end()) of_all[ordinal] = found->second;
      }
      if (!of_all.contains(device.ordinal)) continue;
      judge_throughput(
          throughput_figure(fmt::format("soak-throughput-{}", precision->name), *precision, device,
                            of_all.at(device.ordinal), "median of the turns, all GPUs at once"),
          *precision, device, devices, of_all);
    }
  }
}

}  // namespace
}  // namespace conformance::cublas
