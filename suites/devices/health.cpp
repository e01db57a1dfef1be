#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/devices/findings.h"
#include "suites/devices/nvml_gpus.h"

namespace conformance::devices {
namespace {

class Health : public GpuTest {};

/// The GPUs that this process uses; skips the test if NVML knows none of them.
std::vector<NvmlGpu> require_used(const NvmlGpus& nvml, const CudaInventory& devices) {
  std::vector<NvmlGpu> used = nvml.used_by(devices);
  if (used.empty()) skip("NVML knows none of the GPUs that CUDA shows by its UUID");
  return used;
}

void skip_if_nothing_was_read(std::string_view what) {
  if (!testing::Test::HasFailure() && Session::current().verified_count() == 0) {
    skip(fmt::format("no GPU offers its {}", what));
  }
}

/// What is worth knowing about a GPU and no fault: who else uses it, and how it is set up.
void record_use(const NvmlGpus& nvml, const NvmlGpu& gpu) {
  std::array<nvml::ProcessInfo, 256> processes{};
  unsigned count = processes.size();
  const nvml::Return code =
      nvml.session()->nvmlDeviceGetComputeRunningProcesses_v3(gpu.handle, &count, processes.data());
  // With too little room NVML tells the number only.
  const bool listed = code != nvml::Return::insufficient_size;
  if (!listed ||
      can_read(to_status(code, "nvmlDeviceGetComputeRunningProcesses"), "processes", gpu)) {
    const auto own = static_cast<unsigned>(::getpid());
    const auto of_own =
        listed ? std::count_if(processes.begin(), processes.begin() + count,
                               [&](const nvml::ProcessInfo& process) { return process.pid == own; })
               : 0;
    fact(fmt::format("devices.other-processes.{}", gpu.bus_id), std::int64_t{count} - of_own);
  }
  nvml::Memory memory{};
  if (can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetMemoryInfo(gpu.handle, &memory)),
               "free-memory", gpu)) {
    fact(fmt::format("devices.free-memory-bytes.{}", gpu.bus_id), std::uint64_t{memory.free});
  }
  // Without persistence the first start after idling is slow: worth knowing, not a fault.
  auto persistence = nvml::Enabled::no;
  if (can_read(
          CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetPersistenceMode(gpu.handle, &persistence)),
          "persistence", gpu)) {
    fact(fmt::format("devices.persistence.{}", gpu.bus_id), persistence == nvml::Enabled::yes);
  }
  constexpr std::array<std::string_view, 5> kModes{"none", "passed through to this machine",
                                                   "virtual GPU", "host of virtual GPUs",
                                                   "host of shared graphics"};
  auto mode = nvml::Virtualization::none;
  if (can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetVirtualizationMode(gpu.handle, &mode)),
               "virtualization", gpu)) {
    const auto number = static_cast<std::size_t>(mode);
    fact(fmt::format("devices.virtualization.{}", gpu.bus_id),
         number < kModes.size() ? std::string(kModes[number]) : fmt::to_string(number));
  }
  unsigned long long reasons = 0;
  if (can_read(CONFORMANCE_CALL(
                   nvml.session()->nvmlDeviceGetCurrentClocksThrottleReasons(gpu.handle, &reasons)),
               "clock-reasons", gpu)) {
    fact(fmt::format("devices.clock-reasons-at-rest.{}", gpu.bus_id), clock_reasons(reasons));
  }
  fact(fmt::format("devices.mig.{}", gpu.bus_id), gpu.mig);
}

TEST_F(Health, EachGpuAdmitsProcesses) {
  claim("In the default compute mode any number of processes can use a GPU",
        "CUDA C++ Programming Guide: Compute Modes");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
    record_use(nvml, gpu);
    auto mode = nvml::ComputeMode::standard;
    if (!can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetComputeMode(gpu.handle, &mode)),
                  "compute-mode", gpu)) {
      continue;
    }
    expect(mode == nvml::ComputeMode::standard,
           Finding(compute_mode, gpu.subject(),
                   fmt::format("the compute mode is {}",
                               mode == nvml::ComputeMode::prohibited ? "prohibited" : "exclusive"),
                   {{"mode", std::int64_t{static_cast<int>(mode)}}}));
    verified(1, "GPUs");
  }
  skip_if_nothing_was_read("compute mode");
}

TEST_F(Health, NoUncorrectableMemoryErrorHasHappened) {
  claim("A GPU with ECC counts no uncorrected memory error since its driver was loaded",
        "NVML API Reference: nvmlDeviceGetTotalEccErrors, NVML_VOLATILE_ECC");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
    auto current = nvml::Enabled::no, pending = nvml::Enabled::no;
    if (!can_read(
            CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetEccMode(gpu.handle, &current, &pending)),
            "ecc-mode", gpu)) {
      continue;
    }
    fact(fmt::format("devices.ecc.{}", gpu.bus_id), current == nvml::Enabled::yes);
    unsigned long long errors = 0;
    if (current != nvml::Enabled::yes ||
        !can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetTotalEccErrors(
                      gpu.handle, nvml::MemoryError::uncorrected, nvml::EccCounter::since_start,
                      &errors)),
                  "ecc-errors", gpu)) {
      continue;
    }
    unsigned long long lifetime = 0;
    if (can_read(
            CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetTotalEccErrors(
                gpu.handle, nvml::MemoryError::uncorrected, nvml::EccCounter::lifetime, &lifetime)),
            "ecc-lifetime", gpu)) {
      // Rows and pages at fault may have been taken out of use since: no fault by itself.
      fact(fmt::format("devices.ecc-uncorrected-in-lifetime.{}", gpu.bus_id),
           std::uint64_t{lifetime});
    }
    expect(errors == 0,
           Finding(ecc_errors, gpu.subject(),
                   fmt::format("{} uncorrected errors since the driver was loaded", errors),
                   {{"errors", std::uint64_t{errors}}}));
    verified(1, "GPUs");
  }
  skip_if_nothing_was_read("ECC counters");
}

/// True if NVML offers row remapping for the GPU, which newer GPUs have in place of retired pages.
bool check_remapped_rows(const NvmlGpus& nvml, const NvmlGpu& gpu) {
  unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (!can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetRemappedRows(
                    gpu.handle, &corrected, &uncorrected, &pending, &failed)),
                "remapped-rows", gpu)) {
    return false;
  }
  fact(fmt::format("devices.remapped-rows.{}", gpu.bus_id), std::uint64_t{corrected} + uncorrected);
  const Evidence evidence{{"corrected", std::uint64_t{corrected}},
                          {"uncorrected", std::uint64_t{uncorrected}},
                          {"pending", std::uint64_t{pending}},
                          {"failed", std::uint64_t{failed}}};
  expect(pending == 0,
         Finding(repair_pending, gpu.subject(), "a row is waiting to be remapped", evidence));
  expect(failed == 0, Finding(repair_failed, gpu.subject(), "remapping of a row failed", evidence));
  return true;
}

bool check_retired_pages(const NvmlGpus& nvml, const NvmlGpu& gpu) {
  auto pending = nvml::Enabled::no;
  if (!can_read(CONFORMANCE_CALL(
                    nvml.session()->nvmlDeviceGetRetiredPagesPendingStatus(gpu.handle, &pending)),
                "retired-pages", gpu)) {
    return false;
  }
  expect(pending == nvml::Enabled::no,
         Finding(repair_pending, gpu.subject(), "a page is waiting to be retired"));
  return true;
}

TEST_F(Health, NoMemoryRepairIsPendingOrFailed) {
  claim("A GPU has no memory row or page that waits for a reset to be taken out of use",
        "NVIDIA GPU Memory Error Management: Row Remapping; Dynamic Page Retirement");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
    if (check_remapped_rows(nvml, gpu) || check_retired_pages(nvml, gpu)) verified(1, "GPUs");
  }
  skip_if_nothing_was_read("state of memory repair");
}

TEST_F(Health, NoGpuWaitsForRecovery) {
  claim("The driver asks for no action to recover a GPU from an error",
        "NVML API Reference: NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, nvmlDeviceGpuRecoveryAction_t");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  constexpr std::array<std::string_view, 5> kActions{"none", "reset the GPU", "reboot the host",
                                                     "end all peer-to-peer traffic",
                                                     "end all work on the GPU and reset it"};
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
    unsigned action = nvml::recovery_none;
    if (!can_read(nvml.session().recovery_action(gpu.handle, action), "recovery-action", gpu)) {
      continue;
    }
    expect(action == nvml::recovery_none,
           Finding(recovery_due, gpu.subject(),
                   fmt::format("the driver asks for action {}: {}", action,
                               action < kActions.size() ? kActions[action] : "see nvidia-smi -q"),
                   {{"action", std::uint64_t{action}}}));
    verified(1, "GPUs");
  }
  skip_if_nothing_was_read("recovery action");
}

/// A GPU's NVLinks.
struct Links {
  unsigned active = 0;
  bool to_switch = false;
};

Links check_links(const NvmlGpus& nvml, const NvmlGpu& gpu) {
  Links links;
  std::map<std::string, std::uint64_t> counts;
  for (unsigned link = 0; link < nvml::kMaxNvLinks; ++link) {
    auto state = nvml::Enabled::no;
    // A GPU without this link answers "not supported" or "invalid argument".
    if (nvml.session()->nvmlDeviceGetNvLinkState(gpu.handle, link, &state) !=
            nvml::Return::success ||
        state != nvml::Enabled::yes) {
      continue;
    }
    ++links.active;
    auto peer = nvml::NvLinkPeer::unknown;
    if (nvml.session()->nvmlDeviceGetNvLinkRemoteDeviceType(gpu.handle, link, &peer) ==
        nvml::Return::success) {
      links.to_switch = links.to_switch || peer == nvml::NvLinkPeer::nvswitch;
    }
    constexpr std::array<std::pair<nvml::NvLinkCounter, std::string_view>, 5> kCounters{
        {{nvml::NvLinkCounter::replay, "replays"},
         {nvml::NvLinkCounter::recovery, "recoveries"},
         {nvml::NvLinkCounter::crc_flit, "crc-flits"},
         {nvml::NvLinkCounter::crc_data, "crc-data"},
         {nvml::NvLinkCounter::ecc_data, "ecc-data"}}};
    for (const auto& [counter, name] : kCounters) {
      unsigned long long count = 0;
      if (!can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetNvLinkErrorCounter(
                        gpu.handle, link, counter, &count)),
                    fmt::format("nvlink-{}", name), gpu)) {
        continue;
      }
      counts[std::string(name)] += count;
      // Replays are how a link repairs a packet; a recovery means that it had to train anew.
      expect(counter != nvml::NvLinkCounter::recovery || count == 0,
             Finding(nvlink_errors, gpu.subject(),
                     fmt::format("link {} was recovered {} times", link, count),
                     {{"link", std::uint64_t{link}}, {"recoveries", std::uint64_t{count}}}));
    }
  }
  fact(fmt::format("devices.nvlinks.{}", gpu.bus_id), std::uint64_t{links.active});
  for (const auto& [name, count] : counts) {
    fact(fmt::format("devices.nvlink-{}.{}", name, gpu.bus_id), count);
  }
  return links;
}

TEST_F(Health, EachNvLinkIsUpAndWasNeverRecovered) {
  claim(
      "GPUs of one kind that are connected through NVSwitches have equally many active NVLinks, "
      "and none of them counts a recovery from errors",
      "NVML API Reference: NvLink Methods, nvmlDeviceGetNvLinkState, "
      "nvmlDeviceGetNvLinkErrorCounter");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  std::vector<std::pair<NvmlGpu, Links>> all;
  // What is passed on with a switch is the whole of a GPU's links; a bridge may join some GPUs
  // only, so without a switch counts are not compared.
  std::map<std::string, unsigned> most;
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
    const Links links = check_links(nvml, gpu);
    verified(links.active, "links");
    if (links.to_switch) most[gpu.name] = std::max(most[gpu.name], links.active);
    all.emplace_back(gpu, links);
  }
  for (const auto& [gpu, links] : all) {
    const auto like = most.find(gpu.name);
    if (like == most.end()) continue;
    expect(
        links.active == like->second,
        Finding(nvlink_down, gpu.subject(),
                fmt::format("{} of its NVLinks are active, {} of its like's", links.active,
                            like->second),
                {{"active", std::uint64_t{links.active}}, {"like", std::uint64_t{like->second}}}));
  }
  if (!HasFailure() && Session::current().verified_count() == 0) {
    skip("no GPU has an active NVLink");
  }
}

bool has_active_link(const NvmlGpus& nvml, const NvmlGpu& gpu) {
  for (unsigned link = 0; link < nvml::kMaxNvLinks; ++link) {
    auto state = nvml::Enabled::no;
    if (nvml.session()->nvmlDeviceGetNvLinkState(gpu.handle, link, &state) ==
            nvml::Return::success &&
        state == nvml::Enabled::yes) {
      return true;
    }
  }
  return false;
}

std::vector<std::string_view> fabric_complaints(const nvml::GpuFabricInfoV& info) {
  std::vector<std::string_view> complaints;
  constexpr std::array<std::pair<nvml::FabricHealth, std::string_view>, 4> kFields{
      {{nvml::fabric_degraded_bandwidth, "its bandwidth is degraded"},
       {nvml::fabric_route_recovery, "a route is being recovered"},
       {nvml::fabric_route_unhealthy, "a route is unhealthy"},
       {nvml::fabric_access_timeout_recovery, "it recovers from a timeout"}}};
  for (const auto& [shift, text] : kFields) {
    if ((info.health_mask >> shift & 3U) == nvml::kFabricHealthTrue) complaints.push_back(text);
  }
  if ((info.health_mask >> nvml::fabric_incorrect_configuration & 15U) >
      nvml::kFabricConfigurationCorrect) {
    complaints.emplace_back("its configuration is incorrect");
  }
  if (info.health_summary == nvml::fabric_summary_unhealthy) {
    complaints.emplace_back("its summary is \"unhealthy\"");
  }
  if (info.health_summary == nvml::fabric_summary_limited) {
    complaints.emplace_back("its capacity is limited");
  }
  return complaints;
}

TEST_F(Health, EachGpuHasJoinedItsFabric) {
  claim(
      "A GPU that is connected through NVSwitches has registered with the fabric, and the fabric "
      "is healthy",
      "NVML API Reference: nvmlDeviceGetGpuFabricInfoV, nvmlGpuFabricInfo_v3_t");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
    nvml::GpuFabricInfoV info{};
    // An instance of a split GPU has no part in the fabric.
    if (gpu.mig || !can_read(nvml.session().fabric_info(gpu.handle, info), "fabric", gpu)) continue;
    fact(fmt::format("devices.fabric-state.{}", gpu.bus_id), std::uint64_t{info.state});
    // One whose links are off, as a virtual machine may get it, has nothing to join.
    if (info.state == nvml::fabric_not_supported || !has_active_link(nvml, gpu)) continue;
    verified(1, "GPUs");
    const Status registered = to_status(info.status, "the registration with the fabric");
    if (!expect(info.state == nvml::fabric_completed && registered.ok(),
                Finding(fabric_not_ready, gpu.subject(),
                        fmt::format("its state is {} ({} is completed), its status {}", info.state,
                                    static_cast<int>(nvml::fabric_completed), registered.name()),
                        {{"state", std::uint64_t{info.state}},
                         {"status", std::int64_t{registered.code()}}}))) {
      continue;
    }
    const std::vector<std::string_view> complaints = fabric_complaints(info);
    expect(complaints.empty(),
           Finding(fabric_unhealthy, gpu.subject(), fmt::format("{}", fmt::join(complaints, "; ")),
                   {{"health_mask", std::uint64_t{info.health_mask}},
                    {"summary", std::uint64_t{info.health_summary}}}));
  }
  if (!HasFailure() && Session::current().verified_count() == 0) {
    skip("no GPU here is part of an NVLink fabric");
  }
}

}  // namespace
}  // namespace conformance::devices
