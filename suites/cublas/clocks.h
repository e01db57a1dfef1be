#pragma once

#include <memory>
#include <string>

#include "fixtures/cuda_inventory.h"
#include "fixtures/nvml_table.h"

namespace conformance::cublas {

/// Why a GPU's clocks are below their maximum, as NVML says while the GPU works. Watching changes
/// nothing; without NVML nothing is seen, which costs an explanation but no verdict.
class ClockWatch {
 public:
  ClockWatch(const NvmlSession* nvml, const CudaDevice& device);
  /// Adds the reasons of this moment.
  void look();
  /// "software power cap, hardware thermal slowdown"; "none" or "not known".
  std::string reasons() const;

 private:
  const NvmlSession* nvml_;
  nvml::Device device_{};
  bool known_ = false;
  unsigned long long reasons_ = 0;
};

}  // namespace conformance::cublas
