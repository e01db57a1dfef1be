#include "suites/devices/nvml_gpus.h"

#include <algorithm>

#include <fmt/format.h>

#include "fixtures/host_facts.h"
#include "fixtures/test.h"
#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

Finding call_finding(const Status& status, const Subject& subject) {
  const auto code = static_cast<nvml::Return>(status.code());
  const bool lost = code == nvml::Return::gpu_is_lost || code == nvml::Return::reset_required;
  return {lost ? gpu_is_lost : nvml_call_failed, subject, status.describe(),
          Evidence{{"code", std::int64_t{status.code()}}, {"call", status.expression()}}};
}

void need(const Status& status, const Subject& subject) {
  if (!status.ok()) fail_and_end(call_finding(status, subject));
}

NvmlGpu read_gpu(const NvmlSession& nvml, unsigned index) {
  NvmlGpu gpu;
  gpu.index = index;
  Subject subject{"device", fmt::format("NVML GPU {}", index)};
  need(CONFORMANCE_CALL(nvml->nvmlDeviceGetHandleByIndex_v2(index, &gpu.handle)), subject);
  need(nvml.device_uuid(gpu.handle, gpu.uuid), subject);
  nvml::PciInfo pci{};
  need(CONFORMANCE_CALL(nvml->nvmlDeviceGetPciInfo_v3(gpu.handle, &pci)), subject);
  pci.bus_id[sizeof(pci.bus_id) - 1] = '\0';
  gpu.bus_id = normal_bus_id(pci.bus_id).value_or(pci.bus_id);
  gpu.pci_device_id = pci.pci_device_id >> 16;
  subject = gpu.subject();
  need(nvml.device_name(gpu.handle, gpu.name), subject);
  need(CONFORMANCE_CALL(
           nvml->nvmlDeviceGetCudaComputeCapability(gpu.handle, &gpu.major, &gpu.minor)),
       subject);
  nvml::Memory memory{};
  need(CONFORMANCE_CALL(nvml->nvmlDeviceGetMemoryInfo(gpu.handle, &memory)), subject);
  gpu.memory = memory.total;
  // GPUs that cannot be split answer "not supported".
  unsigned current = nvml::kMigDisabled, pending = nvml::kMigDisabled;
  gpu.mig = nvml->nvmlDeviceGetMigMode(gpu.handle, &current, &pending) == nvml::Return::success &&
            current == nvml::kMigEnabled;
  return gpu;
}

const NvmlGpu* find(const std::vector<NvmlGpu>& gpus, std::string NvmlGpu::*member,
                    const std::string& value) {
  const auto found = std::find_if(gpus.begin(), gpus.end(),
                                  [&](const NvmlGpu& gpu) { return gpu.*member == value; });
  return found == gpus.end() ? nullptr : &*found;
}

}  // namespace

Subject NvmlGpu::subject() const {
  return {"device", fmt::format("NVML GPU {} ({}, {})", index, uuid, bus_id)};
}

NvmlGpus NvmlGpus::read() {
  NvmlGpus result;
  const Status opened = NvmlSession::open(result.session_);
  unsigned count = 0;
  const Status counted =
      opened.ok() ? CONFORMANCE_CALL(result.session()->nvmlDeviceGetCount_v2(&count)) : opened;
  if (!counted.ok()) {
    fail_and_end(Finding(nvml_unavailable, Subject{"library", "libnvidia-ml.so.1"},
                         counted.describe(), {{"code", std::int64_t{counted.code()}}}));
  }
  for (unsigned index = 0; index < count; ++index) {
    result.gpus_.push_back(read_gpu(result.session(), index));
  }
  return result;
}

const NvmlGpu* NvmlGpus::by_uuid(const std::string& uuid) const {
  return find(gpus_, &NvmlGpu::uuid, uuid);
}

const NvmlGpu* NvmlGpus::by_bus_id(const std::string& bus_id) const {
  return find(gpus_, &NvmlGpu::bus_id, bus_id);
}

bool NvmlGpus::any_mig() const {
  return std::any_of(gpus_.begin(), gpus_.end(), [](const NvmlGpu& gpu) { return gpu.mig; });
}

std::vector<NvmlGpu> NvmlGpus::used_by(const CudaInventory& devices) const {
  if (any_mig()) return gpus_;
  std::vector<NvmlGpu> used;
  for (const CudaDevice& device : devices) {
    if (const NvmlGpu* gpu = by_uuid(device.uuid)) used.push_back(*gpu);
  }
  return used;
}

bool can_read(const Status& status, std::string_view what, const NvmlGpu& gpu) {
  if (status.ok()) return true;
  const Finding failed = call_finding(status, gpu.subject());
  if (failed.kind == &gpu_is_lost) {
    fail(failed);
  } else {
    fact(fmt::format("devices.unread.{}.{}", what, gpu.bus_id), status.name());
  }
  return false;
}

}  // namespace conformance::devices
