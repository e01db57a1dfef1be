#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace conformance::devices {

/// The files with which container runtimes are told of NVIDIA's devices: specifications of the
/// Container Device Interface (CDI), JSON or YAML, under `root`.
std::vector<std::string> container_specs(const std::string& root);

/// The paths of the host that a specification refers to: each "hostPath", and each device node,
/// whose "path" is the host's too if it has no other.
std::vector<std::string> host_paths(std::string_view spec);

}  // namespace conformance::devices
