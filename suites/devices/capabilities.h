#pragma once

#include <optional>
#include <string>
#include <vector>

namespace conformance::devices {

/// A right that the kernel module hands out by a device node /dev/nvidia-caps/nvidia-cap<minor>:
/// to use a MIG instance, to configure MIG, to manage the fabric.
struct Capability {
  std::string name;  ///< "gpu0/mig/gi1/access"
  unsigned minor = 0;
};
/// Those of /proc/driver/nvidia/capabilities under `root`, by name; nothing if the kernel module
/// shows none to this process. MIG User Guide: Device Nodes and Capabilities.
std::optional<std::vector<Capability>> read_capabilities(const std::string& root);

/// The major number of the nodes, which changes from boot to boot; nothing if /proc/devices does
/// not tell.
std::optional<unsigned> capability_major(const std::string& root);

/// "/dev/nvidia-caps/nvidia-cap3"
std::string node_path(const Capability& capability);

/// The GPUs ("gpu0", whose node is /dev/nvidia0) that this process was given and that have MIG
/// instances of which it may use none: it needs to open the nodes of a GPU instance and of a
/// compute instance in it.
std::vector<std::string> gpus_without_usable_instance(const std::vector<Capability>& capabilities,
                                                      const std::string& root);

}  // namespace conformance::devices
