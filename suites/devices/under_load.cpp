#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/devices/findings.h"
#include "suites/devices/nvml_gpus.h"

namespace conformance::devices {
namespace {

using Clock = std::chrono::steady_clock;

class UnderLoad : public GpuTest {};

/// What NVML said of a GPU while it copied from and to the host.
struct Watched {
  unsigned generation = 0, width = 0;            ///< the best that the PCIe link reached
  unsigned best_generation = 0, best_width = 0;  ///< what GPU and slot can do
  bool link_known = true;
  unsigned long long reasons_held = ~0ULL;  ///< in each sample
  unsigned long long reasons_seen = 0;      ///< in any
  bool reasons_known = true;
  unsigned samples = 0;

  bool at_best() const { return generation >= best_generation && width >= best_width; }
};

void look(const NvmlSession& nvml, const NvmlGpu& gpu, Watched& watched) {
  unsigned generation = 0, width = 0;
  watched.link_known =
      watched.link_known &&
      can_read(CONFORMANCE_CALL(nvml->nvmlDeviceGetCurrPcieLinkGeneration(gpu.handle, &generation)),
               "pcie-generation", gpu) &&
      can_read(CONFORMANCE_CALL(nvml->nvmlDeviceGetCurrPcieLinkWidth(gpu.handle, &width)),
               "pcie-width", gpu);
  watched.generation = std::max(watched.generation, generation);
  watched.width = std::max(watched.width, width);
  unsigned long long reasons = 0;
  watched.reasons_known =
      watched.reasons_known &&
      can_read(
          CONFORMANCE_CALL(nvml->nvmlDeviceGetCurrentClocksThrottleReasons(gpu.handle, &reasons)),
          "clock-reasons", gpu);
  watched.reasons_held &= reasons;
  watched.reasons_seen |= reasons;
  ++watched.samples;
}

/// Copies between host and GPU until the link has reached its best and enough was seen of the
/// clocks, but not for long: a link at rest may run slower to save power, one that carries data
/// speeds up within milliseconds.
Watched watch_copies(const CudaDevice& device, const NvmlGpu& gpu, const NvmlSession& nvml) {
  constexpr unsigned kSamples = 10;
  constexpr std::chrono::milliseconds kLongest{2000}, kShortest{100};
  Watched watched;
  watched.link_known =
      can_read(CONFORMANCE_CALL(
                   nvml->nvmlDeviceGetMaxPcieLinkGeneration(gpu.handle, &watched.best_generation)),
               "pcie-best-generation", gpu) &&
      can_read(
          CONFORMANCE_CALL(nvml->nvmlDeviceGetMaxPcieLinkWidth(gpu.handle, &watched.best_width)),
          "pcie-best-width", gpu);
  const std::size_t bytes = scaled_bytes(64 << 20, device.total_memory);
  const PinnedBuffer<unsigned char> host(bytes);
  const DeviceBuffer<unsigned char> memory(bytes);
  const Stream stream;
  const Clock::time_point start = Clock::now();
  for (;;) {
    for (int i = 0; i < 4; ++i) {
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(memory.data(), host.data(), bytes,
                                              cudaMemcpyHostToDevice, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), memory.data(), bytes,
                                              cudaMemcpyDeviceToHost, stream.get())));
    }
    look(nvml, gpu, watched);  // while the copies run
    synchronize(stream, device.subject());
    const auto passed = Clock::now() - start;
    const bool enough = watched.samples >= kSamples && passed >= kShortest;
    if (passed >= kLongest || (enough && (watched.at_best() || !watched.link_known))) break;
  }
  return watched;
}

/// Watches each GPU that CUDA and NVML both show as a whole, all at once.
template <typename Judge>
void watch_each(const CudaInventory& devices, const NvmlGpus& nvml, Judge judge) {
  if (nvml.any_mig()) skip("MIG is on: the process has a part of a GPU");
  for_each_device(devices, [&](const CudaDevice& device) {
    if (const NvmlGpu* gpu = nvml.by_uuid(device.uuid)) {
      judge(*gpu, watch_copies(device, *gpu, nvml.session()));
    }
  });
  if (!testing::Test::HasFailure() && Session::current().verified_count() == 0) {
    skip("NVML offers none of this for any GPU");
  }
}

/// In a virtual machine NVML sees the GPU, but not the slot that it is in: a lower rate may be the
/// slot's best.
bool slot_is_visible(const NvmlGpus& nvml, const NvmlGpu& gpu) {
  auto mode = nvml::Virtualization::none;
  const auto code = nvml.session()->nvmlDeviceGetVirtualizationMode(gpu.handle, &mode);
  return code != nvml::Return::success || mode == nvml::Virtualization::none;
}

TEST_F(UnderLoad, ThePcieLinkReachesItsBest) {
  claim(
      "While data moves over it, a GPU's PCIe link has the generation and width that GPU and "
      "system can do at most",
      "NVML API Reference: nvmlDeviceGetMaxPcieLinkGeneration, nvmlDeviceGetCurrPcieLinkWidth");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  watch_each(devices, nvml, [&](const NvmlGpu& gpu, const Watched& watched) {
    if (!watched.link_known) return;
    fact(fmt::format("devices.pcie.{}", gpu.bus_id),
         fmt::format("generation {} of {}, {} of {} lanes", watched.generation,
                     watched.best_generation, watched.width, watched.best_width));
    if (!watched.at_best() && !slot_is_visible(nvml, gpu)) return;
    expect(watched.at_best(),
           Finding(pcie_degraded, gpu.subject(),
                   fmt::format("generation {} of {}, {} of {} lanes, in {} looks during copies",
                               watched.generation, watched.best_generation, watched.width,
                               watched.best_width, watched.samples),
                   {{"generation", std::uint64_t{watched.generation}},
                    {"best_generation", std::uint64_t{watched.best_generation}},
                    {"width", std::uint64_t{watched.width}},
                    {"best_width", std::uint64_t{watched.best_width}}}));
    verified(1, "GPUs");
  });
}

TEST_F(UnderLoad, NothingButWorkAndPowerCapSlowsTheClocks) {
  claim("Neither heat nor the external power supply keeps a GPU's clocks down while it only copies",
        "NVML API Reference: nvmlClocksEventReasons, nvmlDeviceGetCurrentClocksEventReasons");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  watch_each(devices, nvml, [](const NvmlGpu& gpu, const Watched& watched) {
    if (!watched.reasons_known) return;
    fact(fmt::format("devices.clock-reasons.{}", gpu.bus_id), clock_reasons(watched.reasons_seen));
    constexpr unsigned long long kFaults =
        nvml::reason_hw_slowdown | nvml::reason_sw_thermal_slowdown |
        nvml::reason_hw_thermal_slowdown | nvml::reason_hw_power_brake_slowdown;
    // A moment of it is how a GPU protects itself; all the time, with little to do, is a fault.
    const unsigned long long held = watched.reasons_held & kFaults;
    expect(held == 0,
           Finding(clocks_held_down, gpu.subject(),
                   fmt::format("{}, in each of {} looks", clock_reasons(held), watched.samples),
                   {{"reasons", std::uint64_t{held}}}));
    verified(1, "GPUs");
  });
}

}  // namespace
}  // namespace conformance::devices
