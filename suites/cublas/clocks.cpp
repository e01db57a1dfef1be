#include "suites/cublas/clocks.h"

#include <string_view>

#include <fmt/format.h>

namespace conformance::cublas {
namespace {

/// What a query of one number answers.
template <typename Query>
std::optional<double> ask(const Query& query) {
  unsigned value = 0;
  if (query(&value) != nvml::Return::success) return std::nullopt;
  return value;
}

std::optional<double> thousandth(std::optional<double> value) {
  return value ? std::optional(*value / 1000) : std::nullopt;
}

void keep_most(std::optional<double>& most, std::optional<double> value) {
  if (value && (!most || *value > *most)) most = value;
}

std::string of(std::optional<double> value, std::optional<double> most, std::string_view unit) {
  if (!value) return fmt::format("{} not known", unit);
  if (!most) return fmt::format("{:.0f} {}", *value, unit);
  return fmt::format("{:.0f} of {:.0f} {}", *value, *most, unit);
}

}  // namespace

std::string Conditions::text() const {
  return fmt::format("{}, {}, {}, clocks lowered by: {}", of(clock_mhz, highest_clock_mhz, "MHz"),
                     of(watts, watts_allowed, "W"), of(celsius, std::nullopt, "°C"),
                     reasons ? clock_reasons(*reasons) : "not known");
}

Evidence Conditions::evidence() const {
  Evidence evidence{{"clock_reasons", reasons ? clock_reasons(*reasons) : "not known"}};
  const auto add = [&](const char* name, std::optional<double> value) {
    if (value) evidence.add(name, *value);
  };
  add("clock_mhz", clock_mhz);
  add("highest_clock_mhz", highest_clock_mhz);
  add("watts", watts);
  add("watts_allowed", watts_allowed);
  add("celsius", celsius);
  return evidence;
}

ClockWatch::ClockWatch(const NvmlSession* nvml, const CudaDevice& device) : nvml_(nvml) {
  // By UUID: NVML's order is not CUDA's.
  if (nvml_ == nullptr ||
      (*nvml_)->nvmlDeviceGetHandleByUUID(device.uuid.c_str(), &device_) != nvml::Return::success) {
    nvml_ = nullptr;
    return;
  }
  const NvmlTable& table = nvml_->table();
  seen_.highest_clock_mhz = ask([&](unsigned* mhz) {
    return table.nvmlDeviceGetMaxClockInfo(device_, nvml::Clock::sm, mhz);
  });
  seen_.watts_allowed = thousandth(ask([&](unsigned* milliwatts) {
    return table.nvmlDeviceGetEnforcedPowerLimit(device_, milliwatts);
  }));
}

void ClockWatch::look() {
  if (nvml_ == nullptr) return;
  const NvmlTable& table = nvml_->table();
  unsigned long long now = 0;
  if (table.nvmlDeviceGetCurrentClocksThrottleReasons(device_, &now) == nvml::Return::success) {
    seen_.reasons = seen_.reasons.value_or(0) | now;
  }
  const auto clock = ask(
      [&](unsigned* mhz) { return table.nvmlDeviceGetClockInfo(device_, nvml::Clock::sm, mhz); });
  if (clock) clocks_.push_back(*clock);
  keep_most(seen_.watts, thousandth(ask([&](unsigned* milliwatts) {
              return table.nvmlDeviceGetPowerUsage(device_, milliwatts);
            })));
  keep_most(seen_.celsius, ask([&](unsigned* celsius) {
              return table.nvmlDeviceGetTemperature(device_, nvml::Sensor::gpu, celsius);
            }));
}

Conditions ClockWatch::conditions() const {
  Conditions result = seen_;
  if (!clocks_.empty()) result.clock_mhz = median(clocks_);
  return result;
}

}  // namespace conformance::cublas
