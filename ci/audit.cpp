// Which code for GPUs do files carry, and which GPUs does it run on? Reads only headers; needs no
// GPU if it is told for which architectures to look.

#include <cstdio>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/command_line.h"
#include "fixtures/device_code.h"
#include "fixtures/driver_table.h"

namespace conformance {
namespace {

enum ExitCode : int { kAllCovered = 0, kSomethingMissing = 1, kNotRead = 2 };

/// Whom the code must run on.
struct Target {
  std::string name;
  ComputeCapability capability;
};

/// The GPUs that the driver shows to this process. Throws StatusError.
std::vector<Target> present_gpus() {
  const DriverTable cuda = DriverTable::open();
  if (!cuda.library().is_open()) throw std::runtime_error(cuda.library().error());
  ensure(CONFORMANCE_CALL(cuda.cuInit(0)));
  int count = 0;
  ensure(CONFORMANCE_CALL(cuda.cuDeviceGetCount(&count)));
  std::vector<Target> targets;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUdevice device = 0;
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGet(&device, ordinal)));
    ComputeCapability capability;
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGetAttribute(
        &capability.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)));
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGetAttribute(
        &capability.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)));
    targets.push_back({fmt::format("GPU {} ({})", ordinal, capability.text()), capability});
  }
  if (targets.empty()) throw std::runtime_error("this process sees no GPU");
  return targets;
}

/// "sm_80 x191, sm_90a x3, compute_120 x5 (PTX 9.0)"
std::string summary(const std::vector<DeviceModule>& modules) {
  std::map<std::string, int> counts;
  for (const DeviceModule& module : modules) {
    for (const DeviceCode& code : module) {
      std::string name = code.name();
      if (code.kind == DeviceCode::Kind::ptx) {
        name += fmt::format(" (PTX {}.{})", code.ptx_major, code.ptx_minor);
      }
      ++counts[name];
    }
  }
  std::vector<std::string> parts;
  parts.reserve(counts.size());
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} x{}", name, count));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// Prints how `target` can run the modules; false if it can run none of them. A library may bring
/// modules for one architecture each, so that one suits is enough.
bool judge(const std::vector<DeviceModule>& modules, const Target& target) {
  std::map<Coverage, int> counts;
  for (const DeviceModule& module : modules) ++counts[coverage(module, target.capability)];
  std::vector<std::string> parts;
  parts.reserve(counts.size());
  for (const auto& [how, count] : counts) {
    parts.push_back(fmt::format("{} {}", count, to_string(how)));
  }
  const Coverage best = counts.rbegin()->first;
  fmt::print("  {}: {} ({} modules: {})\n", target.name, to_string(best), modules.size(),
             fmt::join(parts, ", "));
  return best != Coverage::missing;
}

int audit(const std::vector<std::string>& files, const std::vector<Target>& targets) {
  int result = kAllCovered;
  bool any = false;
  for (const std::string& file : files) {
    const DeviceCodeReading read = read_device_code(file);
    if (!read.error.empty()) {
      fmt::print("{}: not read: {}\n", file, read.error);
      result = kNotRead;
    } else if (read.modules.empty()) {
      fmt::print("{}: carries no code for GPUs\n", file);
    } else {
      any = true;
      fmt::print("{}: {}\n", file, summary(read.modules));
      for (const Target& target : targets) {
        if (!judge(read.modules, target) && result == kAllCovered) result = kSomethingMissing;
      }
    }
  }
  // Nothing looked at is nothing proven.
  return result == kAllCovered && !any ? kNotRead : result;
}

int run(int argc, char** argv) {
  CommandLine app{
      "Which GPUs does the device code in programs and libraries run on? Exit code: 0 it runs on "
      "all asked for, 1 it is missing for some, 2 a file could not be read or none carries any."};
  std::string architectures;
  std::vector<std::string> files;
  app.option("--for", architectures,
             "Architectures such as sm_90,sm_100 or 9.0,10.0, in place of the GPUs of this host");
  app.option("files", files, "Programs, libraries, object files or fat binaries").required();
  if (const auto end = app.read(argc, argv)) return *end;
  std::vector<Target> targets;
  std::istringstream list(architectures);
  for (std::string text; std::getline(list, text, ',');) {
    const auto capability = parse_compute_capability(text);
    if (!capability) throw std::runtime_error(fmt::format("no architecture: \"{}\"", text));
    targets.push_back({text, *capability});
  }
  if (targets.empty()) targets = present_gpus();
  return audit(files, targets);
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  try {
    return conformance::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "conformance-audit: %s\n", error.what());
    return conformance::kNotRead;
  }
}
