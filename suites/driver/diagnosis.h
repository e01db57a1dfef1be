#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fixtures/finding.h"
#include "fixtures/host_facts.h"

namespace conformance::driver {

/// What the host shows that bears on a driver that is not found or does not start.
Evidence host_evidence(const HostFacts& host);

/// Why the loader could not load libcuda.so.1, from its message (dlerror(3)).
const FindingKind& diagnose_load_error(std::string_view loader_message);

/// A node of the driver that is there but cannot be opened for reading and writing.
struct DeniedNode {
  std::string path;
  int error = 0;  ///< errno
};
/// Tries /dev/nvidiactl, /dev/nvidia-uvm and each /dev/nvidiaN; opening them changes nothing.
std::vector<DeniedNode> denied_nodes(const HostFacts& host, const std::string& root);

/// The most likely cause of cuInit's answer `code`, which is not CUDA_SUCCESS. Codes that name
/// their cause are taken at their word; the others (100, 999, 304, 3, …) have many, so what the
/// host shows decides.
const FindingKind& diagnose_init(int code, const HostFacts& host,
                                 const std::vector<DeniedNode>& denied);

/// A libcuda.so.1 that was loaded.
struct DriverLibrary {
  std::string path;       ///< as the loader found it
  std::string real_path;  ///< links followed
  /// What NixOS' link to the system's driver leads to; empty on other hosts.
  std::string of_nixos = {};
};
/// Why a libcuda is of another version than the loaded kernel module; null if it is not, if one of
/// the versions is not known, or if it is a newer one of a forward-compatibility package.
const FindingKind* diagnose_mismatch(const DriverLibrary& library, const HostFacts& host);

/// Whether a libcuda.so.1 is one of NVIDIA's forward-compatibility packages, which is newer than
/// the kernel module on purpose. CUDA Compatibility: Forward Compatibility.
bool is_forward_compatible(const DriverVersion& library, std::string_view real_path,
                           const DriverVersion& module);

}  // namespace conformance::driver
