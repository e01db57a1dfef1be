#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/error_findings.h"
#include "suites/driver/driver_gpus.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

namespace fs = std::filesystem;

class Architectures : public DriverGpuTest {};

TEST_F(Architectures, TheSuitesKernelsRunOnEveryGpu) {
  claim(
      "every module of device code in the suite's executables holds machine code for each GPU's "
      "architecture, or PTX that the driver can compile for it",
      "CUDA Programming Guide: Compute Capabilities, Binary Compatibility and PTX Compatibility");
  open();
  for (const fs::path& file : suite_programs()) {
    const DeviceCodeReading read = read_device_code(file.string());
    if (!expect(read.error.empty(), Finding(finding::unexplained, {"file", file.string()},
                                            "its device code: " + read.error))) {
      continue;
    }
    for (const DriverGpu& gpu : gpus()) {
      std::uint64_t missing = 0;
      Coverage worst = Coverage::exact;
      std::set<std::string> targets;
      for (const DeviceModule& module : read.modules) {
        const Coverage found = coverage(module, gpu.capability);
        worst = std::min(worst, found);
        if (found == Coverage::missing) ++missing;
        for (const DeviceCode& code : module) targets.insert(code.name());
      }
      if (read.modules.empty()) continue;
      fact(fmt::format("driver.device-code.{}.{}", file.filename().string(), gpu.capability.text()),
           std::string(to_string(worst)));
      if (expect(missing == 0,
                 Finding(finding::no_kernel_image, gpu.subject,
                         fmt::format("{} of {} modules in {} do not run on compute capability {}",
                                     missing, read.modules.size(), file.string(),
                                     gpu.capability.text()),
                         {{"file", file.string()},
                          {"compute capability", gpu.capability.text()},
                          {"code for", fmt::format("{}", fmt::join(targets, ", "))}}))) {
        verified(read.modules.size(), "modules");
      }
    }
  }
}

}  // namespace
}  // namespace conformance::driver
