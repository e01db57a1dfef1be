#include <fmt/format.h>

#include "fixtures/version.h"
#include "suites/driver/diagnosis.h"
#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

class Versions : public DriverTest {};

TEST_F(Versions, LibrariesAndKernelModuleAreOfOneVersion) {
  claim("libcuda, NVML and the loaded kernel module are of one driver version",
        "NVML API: NVML_ERROR_LIB_RM_VERSION_MISMATCH; CUDA Driver API: "
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH");
  const HostFacts seen = host();
  const DriverTable cuda = driver();
  const auto management = nvml();
  std::string nvml_driver, nvml_version;
  Status status = management->driver_version(nvml_driver);
  if (!status.ok()) {
    fail_and_end(
        Finding(nvml_failed, library_subject(management->table().library()), status.describe()));
  }
  status = management->nvml_version(nvml_version);
  if (status.ok()) fact("driver.nvml-version", nvml_version);
  fact("driver.version", nvml_driver);

  std::vector<VersionSource> sources;
  const auto add = [&sources](const std::string& source, std::optional<DriverVersion> version) {
    if (version) sources.push_back({source, std::move(*version)});
  };
  if (seen.module) {
    fact("driver.kernel-module", seen.module->text);
    fact("driver.kernel-module.open", seen.module->open);
    add("/proc/driver/nvidia/version", seen.module->version);
  }
  if (seen.module_version)
    add("/sys/module/nvidia/version", DriverVersion::parse(*seen.module_version));
  add("nvmlSystemGetDriverVersion", DriverVersion::parse(nvml_driver));
  const std::string& nvml_file = management->table().library().real_path();
  add(nvml_file, DriverVersion::from_file_name(nvml_file));
  const std::string& cuda_file = cuda.library().real_path();
  const auto library = DriverVersion::from_file_name(cuda_file);
  const bool forward = library && !sources.empty() &&
                       is_forward_compatible(*library, cuda_file, sources.front().version);
  fact("driver.forward-compatibility", forward);
  if (!forward) add(cuda_file, library);

  if (sources.size() < 2) {
    skip("only one source tells the driver's version: nothing to compare it with");
  }
  const VersionSource& first = sources.front();
  for (const VersionSource& other : sources) {
    if (&other == &first) continue;
    if (expect(other.version == first.version,
               Finding(version_mismatch, {"library", other.source},
                       fmt::format("{} says {}, but {} says {}", other.source, other.version.text,
                                   first.source, first.version.text),
                       {{first.source, first.version.text}, {other.source, other.version.text}}))) {
      verified(1, "pairs of versions");
    }
  }
}

TEST_F(Versions, TheDriverAndNvmlAgreeOnTheCudaVersion) {
  claim("cuDriverGetVersion and NVML report the same CUDA version",
        "CUDA Driver API: cuDriverGetVersion; NVML API: nvmlSystemGetCudaDriverVersion_v2");
  const DriverTable cuda = driver();
  int from_cuda = 0;
  Status status = CONFORMANCE_CALL(cuda.cuDriverGetVersion(&from_cuda));
  const auto version = DriverCudaVersion::from_number(from_cuda);
  if (!status.ok() || !version) {
    fail_and_end(
        Finding(not_a_driver, library_subject(cuda.library()),
                fmt::format("cuDriverGetVersion gave {} ({})", from_cuda, status.describe())));
  }
  fact("driver.cuda-version", version->text());
  const auto management = nvml();
  int from_nvml = 0;
  status = CONFORMANCE_CALL((*management)->nvmlSystemGetCudaDriverVersion_v2(&from_nvml));
  if (!status.ok()) {
    fail_and_end(
        Finding(nvml_failed, library_subject(management->table().library()), status.describe()));
  }
  if (expect(from_nvml == from_cuda,
             Finding(cuda_version_mismatch, library_subject(cuda.library()),
                     fmt::format("libcuda says {}, NVML says {}", from_cuda, from_nvml),
                     {{cuda.library().real_path(), from_cuda},
                      {management->table().library().real_path(), from_nvml}}))) {
    verified(1, "pairs of versions");
  }
}

}  // namespace
}  // namespace conformance::driver
