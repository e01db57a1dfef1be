// Do programs and libraries run on the GPUs here, or on those that are named? Reads only headers;
// needs no GPU if it is told for which architectures to look.

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "ci/audit/examine.h"
#include "ci/audit/loader.h"
#include "ci/audit/views.h"
#include "ci/report/folder.h"
#include "fixtures/command_line.h"
#include "fixtures/driver_table.h"
#include "fixtures/program.h"

namespace conformance::audit {
namespace {

/// The GPUs that the driver shows to this process. Throws StatusError.
Host this_host() {
  const DriverTable cuda = DriverTable::open();
  if (!cuda.library().is_open()) {
    throw std::runtime_error(cuda.library().error() + "; --for names GPUs without it");
  }
  ensure(CONFORMANCE_CALL(cuda.cuInit(0)));
  Host host;
  int version = 0;
  ensure(CONFORMANCE_CALL(cuda.cuDriverGetVersion(&version)));
  host.driver = DriverCudaVersion::from_number(version);
  int count = 0;
  ensure(CONFORMANCE_CALL(cuda.cuDeviceGetCount(&count)));
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CUdevice device = 0;
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGet(&device, ordinal)));
    ComputeCapability capability;
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGetAttribute(
        &capability.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)));
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGetAttribute(
        &capability.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)));
    host.targets.push_back({fmt::format("GPU {} ({})", ordinal, capability.text()), capability});
  }
  if (host.targets.empty()) throw std::runtime_error("this process sees no GPU");
  return host;
}

Host named_host(const std::vector<std::string>& names) {
  Host host;
  for (const std::string& name : names) {
    const auto capability = parse_compute_capability(name);
    if (!capability) {
      throw std::runtime_error(fmt::format(
          "\"{}\" is no architecture: say it as sm_90, sm_90a, compute_90 or 9.0", name));
    }
    host.targets.push_back({name, *capability});
  }
  return host;
}

int run(int argc, char** argv) {
  CommandLine app{
      "Do programs and libraries run on the GPUs here? Exit code: 0 they do, 1 one does not, 2 one "
      "could not be read or none has to do with CUDA."};
  std::vector<std::string> architectures;
  std::vector<std::string> paths;
  std::string report;
  app.option("--for", architectures,
             "Architectures such as sm_90,sm_100, in place of the GPUs of this host")
      .one_each();
  app.option("--report", report, "A folder for audit.json");
  app.option("paths", paths,
             "Programs, libraries, static libraries, object files, .fatbin, .cubin, .ptx; folders "
             "with all that is in them")
      .required();
  if (const auto end = app.read(argc, argv)) return *end;
  const Host host = architectures.empty() ? this_host() : named_host(architectures);
  Loader loader(loader_places());
  const Audit result = audit(paths, host, loader);
  fmt::print("{}", audit_text(result, host));
  if (!report.empty()) {
    std::error_code error;
    std::filesystem::create_directories(report, error);  // write_file says if that failed
    report::write_file(std::filesystem::path(report) / "audit.json", audit_json(result, host));
  }
  return result.exit_code();
}

}  // namespace
}  // namespace conformance::audit

int main(int argc, char** argv) {
  return conformance::run_program("conformance-audit", conformance::audit::run, argc, argv);
}
