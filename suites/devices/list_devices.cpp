#include "suites/devices/list_devices.h"

#include <algorithm>
#include <exception>
#include <thread>

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/child_task.h"
#include "fixtures/cuda_inventory.h"
#include "fixtures/deadline.h"
#include "fixtures/test.h"
#include "suites/devices/findings.h"

namespace conformance::devices {

int list_devices(std::span<const std::string> /*arguments*/) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  nlohmann::json answer{{"code", static_cast<int>(code)},
                        {"uuids", nlohmann::json::array()},
                        {"bus_ids", nlohmann::json::array()}};
  if (code == cudaSuccess) {
    CudaInventory devices;
    if (const Status read = read_cuda_inventory(devices); !read.ok()) {
      fmt::print(stderr, "{}\n", read.describe());
      return 1;
    }
    for (const CudaDevice& device : devices) {
      answer["uuids"].push_back(device.uuid);
      answer["bus_ids"].push_back(device.pci_bus_id);
    }
  }
  fmt::print("{}\n", answer.dump());
  return 0;
}

Listed listed_by_a_process(const Environment& environment) {
  ChildOptions options = child_task("list-devices");
  options.environment = environment;
  options.deadline = deadline_of(std::chrono::seconds(40));
  const ChildResult child = run_child(options);
  const auto answer = nlohmann::json::parse(child.output, nullptr, /*allow_exceptions=*/false);
  if (!child.succeeded() || !answer.is_object() || !answer.contains("code") ||
      !answer.contains("uuids") || !answer.contains("bus_ids")) {
    fail_and_end(
        Finding(child_failed, host_subject(),
                fmt::format("the process that was to list its GPUs {}; it wrote \"{}\" and "
                            "\"{}\"",
                            child.describe(), child.output, child.error)));
  }
  return {answer["code"].get<int>(), answer["uuids"].get<std::vector<std::string>>(),
          answer["bus_ids"].get<std::vector<std::string>>()};
}

std::vector<Listed> listed_by_processes(const std::vector<Environment>& environments) {
  // Each process initialises every GPU that its list leaves it; see the layer's README for the
  // cost.
  constexpr std::size_t kAtOnce = 8;
  std::vector<Listed> listed(environments.size());
  for (std::size_t first = 0; first < environments.size(); first += kAtOnce) {
    std::vector<std::exception_ptr> errors(std::min(kAtOnce, environments.size() - first));
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < errors.size(); ++i) {
        threads.emplace_back([&, i] {
          try {
            listed[first + i] = listed_by_a_process(environments[first + i]);
          } catch (...) {
            errors[i] = std::current_exception();
          }
        });
      }
    }
    for (const std::exception_ptr& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  }
  return listed;
}

}  // namespace conformance::devices
