#include "suites/cublas/clocks.h"

#include <array>
#include <string_view>

namespace conformance::cublas {
namespace {

struct Named {
  nvml::ClocksEventReason bit;
  std::string_view name;
};
constexpr std::array<Named, 8> kReasons{{
    {nvml::reason_applications_clocks_setting, "application clocks setting"},
    {nvml::reason_sw_power_cap, "software power cap"},
    {nvml::reason_hw_slowdown, "hardware slowdown"},
    {nvml::reason_sync_boost, "sync boost"},
    {nvml::reason_sw_thermal_slowdown, "software thermal slowdown"},
    {nvml::reason_hw_thermal_slowdown, "hardware thermal slowdown"},
    {nvml::reason_hw_power_brake_slowdown, "hardware power brake"},
    {nvml::reason_display_clock_setting, "display clock setting"},
}};

}  // namespace

ClockWatch::ClockWatch(const NvmlSession* nvml, const CudaDevice& device) : nvml_(nvml) {
  // By UUID: NVML's order is not CUDA's.
  if (nvml_ != nullptr &&
      (*nvml_)->nvmlDeviceGetHandleByUUID(device.uuid.c_str(), &device_) != nvml::Return::success) {
    nvml_ = nullptr;
  }
}

void ClockWatch::look() {
  unsigned long long now = 0;
  if (nvml_ != nullptr &&
      (*nvml_)->nvmlDeviceGetCurrentClocksThrottleReasons(device_, &now) == nvml::Return::success) {
    known_ = true;
    reasons_ |= now;
  }
}

std::string ClockWatch::reasons() const {
  if (!known_) return "not known";
  std::string text;
  for (const Named& reason : kReasons) {
    if ((reasons_ & reason.bit) == 0) continue;
    if (!text.empty()) text += ", ";
    text += reason.name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace conformance::cublas
