#pragma once

#include <optional>
#include <string>

#include "fixtures/cuda_inventory.h"
#include "fixtures/nvml_table.h"

namespace conformance::memory {

/// What a GPU's way to the host can carry in each direction, as far as it can be known.
struct HostLink {
  std::optional<double> gigabytes_per_second;
  std::string text;  ///< "PCIe generation 5, 16 lanes: 63.0 GB/s", or why it is not known
};

/// Reads it now: it is true while data moves, since an idle link may run slower. `nvml` may be
/// null.
HostLink read_host_link(const NvmlSession* nvml, const CudaDevice& device);

/// Whether the process has the device's memory and link to itself as they are: not a part of it
/// (MIG), not a share (vGPU), and not memory that it shares with the processor.
bool has_memory_of_its_own(const NvmlSession* nvml, const CudaDevice& device);

}  // namespace conformance::memory
