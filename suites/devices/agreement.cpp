#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/host_facts.h"
#include "fixtures/kernel_log.h"
#include "suites/devices/driver_api.h"
#include "suites/devices/findings.h"
#include "suites/devices/list_devices.h"
#include "suites/devices/nvml_gpus.h"
#include "suites/devices/xid.h"

namespace conformance::devices {
namespace {

class Agreement : public GpuTest {};

/// Two interfaces must give the same answer about a GPU.
template <typename T>
void expect_same(std::string_view what, const T& runtime, std::string_view other_name,
                 const T& other, const CudaDevice& device) {
  expect(runtime == other, Finding(apis_disagree, device.subject(),
                                   fmt::format("{}: the runtime says {}, {} says {}", what, runtime,
                                               other_name, other),
                                   Evidence{{"what", std::string(what)}}
                                       .add("runtime", runtime)
                                       .add(std::string(other_name), other)));
  verified(1, "answers");
}

std::string uuid_text(const CUuuid& uuid) {
  std::string text = "GPU-";
  for (std::size_t i = 0; i < sizeof(uuid.bytes); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

TEST_F(Agreement, TheDriverApiShowsTheSameGpusInTheSameOrder) {
  claim(
      "Ordinals of the CUDA runtime and of the driver API name the same GPUs, with the same UUID, "
      "address, name, compute capability and memory",
      "CUDA Runtime API: Interactions with the CUDA Driver API; CUDA Driver API: Device "
      "Management");
  const CudaInventory& devices = require(Devices{1});
  const DriverTable driver = open_driver_api();
  int count = 0;
  need(CONFORMANCE_CALL(driver.cuDeviceGetCount(&count)), 0);
  expect(
      count == static_cast<int>(devices.size()),
      Finding(apis_disagree, host_subject(),
              fmt::format("the runtime counts {} GPUs, the driver API {}", devices.size(), count),
              {{"runtime", std::uint64_t{devices.size()}}, {"driver", std::int64_t{count}}}));
  for (const CudaDevice& device : devices) {
    if (device.ordinal >= count) break;
    CUdevice handle = 0;
    CUuuid uuid{};
    std::array<char, 256> name{}, bus_id{};
    std::size_t memory = 0;
    int major = 0, minor = 0;
    need(CONFORMANCE_CALL(driver.cuDeviceGet(&handle, device.ordinal)), device.ordinal);
    need(CONFORMANCE_CALL(driver.cuDeviceGetUuid_v2(&uuid, handle)), device.ordinal);
    need(CONFORMANCE_CALL(driver.cuDeviceGetName(name.data(), name.size() - 1, handle)),
         device.ordinal);
    need(CONFORMANCE_CALL(driver.cuDeviceGetPCIBusId(bus_id.data(), bus_id.size() - 1, handle)),
         device.ordinal);
    need(CONFORMANCE_CALL(driver.cuDeviceTotalMem_v2(&memory, handle)), device.ordinal);
    need(CONFORMANCE_CALL(driver.cuDeviceGetAttribute(
             &major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle)),
         device.ordinal);
    need(CONFORMANCE_CALL(driver.cuDeviceGetAttribute(
             &minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, handle)),
         device.ordinal);
    constexpr std::string_view kDriver = "the driver API";
    expect_same("UUID", device.uuid, kDriver, uuid_text(uuid), device);
    expect_same("PCI address", device.pci_bus_id, kDriver,
                normal_bus_id(bus_id.data()).value_or(bus_id.data()), device);
    expect_same("name", device.name, kDriver, std::string(name.data()), device);
    expect_same("memory", device.total_memory, kDriver, memory, device);
    expect_same("compute capability", fmt::format("{}.{}", device.major, device.minor), kDriver,
                fmt::format("{}.{}", major, minor), device);
  }
}

/// NVML counts all memory of the board, CUDA what is left once the driver has reserved its share:
/// so CUDA's figure is never larger. No GPU's driver reserves a quarter: a smaller figure is of
/// another GPU, or of a part of one.
void expect_memory_within(const CudaDevice& device, const NvmlGpu& gpu) {
  expect(device.total_memory <= gpu.memory && device.total_memory >= gpu.memory / 4 * 3,
         Finding(apis_disagree, device.subject(),
                 fmt::format("memory: the runtime says {} bytes, NVML says {} with what the driver "
                             "reserves",
                             device.total_memory, gpu.memory),
                 {{"what", std::string("memory")},
                  {"runtime", std::uint64_t{device.total_memory}},
                  {"nvml", std::uint64_t{gpu.memory}}}));
  verified(1, "answers");
}

/// CUDA's peak clock is the one that the GPU is sold with; NVML's may be the one up to which it can
/// be set. So CUDA's is not above NVML's, and not below half of it: that would be another unit.
void expect_clock_within(std::string_view what, int khz, nvml::Clock clock,
                         const CudaDevice& device, const NvmlGpu& gpu, const NvmlGpus& nvml) {
  unsigned mhz = 0;
  if (!can_read(
          CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetMaxClockInfo(gpu.handle, clock, &mhz)),
          what, gpu)) {
    return;
  }
  const auto cuda_mhz = static_cast<unsigned>(khz / 1000);
  expect(
      cuda_mhz <= mhz && cuda_mhz >= mhz / 2,
      Finding(apis_disagree, device.subject(),
              fmt::format("{}: the runtime says {} kHz, NVML says {} MHz at most", what, khz, mhz),
              {{"what", std::string(what)},
               {"runtime_khz", std::int64_t{khz}},
               {"nvml_mhz", std::uint64_t{mhz}}}));
  verified(1, "answers");
}

void expect_same_figures(const CudaDevice& device, const NvmlGpu& gpu, const NvmlGpus& nvml) {
  unsigned bits = 0, cores = 0;
  if (can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetMemoryBusWidth(gpu.handle, &bits)),
               "memory-bus-width", gpu)) {
    expect_same("memory bus width, bits", device.memory_bus_bits, "NVML", static_cast<int>(bits),
                device);
  }
  // NVML counts cores, of which each multiprocessor has the same number.
  if (can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetNumGpuCores(gpu.handle, &cores)),
               "cores", gpu)) {
    expect_same("cores left over from whole multiprocessors", 0, "NVML",
                static_cast<int>(cores) % device.multiprocessors, device);
  }
  expect_clock_within("multiprocessor-clock", device.clock_khz, nvml::Clock::sm, device, gpu, nvml);
  expect_clock_within("memory-clock", device.memory_clock_khz, nvml::Clock::memory, device, gpu,
                      nvml);
}

/// Why a device's number in CUDA is another than in NVML, which counts in the order of PCI
/// addresses.
std::string order_of(const CudaInventory& devices, const NvmlGpus& nvml) {
  const bool same =
      std::is_sorted(devices.begin(), devices.end(), [&](const CudaDevice& a, const CudaDevice& b) {
        const NvmlGpu *first = nvml.by_uuid(a.uuid), *second = nvml.by_uuid(b.uuid);
        return first != nullptr && second != nullptr && first->index < second->index;
      });
  if (same) return "as NVML's";
  if (std::getenv("CUDA_VISIBLE_DEVICES") != nullptr) return "that of CUDA_VISIBLE_DEVICES";
  const char* order = std::getenv("CUDA_DEVICE_ORDER");
  return order == nullptr ? "CUDA_DEVICE_ORDER is not set, so the fastest comes first"
                          : fmt::format("that of CUDA_DEVICE_ORDER={}", order);
}

TEST_F(Agreement, NvmlKnowsEachVisibleGpuByItsUuid) {
  claim(
      "NVML finds each GPU that CUDA shows by its UUID, and gives it the same address, name, "
      "compute capability, memory, bus width, multiprocessors and clocks, whatever its index there",
      "NVML API Reference: nvmlDeviceGetHandleByUUID, nvmlDeviceGetIndex");
  const CudaInventory& devices = require(Devices{1});
  const NvmlGpus nvml = NvmlGpus::read();
  if (nvml.any_mig()) {
    expect(devices.size() == 1,
           Finding(mig_count, host_subject(),
                   fmt::format("MIG is on and the process sees {} devices", devices.size()),
                   {{"devices", std::uint64_t{devices.size()}}}));
    verified(1, "MIG instances");
    return;
  }
  fact("devices.order", order_of(devices, nvml));
  for (const CudaDevice& device : devices) {
    const NvmlGpu* gpu = nvml.by_uuid(device.uuid);
    if (gpu == nullptr) {
      fail(Finding(unknown_to_nvml, device.subject(),
                   fmt::format("none of NVML's {} GPUs has that UUID", nvml.all().size())));
      continue;
    }
    expect_same<std::string>("PCI address", device.pci_bus_id, "NVML", gpu->bus_id, device);
    expect_same<std::string>("name", device.name, "NVML", gpu->name, device);
    expect_same<std::string>("compute capability", fmt::format("{}.{}", device.major, device.minor),
                             "NVML", fmt::format("{}.{}", gpu->major, gpu->minor), device);
    expect_memory_within(device, *gpu);
    expect_same_figures(device, *gpu, nvml);
    fact(fmt::format("devices.nvml-index.gpu-{}", device.ordinal), std::uint64_t{gpu->index});
    fact(fmt::format("devices.reserved-bytes.gpu-{}", device.ordinal),
         std::uint64_t{gpu->memory -
                       std::min<unsigned long long>(gpu->memory, device.total_memory)});
  }
}

TEST_F(Agreement, CudaShowsEachGpuThatNvmlShows) {
  claim("A process in which CUDA_VISIBLE_DEVICES is not set sees each GPU that NVML can access",
        "CUDA Programming Guide: CUDA Environment Variables; NVML API Reference: "
        "nvmlDeviceGetCount_v2");
  const NvmlGpus nvml = NvmlGpus::read();
  if (nvml.any_mig()) skip("MIG is on: CUDA shows instances, not GPUs");
  // Another process costs as much as this one: it is only asked if it may see more.
  Listed listed;
  if (std::getenv("CUDA_VISIBLE_DEVICES") != nullptr) {
    listed = listed_by_a_process({{"CUDA_VISIBLE_DEVICES", std::nullopt}});
  } else {
    for (const CudaDevice& device : require(Devices{1})) listed.uuids.push_back(device.uuid);
  }
  for (const NvmlGpu& gpu : nvml.all()) {
    const bool shown =
        std::find(listed.uuids.begin(), listed.uuids.end(), gpu.uuid) != listed.uuids.end();
    verified(1, "GPUs");
    if (shown) continue;
    auto mode = nvml::ComputeMode::standard;
    const bool read =
        nvml.session()->nvmlDeviceGetComputeMode(gpu.handle, &mode) == nvml::Return::success;
    const bool prohibited = read && mode == nvml::ComputeMode::prohibited;
    fail(
        Finding(prohibited ? compute_mode : missing_from_cuda, gpu.subject(),
                fmt::format("a process without CUDA_VISIBLE_DEVICES sees {} GPUs, but not this one "
                            "(compute mode {}, code {})",
                            listed.uuids.size(),
                            read ? fmt::to_string(static_cast<int>(mode)) : "unknown", listed.code),
                {{"uuid", gpu.uuid}, {"cuda_count", std::uint64_t{listed.uuids.size()}}}));
  }
}

/// What the kernel log says of a device, as evidence.
struct KernelWords {
  std::vector<std::string> lines;
  explicit KernelWords(const std::string& bus_id) {
    const auto log = read_kernel_log(Session::current().settings().host_root);
    if (log) lines = lines_about(*log, bus_id, 3);
    text = !log            ? fmt::format("the kernel log cannot be read ({})", log.describe())
           : lines.empty() ? "the kernel log does not mention it"
                           : fmt::format("the kernel log: {}", fmt::join(lines, " / "));
  }
  std::string text;
};

template <typename T>
void expect_same_of_kernel(std::string_view what, const T& kernel, const T& nvml,
                           const Subject& subject) {
  expect(kernel == nvml,
         Finding(apis_disagree, subject,
                 fmt::format("{}: the kernel says {}, NVML says {}", what, kernel, nvml),
                 Evidence{{"what", std::string(what)}}.add("kernel", kernel).add("nvml", nvml)));
}

/// /dev/nvidiaN must be the device with the kernel's number N. Without such a node there is nothing
/// to compare; the driver layer says whether one must be there.
void expect_own_node(const HostFacts& host, const KernelGpu& kernel, const Subject& subject) {
  constexpr unsigned kMajor = 195;  // Linux allocated devices: NVIDIA graphics devices
  const DeviceNode* node = host.node(fmt::format("/dev/nvidia{}", kernel.minor));
  if (node == nullptr || !node->character) return;
  expect(node->major == kMajor && static_cast<int>(node->minor) == kernel.minor,
         Finding(apis_disagree, subject,
                 fmt::format("{} is the device {}:{}, the kernel's is {}:{}", node->path,
                             node->major, node->minor, kMajor, kernel.minor),
                 {{"what", std::string("device node")},
                  {"major", std::uint64_t{node->major}},
                  {"minor", std::uint64_t{node->minor}}}));
}

TEST_F(Agreement, NvmlShowsEachGpuThatTheKernelDrives) {
  claim(
      "NVML shows each GPU of /proc/driver/nvidia/gpus whose device node this process may use, "
      "under the same address, UUID and number, and as the PCI device that the bus shows there",
      "NVIDIA driver README: The /proc Interface; NVML API Reference: nvmlDeviceGetCount_v2");
  const std::string& root = Session::current().settings().host_root;
  const HostFacts host = read_host_facts(root);
  if (host.wsl) skip("the driver is Windows', which has no /proc/driver/nvidia");
  if (!host.kernel_gpus) {
    skip(fmt::format("/proc/driver/nvidia/gpus: {}", host.kernel_gpus.describe()));
  }
  const NvmlGpus nvml = NvmlGpus::read();
  std::size_t not_ours = 0;
  for (const KernelGpu& kernel : *host.kernel_gpus) {
    const NvmlGpu* gpu = nvml.by_bus_id(kernel.bus_id);
    const Subject subject{"device", fmt::format("{} ({})", kernel.model, kernel.bus_id)};
    if (gpu == nullptr && !node_is_open(root, kernel)) {
      ++not_ours;
      continue;
    }
    verified(1, "GPUs");
    if (gpu == nullptr) {
      const KernelWords words(kernel.bus_id);
      fail(Finding(why_missing(words.lines, missing_from_nvml), subject,
                   fmt::format("the kernel lists it and /dev/nvidia{} can be opened, but NVML does "
                               "not show it; {}",
                               kernel.minor, words.text),
                   {{"bus_id", kernel.bus_id}, {"uuid", kernel.uuid}}));
      continue;
    }
    if (!kernel.uuid.empty() && !gpu->mig) {
      expect_same_of_kernel("UUID", kernel.uuid, gpu->uuid, subject);
    }
    unsigned minor = 0;
    if (kernel.minor >= 0 &&
        can_read(CONFORMANCE_CALL(nvml.session()->nvmlDeviceGetMinorNumber(gpu->handle, &minor)),
                 "minor-number", *gpu)) {
      expect_same_of_kernel("number of the device node", kernel.minor, static_cast<int>(minor),
                            subject);
    }
    expect_own_node(host, kernel, subject);
    if (!host.pci_gpus) continue;
    for (const PciGpu& pci : *host.pci_gpus) {
      if (pci.bus_id != kernel.bus_id) continue;
      expect_same_of_kernel("PCI device", pci.device_id, gpu->pci_device_id, subject);
    }
  }
  fact("devices.of-others", std::uint64_t{not_ours});
  if (Session::current().verified_count() == 0) {
    skip("this process may use none of the GPUs that the kernel lists");
  }
}

TEST_F(Agreement, EachGpuOnThePciBusIsDriven) {
  claim(
      "NVIDIA's kernel module drives each NVIDIA GPU of the PCI bus that is not handed to a "
      "virtual "
      "machine",
      "NVIDIA driver README: Supported NVIDIA GPU Products");
  const HostFacts host = read_host_facts(Session::current().settings().host_root);
  if (host.wsl) skip("the driver is Windows', whose GPUs are not on this PCI bus");
  if (!host.pci_gpus) skip(fmt::format("/sys/bus/pci/devices: {}", host.pci_gpus.describe()));
  for (const PciGpu& pci : *host.pci_gpus) {
    const Subject subject{"device",
                          fmt::format("PCI device {} (10de:{:04x})", pci.bus_id, pci.device_id)};
    if (pci.driver == "vfio-pci") {
      fact(fmt::format("devices.handed-on.{}", pci.bus_id), pci.driver);
      continue;
    }
    if (pci.driver != "nvidia") {
      const KernelWords words(pci.bus_id);
      // Another driver that holds the GPU is reason enough.
      const FindingKind& kind =
          pci.driver.empty() ? why_missing(words.lines, not_driven) : not_driven;
      fail(Finding(kind, subject,
                   fmt::format("its kernel driver is {}; {}",
                               pci.driver.empty() ? "none" : pci.driver, words.text),
                   {{"driver", pci.driver}, {"device_id", std::uint64_t{pci.device_id}}}));
    }
    verified(1, "GPUs");
    if (pci.driver != "nvidia" || !host.kernel_gpus) continue;
    const bool listed =
        std::any_of(host.kernel_gpus->begin(), host.kernel_gpus->end(),
                    [&](const KernelGpu& kernel) { return kernel.bus_id == pci.bus_id; });
    expect(listed || host.kernel_gpus->empty(),
           Finding(missing_from_nvml, subject,
                   "the module is bound to it, but does not list it in /proc/driver/nvidia/gpus",
                   {{"bus_id", pci.bus_id}}));
  }
  if (Session::current().verified_count() == 0) {
    skip("no NVIDIA GPU of the PCI bus is visible here, or all are handed to virtual machines");
  }
}

}  // namespace
}  // namespace conformance::devices
