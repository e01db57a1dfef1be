#include "suites/cublas/throughput.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "fixtures/cuda_peers.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/throughput_limit.h"
#include "suites/cublas/why_slow.h"

namespace conformance::cublas {
namespace {

/// What a GPU may lack of its peers' speed: README.md gives the source.
constexpr double kShareOfPeers = 0.78;
constexpr std::string_view kWhyThatShare =
    "GPUs of one model differ by up to 22 %: Sinha et al., Not All GPUs Are Created Equal, SC22";
/// The start of a kernel is no longer a part to speak of.
constexpr double kLongEnough = 25e-6;

Arithmetic arithmetic_of(const Precision& precision) {
  if (&precision == &fp64) return Arithmetic::fp64;
  if (&precision == &fp32) return Arithmetic::fp32;
  if (&precision == &tf32) return Arithmetic::tf32;
  if (&precision == &fp16) return Arithmetic::fp16;
  if (&precision == &bf16) return Arithmetic::bf16;
  return &precision == &int8 ? Arithmetic::int8 : Arithmetic::fp8;
}

/// Whether cuBLAS was told to compute this type by narrower ones where that is faster, so that its
/// own limit does not hold.
bool may_be_emulated(const Precision& precision) {
  const char* const told = &precision == &fp64   ? std::getenv("CUBLAS_EMULATE_DOUBLE_PRECISION")
                           : &precision == &fp32 ? std::getenv("CUBLAS_EMULATE_SINGLE_PRECISION")
                                                 : nullptr;
  return told != nullptr && std::string_view(told) != "0";
}

/// What CUDA says of a GPU's clock is the boost clock of its model; NVML knows of higher ones.
int highest_clock_mhz(const CudaDevice& device, const Conditions& conditions) {
  return std::max(device.clock_khz / 1000,
                  static_cast<int>(conditions.highest_clock_mhz.value_or(0)));
}

/// What a GPU must reach by itself. It is a share of the limit at the clock that it had, so that
/// neither heat nor a power cap counts.
std::optional<Floor> own_floor(const Precision& precision, const CudaDevice& device,
                               const Taken& taken) {
  const Arithmetic arithmetic = arithmetic_of(precision);
  const auto reached = reached_share(device.major, device.minor, arithmetic);
  if (!reached || !taken.conditions.clock_mhz || median(taken.seconds) < kLongEnough) {
    return std::nullopt;
  }
  const auto limit =
      throughput_limit(device.major, device.minor, arithmetic, device.multiprocessors,
                       static_cast<int>(*taken.conditions.clock_mhz));
  if (!limit) return std::nullopt;
  return Floor{kShareOfPeers * reached->share * limit->value,
               fmt::format("{} x {} x {}: products reach that share ({}); {}", kShareOfPeers,
                           reached->share, limit->source, reached->source, kWhyThatShare)};
}

}  // namespace

unsigned side_on(unsigned wanted, const CudaDevice& device) {
  return std::max(64U, scaled_side(wanted, device) / 64 * 64);
}

std::vector<double> Taken::throughputs() const {
  std::vector<double> result;
  result.reserve(seconds.size());
  for (const double each : seconds) result.push_back(2.0 * side * side * side / each * 1e-12);
  return result;
}

Figure throughput_figure(const std::string& name, const Precision& precision,
                         const CudaDevice& device, const Taken& taken, std::string_view when) {
  return {.name = name,
          .unit = "TFLOP/s",
          .subject = device.subject(),
          .samples = taken.throughputs(),
          .formula = fmt::format("2·n³ / time of one product between two events, n = {}, {}",
                                 taken.side, when),
          .limit = may_be_emulated(precision)
                       ? std::nullopt
                       : throughput_limit(device.major, device.minor, arithmetic_of(precision),
                                          device.multiprocessors,
                                          highest_clock_mhz(device, taken.conditions))};
}

void judge_throughput(Figure figure, const Precision& precision, const CudaDevice& device,
                      const CudaInventory& all, const std::map<int, Taken>& taken) {
  const Taken& own = taken.at(device.ordinal);
  std::vector<double> throughputs, clocks;
  for (const Taken* other : peer_results(device, all, taken)) {
    if (other->side != own.side) continue;
    throughputs.push_back(median(other->throughputs()));
    if (other->conditions.clock_mhz) clocks.push_back(*other->conditions.clock_mhz);
  }
  figure.floor = peer_floor(throughputs, kShareOfPeers, kWhyThatShare);
  const std::optional<Floor> by_itself = own_floor(precision, device, own);
  if (by_itself && (!figure.floor || figure.floor->value < by_itself->value)) {
    figure.floor = by_itself;
  }
  const auto peers_clock = clocks.empty() ? std::nullopt : std::optional(median(clocks));
  Evidence evidence = own.conditions.evidence();
  if (peers_clock) evidence.add("peers_clock_mhz", *peers_clock);
  const bool at_its_clock = by_itself && figure.value() < by_itself->value;
  record(figure,
         at_its_clock ? slow
                      : why_slow(own.conditions, peers_clock, figure.value() / median(throughputs)),
         evidence);
}

}  // namespace conformance::cublas
