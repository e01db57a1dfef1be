#include <vector>

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

/// A value that NVML may not offer for a GPU. What cannot be read is recorded as that, and neither
/// counted as verified nor taken for healthy.
bool can_read(const Status& status, std::string_view what, const NvmlGpu& gpu) {
  if (status.ok()) return true;
  fact(fmt::format("devices.unread.{}.{}", what, gpu.bus_id), status.name());
  return false;
}

void skip_if_nothing_was_read(std::string_view what) {
  if (!testing::Test::HasFailure() && Session::current().verified_count() == 0) {
    skip(fmt::format("no GPU offers its {}", what));
  }
}

TEST_F(Health, EachGpuAdmitsProcesses) {
  claim("In the default compute mode any number of processes can use a GPU",
        "CUDA C++ Programming Guide: Compute Modes");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  for (const NvmlGpu& gpu : require_used(nvml, devices)) {
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
    // Without persistence the first start after idling is slow: worth knowing, not a fault.
    auto persistence = nvml::Enabled::no;
    if (can_read(CONFORMANCE_CALL(
                     nvml.session()->nvmlDeviceGetPersistenceMode(gpu.handle, &persistence)),
                 "persistence", gpu)) {
      fact(fmt::format("devices.persistence.{}", gpu.bus_id), persistence == nvml::Enabled::yes);
    }
  }
  skip_if_nothing_was_read("state of memory repair");
}

}  // namespace
}  // namespace conformance::devices
