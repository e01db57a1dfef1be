#include "suites/memory/host_link.h"

#include <fmt/format.h>

#include "fixtures/pcie.h"

namespace conformance::memory {
namespace {

bool has_attribute(cudaDeviceAttr attribute, const CudaDevice& device) {
  int value = 0;
  ensure(to_status(cudaDeviceGetAttribute(&value, attribute, device.ordinal),
                   "cudaDeviceGetAttribute"));
  return value != 0;
}

/// Null if NVML does not know the device.
std::optional<nvml::Device> handle_of(const NvmlSession* nvml, const CudaDevice& device) {
  nvml::Device handle{};
  if (nvml == nullptr ||
      (*nvml)->nvmlDeviceGetHandleByUUID(device.uuid.c_str(), &handle) != nvml::Return::success) {
    return std::nullopt;
  }
  return handle;
}

nvml::Virtualization virtualization(const NvmlSession& nvml, nvml::Device handle) {
  auto mode = nvml::Virtualization::none;
  nvml->nvmlDeviceGetVirtualizationMode(handle, &mode);
  return mode;
}

}  // namespace

HostLink read_host_link(const NvmlSession* nvml, const CudaDevice& device) {
  if (has_attribute(cudaDevAttrIntegrated, device) ||
      has_attribute(cudaDevAttrPageableMemoryAccessUsesHostPageTables, device)) {
    return {std::nullopt,
            "not PCIe: the GPU and the processor share memory or a link of their own"};
  }
  const std::optional<nvml::Device> handle = handle_of(nvml, device);
  unsigned generation = 0, lanes = 0;
  if (!handle ||
      (*nvml)->nvmlDeviceGetCurrPcieLinkGeneration(*handle, &generation) != nvml::Return::success ||
      (*nvml)->nvmlDeviceGetCurrPcieLinkWidth(*handle, &lanes) != nvml::Return::success) {
    return {std::nullopt, "not known: NVML does not tell the PCIe link"};
  }
  const std::optional<double> rate = pcie_gigabytes(generation, lanes);
  std::string text = fmt::format("PCIe generation {}, {} lanes", generation, lanes);
  if (!rate) return {std::nullopt, text + ": not known to the suite"};
  text += fmt::format(": {:.1f} GB/s", *rate);
  if (virtualization(*nvml, *handle) != nvml::Virtualization::none) {
    return {std::nullopt, text + ", in a virtual machine, which adds to the way what nobody tells"};
  }
  return {rate, text};
}

bool has_memory_of_its_own(const NvmlSession* nvml, const CudaDevice& device) {
  if (device.name.find(" MIG ") != std::string::npos ||
      has_attribute(cudaDevAttrIntegrated, device)) {
    return false;
  }
  const std::optional<nvml::Device> handle = handle_of(nvml, device);
  return !handle || virtualization(*nvml, *handle) != nvml::Virtualization::vgpu;
}

}  // namespace conformance::memory
