#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/cuda_inventory.h"
#include "fixtures/nvml_table.h"

namespace conformance::devices {

/// One GPU as NVML shows it.
struct NvmlGpu {
  unsigned index = 0;
  nvml::Device handle = nullptr;
  std::string uuid;    ///< of the whole GPU, "GPU-…"
  std::string bus_id;  ///< "00000000:06:00.0", lower case
  std::string name;
  int major = 0, minor = 0;       ///< compute capability
  unsigned long long memory = 0;  ///< bytes
  unsigned pci_device_id = 0;     ///< without the vendor, as on the PCI bus
  bool mig = false;               ///< split into instances

  Subject subject() const;
};

/// NVML's GPUs. The handles are good as long as the session.
class NvmlGpus {
 public:
  /// Reads them all; what NVML cannot do becomes a finding that ends the test.
  static NvmlGpus read();

  const NvmlSession& session() const { return *session_; }
  const std::vector<NvmlGpu>& all() const { return gpus_; }
  /// Null if there is none with that UUID or bus address.
  const NvmlGpu* by_uuid(const std::string& uuid) const;
  const NvmlGpu* by_bus_id(const std::string& bus_id) const;
  /// Whether any GPU is split: then CUDA shows instances, with UUIDs of their own.
  bool any_mig() const;
  /// The GPUs that the process uses: those that CUDA shows, or all if any is split.
  std::vector<NvmlGpu> used_by(const CudaInventory& devices) const;

 private:
  std::unique_ptr<NvmlSession> session_;
  std::vector<NvmlGpu> gpus_;
};

/// A value that NVML may not offer for a GPU, or not to this user, or not through this machine's
/// sandbox: what cannot be read is recorded as unread, and is neither verified nor taken for
/// healthy. That the GPU is lost is a finding.
bool can_read(const Status& status, std::string_view what, const NvmlGpu& gpu);

}  // namespace conformance::devices
