#include "suites/runtime/lost_context.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/child_task.h"
#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "kernels/pattern.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

/// A lost context can be confined to its process only where processes have contexts of their own
/// and a second one is admitted.
void require_shareable(const CudaInventory& devices) {
  skip_if_exclusive(devices);
  for (const CudaDevice& device : devices) {
    guarded(device.subject(), [&] {
      if (attribute(device, cudaDevAttrMpsEnabled) == 0) return;
      skip(
          fmt::format("GPU {} is shared through the Multi-Process Service, whose clients share "
                      "faults",
                      device.ordinal));
    });
  }
}

/// Lets a child process lose its context on `device`, and checks what the child saw.
void lose_a_context(const CudaDevice& device, const Loss& loss) {
  ChildOptions options = child_task(loss.child_task, {std::to_string(device.ordinal)});
  options.deadline = deadline_of(std::chrono::seconds(45));
  // The fault is meant: no debugger or core dump is to be woken by it.
  options.environment["CUDA_ENABLE_COREDUMP_ON_EXCEPTION"] = std::nullopt;
  const ChildResult child = run_child(options);
  const auto answer = nlohmann::json::parse(child.output, nullptr, /*allow_exceptions=*/false);
  if (!child.succeeded() || !answer.is_object() || answer.value("before", -1) != 0) {
    fail_and_end(Finding(child_failed, device.subject(),
                         fmt::format("the process that was to lose its context {}; it wrote \"{}\" "
                                     "and \"{}\"",
                                     child.describe(), child.output, child.error)));
  }
  expect_code(static_cast<cudaError_t>(answer.value("wait", -1)), loss.code,
              fmt::format("waiting for {}", loss.kernel), device.subject());
  for (const auto& [call, code] : answer["after"].items()) {
    expect_code(static_cast<cudaError_t>(code.get<int>()), loss.code,
                fmt::format("{} after that", call), device.subject(), wrong_error_state);
  }
}

}  // namespace

void expect_isolated_loss(const CudaInventory& devices, const Loss& loss) {
  constexpr std::size_t kWords = 4096;
  constexpr std::uint64_t kSeed = 17;
  require_shareable(devices);
  for_each_device(devices, [&](const CudaDevice& device) {
    Stream stream;
    DeviceBuffer<std::uint64_t> kept(kWords);
    DeviceBuffer<kernels::PatternMismatch> mismatch(1);
    PinnedBuffer<kernels::PatternMismatch> host(1);
    host[0] = kernels::no_mismatch();
    ensure(CONFORMANCE_CALL(kernels::fill_pattern(kept.data(), kWords, 0, kSeed, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(mismatch.data(), host.data(), host.bytes(),
                                            cudaMemcpyHostToDevice, stream.get())));
    synchronize(stream, device.subject());

    lose_a_context(device, loss);

    Status state = CONFORMANCE_CALL(
        kernels::check_pattern(kept.data(), kWords, 0, kSeed, mismatch.data(), stream.get()));
    if (state.ok()) {
      state = CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), mismatch.data(), host.bytes(),
                                               cudaMemcpyDeviceToHost, stream.get()));
    }
    if (state.ok()) state = wait_for(stream.get());
    if (!state.ok()) {
      fail_and_end(
          Finding(context_not_isolated, device.subject(),
                  fmt::format("after another process lost its context, {}", state.describe())));
    }
    expect(host[0].count == 0,
           Finding(context_not_isolated, device.subject(),
                   fmt::format("after another process lost its context, {} of {} words changed",
                               host[0].count, kWords),
                   {{"wrong", std::uint64_t{host[0].count}}}));
    verified(kWords, "words");
  });
}

}  // namespace conformance::runtime
