#include "suites/devices/list_devices.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/child_task.h"
#include "fixtures/cuda_inventory.h"
#include "fixtures/test.h"
#include "suites/devices/findings.h"

namespace conformance::devices {

int list_devices(std::span<const std::string> /*arguments*/) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  nlohmann::json answer{{"code", static_cast<int>(code)}, {"uuids", nlohmann::json::array()}};
  if (code == cudaSuccess) {
    CudaInventory devices;
    if (const Status read = read_cuda_inventory(devices); !read.ok()) {
      fmt::print(stderr, "{}\n", read.describe());
      return 1;
    }
    for (const CudaDevice& device : devices) answer["uuids"].push_back(device.uuid);
  }
  fmt::print("{}\n", answer.dump());
  return 0;
}

Listed listed_by_a_process(const std::map<std::string, std::optional<std::string>>& environment) {
  ChildOptions options = child_task("list-devices");
  options.environment = environment;
  options.deadline = std::chrono::seconds(40);
  const ChildResult child = run_child(options);
  const auto answer = nlohmann::json::parse(child.output, nullptr, /*allow_exceptions=*/false);
  if (!child.succeeded() || !answer.is_object() || !answer.contains("code") ||
      !answer.contains("uuids")) {
    fail_and_end(
        Finding(child_failed, host_subject(),
                fmt::format("the process that was to list its GPUs {}; it wrote \"{}\" and "
                            "\"{}\"",
                            child.describe(), child.output, child.error)));
  }
  return {answer["code"].get<int>(), answer["uuids"].get<std::vector<std::string>>()};
}

}  // namespace conformance::devices
