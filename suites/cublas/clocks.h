#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fixtures/cuda_inventory.h"
#include "fixtures/figure.h"
#include "fixtures/nvml_table.h"

namespace conformance::cublas {

/// What NVML saw of a GPU while it worked; nothing where it does not tell.
struct Conditions {
  std::optional<unsigned long long> reasons;  ///< for the clocks, from all looks
  std::optional<double> clock_mhz;            ///< of the multiprocessors, median of the looks
  std::optional<double> highest_clock_mhz;    ///< that the GPU can have
  std::optional<double> watts;                ///< most of the looks
  std::optional<double> watts_allowed;
  std::optional<double> celsius;  ///< most of the looks

  /// "1500 of 1980 MHz, 690 of 700 W, 61 °C, clocks lowered by: software power cap"
  std::string text() const;
  /// The same as evidence.
  Evidence evidence() const;
};

/// Looks at a GPU's clocks, power and temperature. Looking changes nothing; without NVML nothing is
/// seen, which costs an explanation but no verdict.
class ClockWatch {
 public:
  ClockWatch(const NvmlSession* nvml, const CudaDevice& device);
  /// Adds what is so at this moment.
  void look();
  Conditions conditions() const;

 private:
  const NvmlSession* nvml_;
  nvml::Device device_{};
  Conditions seen_;
  std::vector<double> clocks_;
};

}  // namespace conformance::cublas
