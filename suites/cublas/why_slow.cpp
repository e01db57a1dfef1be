#include "suites/cublas/why_slow.h"

#include <algorithm>

#include "suites/cublas/findings.h"

namespace conformance::cublas {

const FindingKind& why_slow(const Conditions& own, std::optional<double> peers_clock_mhz,
                            double share) {
  const bool clocks_known = own.clock_mhz && peers_clock_mhz && *peers_clock_mhz > 0;
  if (!own.reasons ||
      (clocks_known && *own.clock_mhz / *peers_clock_mhz > (1 + std::min(share, 1.0)) / 2)) {
    return slow;
  }
  constexpr unsigned long long kHeat =
      nvml::reason_sw_thermal_slowdown | nvml::reason_hw_thermal_slowdown;
  constexpr unsigned long long kPower =
      nvml::reason_sw_power_cap | nvml::reason_hw_power_brake_slowdown;
  if ((*own.reasons & kHeat) != 0) return thermally_slowed;
  return (*own.reasons & kPower) != 0 ? power_capped : slow;
}

}  // namespace conformance::cublas
