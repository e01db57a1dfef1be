#include "suites/runtime/children.h"

#include <charconv>

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/cuda_stream.h"
#include "kernels/launch_probe.h"
#include "kernels/runtime_probe.h"

namespace conformance::runtime {

int count_devices(std::span<const std::string> /*arguments*/) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  fmt::print("{}\n", nlohmann::json{{"code", static_cast<int>(code)},
                                    {"count", code == cudaSuccess ? count : 0}}
                         .dump());
  return 0;
}

namespace {

/// Runs a kernel by `launch` that loses the context of the device arguments[0], and prints what it
/// and the calls after it returned.
template <typename Launch>
int lose_context(std::span<const std::string> arguments, Launch launch) {
  int ordinal = -1;
  if (arguments.size() != 1 ||
      std::from_chars(arguments[0].data(), arguments[0].data() + arguments[0].size(), ordinal).ec !=
          std::errc()) {
    return 2;
  }
  nlohmann::json answer{{"before", static_cast<int>(cudaSetDevice(ordinal))}};
  cudaStream_t stream = nullptr;
  const cudaError_t made = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (made != cudaSuccess) answer["before"] = static_cast<int>(made);
  if (answer["before"] == 0) {
    answer["launch"] = static_cast<int>(launch(stream));
    const Status waited = wait_for(stream);
    answer["wait"] = waited.code();
    // Nothing can be released in a lost context: the process's end does that.
    void* memory = nullptr;
    answer["after"] = {
        {"cudaStreamQuery", static_cast<int>(cudaStreamQuery(stream))},
        {"cudaMalloc", static_cast<int>(cudaMalloc(&memory, 256))},
        {"kernel launch",
         static_cast<int>(kernels::record_launch(nullptr, dim3(1), dim3(1), stream))},
        {"cudaDeviceSynchronize", static_cast<int>(cudaDeviceSynchronize())},
    };
  }
  fmt::print("{}\n", answer.dump());
  return 0;
}

}  // namespace

int illegal_store(std::span<const std::string> arguments) {
  // The first page is never mapped, on the GPU as on the host.
  constexpr std::uintptr_t kNotMapped = 16;
  return lose_context(arguments,
                      [](cudaStream_t stream) { return kernels::store_to(kNotMapped, stream); });
}

int fail_assert(std::span<const std::string> arguments) {
  return lose_context(arguments, kernels::fail_assert);
}

int trap(std::span<const std::string> arguments) { return lose_context(arguments, kernels::trap); }

}  // namespace conformance::runtime
