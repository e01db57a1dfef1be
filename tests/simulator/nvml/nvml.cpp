// NVML as far as the suites call it. The toolkit does not always come with nvml.h: types and values
// are those that the suites use themselves.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <span>
#include <string>

#include "fixtures/nvml_types.h"
#include "tests/simulator/core/context.h"
#include "tests/simulator/core/device_attributes.h"

namespace conformance::sim::management {
namespace {

using nvml::Return;

std::atomic<int> sessions{0};

/// A GPU's handle is its address in the machine.
const Gpu* find_gpu(nvml::Device handle) {
  for (const Gpu& gpu : World::get().machine().gpus) {
    if (reinterpret_cast<nvml::Device>(const_cast<Gpu*>(&gpu)) == handle) return &gpu;
  }
  return nullptr;
}
nvml::Device handle_of(const Gpu& gpu) {
  return reinterpret_cast<nvml::Device>(const_cast<Gpu*>(&gpu));
}
/// The handle of a GPU's one MIG instance: the address of its name. Only its UUID can be asked for.
nvml::Device mig_handle_of(const Gpu& gpu) {
  return reinterpret_cast<nvml::Device>(const_cast<std::string*>(&gpu.uuid));
}

template <typename Body>
Return call(const char* name, Body body, int device = -1) {
  if (sessions <= 0) return Return::uninitialized;
  const Firing firing = World::get().faults().at({name, device});
  obstruct(firing);
  if (firing.code) return static_cast<Return>(*firing.code);
  return body(firing);
}

template <typename Body>
Return on_gpu(const char* name, nvml::Device handle, Body body) {
  const Gpu* gpu = find_gpu(handle);
  return call(
      name,
      [&](const Firing& firing) {
        return gpu == nullptr ? Return::invalid_argument : body(*gpu, firing);
      },
      gpu == nullptr ? -1 : gpu->index);
}

Return write_text(const std::string& text, char* out, unsigned length) {
  if (out == nullptr) return Return::invalid_argument;
  if (text.size() + 1 > length) return Return::insufficient_size;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return Return::success;
}

/// What the machine says under "nvml" for this GPU, or a fault, or else a healthy GPU's answer.
template <typename T>
Return answer(const Gpu& gpu, const char* key, std::int64_t healthy, const Firing& firing, T* out) {
  if (out == nullptr) return Return::invalid_argument;
  const auto own = gpu.nvml.find(key);
  std::int64_t value = own == gpu.nvml.end() ? healthy : own->second;
  if (firing.value) value = static_cast<std::int64_t>(*firing.value);
  *out = static_cast<T>(value);
  return Return::success;
}

template <typename T>
Return query(const char* name, nvml::Device handle, const char* key, std::int64_t healthy, T* out) {
  return on_gpu(name, handle, [&](const Gpu& gpu, const Firing& firing) {
    return answer(gpu, key, healthy, firing, out);
  });
}

void fill_pci(const Gpu& gpu, nvml::PciInfo& pci) {
  pci = {};
  pci.domain = gpu.pci_domain;
  pci.bus = gpu.pci_bus;
  pci.device = gpu.pci_device;
  pci.pci_device_id = gpu.pci_device_id;
  std::snprintf(pci.bus_id, sizeof(pci.bus_id), "%08X:%02X:%02X.0", gpu.pci_domain, gpu.pci_bus,
                gpu.pci_device);
  std::snprintf(pci.bus_id_legacy, sizeof(pci.bus_id_legacy), "%04X:%02X:%02X.0",
                gpu.pci_domain & 0xffffu, gpu.pci_bus & 0xffu, gpu.pci_device & 0xffu);
}

/// A GPU's widest bundle of NVLink lanes; of none, one without lanes. A machine's links are
/// modelled as lanes to one switch. A lane carries both directions, whatever peer access one is
/// denied.
Link widest_link(const Gpu& gpu) {
  const Machine& machine = World::get().machine();
  Link widest;
  widest.kind = Link::Kind::none;
  widest.nvlinks = 0;
  for (const Gpu& peer : machine.gpus) {
    if (peer.index == gpu.index) continue;
    for (const Link& link :
         {machine.link(gpu.index, peer.index), machine.link(peer.index, gpu.index)}) {
      if (link.kind == Link::Kind::nvlink && link.nvlinks > widest.nvlinks) widest = link;
    }
  }
  return widest;
}
int lanes(const Gpu& gpu) { return widest_link(gpu).nvlinks; }
/// MB/s and direction.
std::int64_t lane_megabytes(const Gpu& gpu) {
  const Link link = widest_link(gpu);
  return std::llround(link.bytes_per_second / link.nvlinks / 1e6);
}

}  // namespace

extern "C" {

Return nvmlInit_v2() {
  const Firing firing = World::get().faults().at({"nvmlInit"});
  obstruct(firing);
  if (firing.code) return static_cast<Return>(*firing.code);
  ++sessions;
  return Return::success;
}

Return nvmlShutdown() {
  if (sessions <= 0) return Return::uninitialized;
  --sessions;
  return Return::success;
}

Return nvmlSystemGetDriverVersion(char* out, unsigned length) {
  return call("nvmlSystemGetDriverVersion", [&](const Firing& firing) {
    return write_text(firing.text.value_or(World::get().machine().driver_version), out, length);
  });
}

Return nvmlSystemGetNVMLVersion(char* out, unsigned length) {
  return call("nvmlSystemGetNVMLVersion", [&](const Firing& firing) {
    return write_text(firing.text.value_or(World::get().machine().nvml_version), out, length);
  });
}

Return nvmlSystemGetCudaDriverVersion_v2(int* version) {
  return call("nvmlSystemGetCudaDriverVersion", [&](const Firing& firing) {
    if (version == nullptr) return Return::invalid_argument;
    *version =
        firing.value ? static_cast<int>(*firing.value) : World::get().machine().cuda_driver_version;
    return Return::success;
  });
}

Return nvmlDeviceGetCount_v2(unsigned* count) {
  return call("nvmlDeviceGetCount", [&](const Firing& firing) {
    if (count == nullptr) return Return::invalid_argument;
    *count = firing.value ? static_cast<unsigned>(*firing.value)
                          : static_cast<unsigned>(World::get().machine().gpus.size());
    return Return::success;
  });
}

Return nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml::Device* device) {
  return call(
      "nvmlDeviceGetHandleByIndex",
      [&](const Firing&) {
        const auto& gpus = World::get().machine().gpus;
        if (device == nullptr || index >= gpus.size()) return Return::invalid_argument;
        *device = handle_of(gpus[index]);
        return Return::success;
      },
      static_cast<int>(index));
}

Return nvmlDeviceGetHandleByUUID(const char* uuid, nvml::Device* device) {
  return call("nvmlDeviceGetHandleByUUID", [&](const Firing&) {
    if (uuid == nullptr || device == nullptr) return Return::invalid_argument;
    for (const Gpu& gpu : World::get().machine().gpus) {
      if (gpu.uuid != uuid) continue;
      *device = handle_of(gpu);
      return Return::success;
    }
    return Return::not_found;
  });
}

Return nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, nvml::Device* device) {
  return call("nvmlDeviceGetHandleByPciBusId", [&](const Firing&) {
    unsigned domain = 0, bus = 0, number = 0;
    if (bus_id == nullptr || device == nullptr ||
        std::sscanf(bus_id, "%x:%x:%x", &domain, &bus, &number) != 3) {
      return Return::invalid_argument;
    }
    for (const Gpu& gpu : World::get().machine().gpus) {
      if (gpu.pci_domain != domain || gpu.pci_bus != bus || gpu.pci_device != number) continue;
      *device = handle_of(gpu);
      return Return::success;
    }
    return Return::not_found;
  });
}

Return nvmlDeviceGetName(nvml::Device device, char* out, unsigned length) {
  return on_gpu("nvmlDeviceGetName", device, [&](const Gpu& gpu, const Firing& firing) {
    return write_text(firing.text.value_or(gpu.name), out, length);
  });
}

Return nvmlDeviceGetUUID(nvml::Device device, char* out, unsigned length) {
  for (const Gpu& gpu : World::get().machine().gpus) {
    if (mig_handle_of(gpu) == device) return write_text(gpu.mig_uuid(), out, length);
  }
  return on_gpu("nvmlDeviceGetUUID", device, [&](const Gpu& gpu, const Firing& firing) {
    return write_text(firing.text.value_or(gpu.uuid), out, length);
  });
}

Return nvmlDeviceGetMinorNumber(nvml::Device device, unsigned* minor) {
  return on_gpu("nvmlDeviceGetMinorNumber", device, [&](const Gpu& gpu, const Firing& firing) {
    return answer(gpu, "minor_number", gpu.index, firing, minor);
  });
}

Return nvmlDeviceGetPciInfo_v3(nvml::Device device, nvml::PciInfo* pci) {
  return on_gpu("nvmlDeviceGetPciInfo", device, [&](const Gpu& gpu, const Firing&) {
    if (pci == nullptr) return Return::invalid_argument;
    fill_pci(gpu, *pci);
    return Return::success;
  });
}

Return nvmlDeviceGetMemoryInfo(nvml::Device device, nvml::Memory* memory) {
  return on_gpu("nvmlDeviceGetMemoryInfo", device, [&](const Gpu& gpu, const Firing& firing) {
    if (memory == nullptr) return Return::invalid_argument;
    memory->total =
        firing.value ? static_cast<unsigned long long>(*firing.value) : gpu.memory_bytes;
    memory->free =
        std::min<unsigned long long>(memory->total, World::get().device(gpu.index).free_bytes());
    memory->used = memory->total - memory->free;
    return Return::success;
  });
}

Return nvmlDeviceGetCudaComputeCapability(nvml::Device device, int* major, int* minor) {
  return on_gpu("nvmlDeviceGetCudaComputeCapability", device, [&](const Gpu& gpu, const Firing&) {
    if (major == nullptr || minor == nullptr) return Return::invalid_argument;
    *major = gpu.major;
    *minor = gpu.minor;
    return Return::success;
  });
}

Return nvmlDeviceGetComputeMode(nvml::Device device, nvml::ComputeMode* mode) {
  return query("nvmlDeviceGetComputeMode", device, "compute_mode", 0, mode);
}

Return nvmlDeviceGetMigMode(nvml::Device device, unsigned* current, unsigned* pending) {
  const Return first = query("nvmlDeviceGetMigMode", device, "mig_mode", 0, current);
  if (first == Return::success && pending != nullptr) *pending = *current;
  return first;
}

Return nvmlDeviceGetMaxMigDeviceCount(nvml::Device device, unsigned* count) {
  return query("nvmlDeviceGetMaxMigDeviceCount", device, "max_mig_devices", 7, count);
}

Return nvmlDeviceGetMigDeviceHandleByIndex(nvml::Device device, unsigned index,
                                           nvml::Device* instance) {
  return on_gpu("nvmlDeviceGetMigDeviceHandleByIndex", device, [&](const Gpu& gpu, const Firing&) {
    if (instance == nullptr) return Return::invalid_argument;
    if (!gpu.mig() || index > 0) return Return::not_found;
    *instance = mig_handle_of(gpu);
    return Return::success;
  });
}

Return nvmlDeviceGetPersistenceMode(nvml::Device device, nvml::Enabled* mode) {
  return query("nvmlDeviceGetPersistenceMode", device, "persistence_mode", 1, mode);
}

Return nvmlDeviceGetComputeRunningProcesses_v3(nvml::Device device, unsigned* count,
                                               nvml::ProcessInfo* processes) {
  return on_gpu("nvmlDeviceGetComputeRunningProcesses", device, [&](const Gpu& gpu, const Firing&) {
    if (count == nullptr) return Return::invalid_argument;
    const unsigned room = *count;
    *count = gpu.foreign_bytes > 0 ? 1 : 0;
    if (*count > room) return Return::insufficient_size;
    if (*count == 1) {
      if (processes == nullptr) return Return::invalid_argument;
      processes[0] = {1, gpu.foreign_bytes, ~0u, ~0u};
    }
    return Return::success;
  });
}

Return nvmlDeviceGetEccMode(nvml::Device device, nvml::Enabled* current, nvml::Enabled* pending) {
  return on_gpu("nvmlDeviceGetEccMode", device, [&](const Gpu& gpu, const Firing& firing) {
    if (pending == nullptr) return Return::invalid_argument;
    const Return first = answer(gpu, "ecc_mode", gpu.ecc ? 1 : 0, firing, current);
    *pending = *current;
    return first;
  });
}

Return nvmlDeviceGetTotalEccErrors(nvml::Device device, nvml::MemoryError error, nvml::EccCounter,
                                   unsigned long long* count) {
  return query("nvmlDeviceGetTotalEccErrors", device,
               error == nvml::MemoryError::corrected ? "ecc_corrected" : "ecc_uncorrected", 0,
               count);
}

Return nvmlDeviceGetRemappedRows(nvml::Device device, unsigned* corrected, unsigned* uncorrected,
                                 unsigned* pending, unsigned* failed) {
  return on_gpu("nvmlDeviceGetRemappedRows", device, [&](const Gpu& gpu, const Firing&) {
    const Firing none;
    const Return results[] = {answer(gpu, "rows_corrected", 0, none, corrected),
                              answer(gpu, "rows_uncorrected", 0, none, uncorrected),
                              answer(gpu, "rows_pending", 0, none, pending),
                              answer(gpu, "rows_failed", 0, none, failed)};
    return *std::max_element(std::begin(results), std::end(results));
  });
}

Return nvmlDeviceGetRetiredPagesPendingStatus(nvml::Device device, nvml::Enabled* pending) {
  return query("nvmlDeviceGetRetiredPagesPendingStatus", device, "pages_pending", 0, pending);
}

Return nvmlDeviceGetClockInfo(nvml::Device device, nvml::Clock clock, unsigned* mhz) {
  return on_gpu("nvmlDeviceGetClockInfo", device, [&](const Gpu& gpu, const Firing& firing) {
    const bool memory = clock == nvml::Clock::memory;
    return answer(gpu, memory ? "memory_clock_mhz" : "clock_mhz",
                  (memory ? gpu.memory_clock_khz : gpu.clock_khz) / 1000, firing, mhz);
  });
}

Return nvmlDeviceGetMaxClockInfo(nvml::Device device, nvml::Clock clock, unsigned* mhz) {
  return on_gpu("nvmlDeviceGetMaxClockInfo", device, [&](const Gpu& gpu, const Firing& firing) {
    const bool memory = clock == nvml::Clock::memory;
    return answer(gpu, memory ? "max_memory_clock_mhz" : "max_clock_mhz",
                  (memory ? gpu.memory_clock_khz : gpu.clock_khz) / 1000, firing, mhz);
  });
}

Return nvmlDeviceGetCurrentClocksThrottleReasons(nvml::Device device, unsigned long long* reasons) {
  return query("nvmlDeviceGetCurrentClocksThrottleReasons", device, "clocks_event_reasons", 0,
               reasons);
}

Return nvmlDeviceGetPowerUsage(nvml::Device device, unsigned* milliwatts) {
  return query("nvmlDeviceGetPowerUsage", device, "power_milliwatts", 100'000, milliwatts);
}

Return nvmlDeviceGetEnforcedPowerLimit(nvml::Device device, unsigned* milliwatts) {
  return query("nvmlDeviceGetEnforcedPowerLimit", device, "power_limit_milliwatts", 700'000,
               milliwatts);
}

Return nvmlDeviceGetTemperature(nvml::Device device, nvml::Sensor, unsigned* celsius) {
  return query("nvmlDeviceGetTemperature", device, "temperature", 40, celsius);
}

Return nvmlDeviceGetCurrPcieLinkGeneration(nvml::Device device, unsigned* generation) {
  return on_gpu("nvmlDeviceGetCurrPcieLinkGeneration", device,
                [&](const Gpu& gpu, const Firing& firing) {
                  return answer(gpu, "pcie_generation", gpu.pcie_generation, firing, generation);
                });
}

Return nvmlDeviceGetCurrPcieLinkWidth(nvml::Device device, unsigned* width) {
  return on_gpu("nvmlDeviceGetCurrPcieLinkWidth", device,
                [&](const Gpu& gpu, const Firing& firing) {
                  return answer(gpu, "pcie_width", gpu.pcie_width, firing, width);
                });
}

Return nvmlDeviceGetMaxPcieLinkGeneration(nvml::Device device, unsigned* generation) {
  return on_gpu(
      "nvmlDeviceGetMaxPcieLinkGeneration", device, [&](const Gpu& gpu, const Firing& firing) {
        return answer(gpu, "max_pcie_generation", gpu.pcie_generation, firing, generation);
      });
}

Return nvmlDeviceGetMaxPcieLinkWidth(nvml::Device device, unsigned* width) {
  return on_gpu("nvmlDeviceGetMaxPcieLinkWidth", device, [&](const Gpu& gpu, const Firing& firing) {
    return answer(gpu, "max_pcie_width", gpu.pcie_width, firing, width);
  });
}

Return nvmlDeviceGetNvLinkState(nvml::Device device, unsigned lane, nvml::Enabled* state) {
  return on_gpu("nvmlDeviceGetNvLinkState", device, [&](const Gpu& gpu, const Firing& firing) {
    if (lane >= nvml::kMaxNvLinks) return Return::invalid_argument;
    if (lanes(gpu) == 0) return Return::not_supported;
    int down = 0;
    answer(gpu, "nvlinks_down", 0, {}, &down);
    const bool up = static_cast<int>(lane) < lanes(gpu) - down;
    return answer(gpu, "nvlink_state", up ? 1 : 0, firing, state);
  });
}

Return nvmlDeviceGetNvLinkRemoteDeviceType(nvml::Device device, unsigned lane,
                                           nvml::NvLinkPeer* peer) {
  return on_gpu("nvmlDeviceGetNvLinkRemoteDeviceType", device,
                [&](const Gpu& gpu, const Firing& firing) {
                  if (static_cast<int>(lane) >= lanes(gpu)) return Return::not_supported;
                  return answer(gpu, "nvlink_peer", static_cast<int>(nvml::NvLinkPeer::nvswitch),
                                firing, peer);
                });
}

Return nvmlDeviceGetNvLinkRemotePciInfo_v2(nvml::Device device, unsigned lane, nvml::PciInfo* pci) {
  return on_gpu("nvmlDeviceGetNvLinkRemotePciInfo", device, [&](const Gpu& gpu, const Firing&) {
    if (pci == nullptr || static_cast<int>(lane) >= lanes(gpu)) return Return::not_supported;
    // Every lane leads to a switch, which has an address of its own.
    Gpu fabric = gpu;
    fabric.pci_bus = 0x01;
    fabric.pci_device = 0;
    fabric.pci_device_id = 0x22a310de;
    fill_pci(fabric, *pci);
    return Return::success;
  });
}

Return nvmlDeviceGetP2PStatus(nvml::Device device, nvml::Device peer,
                              nvml::PeerCapability capability, nvml::PeerStatus* status) {
  return on_gpu("nvmlDeviceGetP2PStatus", device, [&](const Gpu& gpu, const Firing& firing) {
    const Gpu* other = find_gpu(peer);
    if (other == nullptr || other == &gpu || status == nullptr) return Return::invalid_argument;
    const Machine& machine = World::get().machine();
    const bool nvlink = machine.link(gpu.index, other->index).kind == Link::Kind::nvlink;
    bool able = peers_reach(machine, gpu.index, other->index);
    if (capability == nvml::PeerCapability::nvlink || capability == nvml::PeerCapability::atomics) {
      able = able && nvlink;
    }
    *status = able ? nvml::PeerStatus::ok : nvml::PeerStatus::not_supported;
    if (firing.value) *status = static_cast<nvml::PeerStatus>(static_cast<int>(*firing.value));
    return Return::success;
  });
}

Return nvmlDeviceGetTopologyCommonAncestor(nvml::Device device, nvml::Device peer,
                                           nvml::TopologyLevel* level) {
  return on_gpu("nvmlDeviceGetTopologyCommonAncestor", device, [&](const Gpu& gpu, const Firing&) {
    const Gpu* other = find_gpu(peer);
    if (other == nullptr || other == &gpu || level == nullptr) return Return::invalid_argument;
    const Link& link = World::get().machine().link(gpu.index, other->index);
    *level = static_cast<nvml::TopologyLevel>(link.ancestor);
    return Return::success;
  });
}

Return nvmlDeviceGetGpuFabricInfo(nvml::Device device, nvml::GpuFabricInfo* info) {
  return on_gpu("nvmlDeviceGetGpuFabricInfo", device, [&](const Gpu& gpu, const Firing& firing) {
    if (info == nullptr) return Return::invalid_argument;
    *info = {};
    return answer(gpu, "fabric_state",
                  lanes(gpu) > 0 ? nvml::fabric_completed : nvml::fabric_not_supported, firing,
                  &info->state);
  });
}

Return nvmlDeviceGetGpuFabricInfoV(nvml::Device device, nvml::GpuFabricInfoV* info) {
  return on_gpu("nvmlDeviceGetGpuFabricInfoV", device, [&](const Gpu& gpu, const Firing& firing) {
    if (info == nullptr) return Return::invalid_argument;
    // A driver that knows version 2 only.
    std::int64_t newest = 3;
    answer(gpu, "fabric_info_version", newest, {}, &newest);
    if (info->version != (newest == 3 ? nvml::kFabricInfoV3 : nvml::kFabricInfoV2)) {
      return Return::argument_version_mismatch;
    }
    const bool member = lanes(gpu) > 0;
    const std::size_t size = info->version & 0xffffffU;
    nvml::GpuFabricInfoV full{};
    full.version = info->version;
    answer(gpu, "fabric_status", 0, {}, &full.status);
    // Every two-bit field says "false" (2), the configuration is correct (1).
    answer(gpu, "fabric_health_mask", member ? 0x1aa : 0, {}, &full.health_mask);
    answer(gpu, "fabric_health_summary", member ? nvml::fabric_summary_healthy : 0, {},
           &full.health_summary);
    const Return last =
        answer(gpu, "fabric_state", member ? nvml::fabric_completed : nvml::fabric_not_supported,
               firing, &full.state);
    std::memcpy(info, &full, size);
    return last;
  });
}

Return nvmlDeviceGetNumGpuCores(nvml::Device device, unsigned* cores) {
  return on_gpu("nvmlDeviceGetNumGpuCores", device, [&](const Gpu& gpu, const Firing& firing) {
    return answer(gpu, "gpu_cores", std::int64_t{128} * gpu.multiprocessors, firing, cores);
  });
}

Return nvmlDeviceGetMemoryBusWidth(nvml::Device device, unsigned* bits) {
  return on_gpu("nvmlDeviceGetMemoryBusWidth", device, [&](const Gpu& gpu, const Firing& firing) {
    return answer(gpu, "memory_bus_bits", gpu.memory_bus_bits, firing, bits);
  });
}

Return nvmlDeviceGetVirtualizationMode(nvml::Device device, nvml::Virtualization* mode) {
  return query("nvmlDeviceGetVirtualizationMode", device, "virtualization_mode", 0, mode);
}

Return nvmlDeviceGetNvLinkErrorCounter(nvml::Device device, unsigned lane,
                                       nvml::NvLinkCounter counter, unsigned long long* count) {
  return on_gpu(
      "nvmlDeviceGetNvLinkErrorCounter", device, [&](const Gpu& gpu, const Firing& firing) {
        if (static_cast<int>(lane) >= lanes(gpu)) return Return::not_supported;
        constexpr const char* kKeys[] = {"nvlink_replays", "nvlink_recoveries", "nvlink_crc_flits",
                                         "nvlink_crc_data", "nvlink_ecc_data"};
        const auto which = static_cast<std::size_t>(counter);
        if (which >= std::size(kKeys)) return Return::invalid_argument;
        return answer(gpu, kKeys[which], 0, firing, count);
      });
}

Return nvmlDeviceGetFieldValues(nvml::Device device, int count, nvml::FieldValue* values) {
  return on_gpu("nvmlDeviceGetFieldValues", device, [&](const Gpu& gpu, const Firing& firing) {
    if (values == nullptr) return Return::invalid_argument;
    for (nvml::FieldValue& field : std::span(values, static_cast<std::size_t>(count))) {
      if (field.field == nvml::kFieldRecoveryAction) {
        field.status = answer(gpu, "recovery_action", 0, firing, &field.value.u);
      } else if (field.field == nvml::kFieldNvLinkSpeed &&
                 static_cast<int>(field.scope) < lanes(gpu)) {
        field.status = answer(gpu, "nvlink_megabytes", lane_megabytes(gpu), firing, &field.value.u);
      } else {
        field.status = Return::not_supported;
      }
    }
    return Return::success;
  });
}

}  // extern "C"
}  // namespace conformance::sim::management
