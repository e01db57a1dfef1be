#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace conformance::devices {

/// Child task: prints what the process sees, as JSON: {"code": 0, "uuids": ["GPU-…", …], "bus_ids":
/// ["00000000:06:00.0", …]}, with the code of cudaGetDeviceCount.
int list_devices(std::span<const std::string> arguments);

/// What a process saw.
struct Listed {
  int code = 0;  ///< of cudaGetDeviceCount
  std::vector<std::string> uuids;
  std::vector<std::string> bus_ids;
};
using Environment = std::map<std::string, std::optional<std::string>>;
/// Lets a fresh process with these changes to its environment list its GPUs. One that does not
/// answer in time ends the test with a finding.
Listed listed_by_a_process(const Environment& environment);
/// The same in one process for each of `environments`, several at a time.
std::vector<Listed> listed_by_processes(const std::vector<Environment>& environments);

}  // namespace conformance::devices
