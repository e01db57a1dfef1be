#include <set>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

class Gate : public GpuTest {};

TEST_F(Gate, EachVisibleGpuDescribesItself) {
  claim(
      "cudaGetDeviceProperties answers for each ordinal below cudaGetDeviceCount, and describes a "
      "GPU of its own",
      "CUDA Runtime API, Device Management: cudaGetDeviceProperties");
  const CudaInventory& devices = require(Devices{1});
  std::set<std::string> uuids;
  for (const CudaDevice& device : devices) {
    const bool plausible = !device.name.empty() && device.major >= 1 &&
                           device.multiprocessors > 0 && device.total_memory > 0;
    expect(
        plausible,
        Finding(implausible_properties, device.subject(),
                fmt::format("name \"{}\", compute capability {}.{}, {} multiprocessors, {} bytes",
                            device.name, device.major, device.minor, device.multiprocessors,
                            device.total_memory),
                {{"name", device.name},
                 {"multiprocessors", std::int64_t{device.multiprocessors}},
                 {"memory_bytes", std::uint64_t{device.total_memory}}}));
    expect(uuids.insert(device.uuid).second,
           Finding(duplicate, device.subject(), "another ordinal has the same UUID"));
    fact(fmt::format("devices.gpu-{}", device.ordinal),
         fmt::format("{}, {}, {}, compute capability {}.{}, {} multiprocessors, {} MiB",
                     device.name, device.uuid, device.pci_bus_id, device.major, device.minor,
                     device.multiprocessors, device.total_memory >> 20));
    verified(1, "GPUs");
  }
}

}  // namespace
}  // namespace conformance::devices
