#include <cstdlib>

#include <fmt/format.h>

#include "fixtures/compatibility.h"
#include "fixtures/toolkit.h"
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

  InstalledVersions versions;
  if (seen.module) {
    fact("driver.kernel-module", seen.module->text);
    fact("driver.kernel-module.open", seen.module->open);
    versions.kernel_module = seen.module->version;
  }
  if (seen.module_version) versions.module_in_sysfs = DriverVersion::parse(*seen.module_version);
  versions.nvml = DriverVersion::parse(nvml_driver);
  versions.nvml_file = DriverVersion::from_file_name(management->table().library().real_path());
  const std::string& file = cuda.library().real_path();
  versions.libcuda = DriverVersion::from_file_name(file);
  versions.compat_package = in_compat_package(file);
  fact("driver.forward-compatibility",
       versions.libcuda && versions.kernel_module &&
           is_forward_compatible(*versions.libcuda, file, *versions.kernel_module));
  const std::vector<Judgement> judgements = judge_parts(versions);
  if (judgements.empty()) {
    skip("only one source tells the driver's version: nothing to compare it with");
  }
  const FindingKind* explained = diagnose_mismatch(driver_library(cuda), seen);
  for (const Judgement& judgement : judgements) {
    if (expect(judgement.holds,
               Finding(explained != nullptr ? *explained : version_mismatch,
                       {"library", std::string(judgement.part)}, judgement.sentence,
                       {{"rule", std::string(judgement.source)},
                        {"libcuda", file},
                        {"NVML", management->table().library().real_path()}}))) {
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

TEST_F(Versions, TheDriverSupportsTheToolkit) {
  claim("The driver runs what the toolkit builds, and what NCCL was built with",
        "CUDA Compatibility; CUDA Toolkit Release Notes: CUDA Driver");
  const HostFacts seen = host();
  const DriverTable cuda = driver();
  const std::string& file = cuda.library().real_path();
  InstalledVersions versions;
  if (seen.module) versions.kernel_module = seen.module->version;
  versions.libcuda = DriverVersion::from_file_name(file);
  versions.compat_package = in_compat_package(file);
  for (const KernelGpu& gpu : seen.kernel_gpus ? *seen.kernel_gpus : std::vector<KernelGpu>()) {
    versions.gpus.push_back(gpu.model);
  }
  int number = 0;
  const Status status = CONFORMANCE_CALL(cuda.cuDriverGetVersion(&number));
  versions.libcuda_cuda = DriverCudaVersion::from_number(number);
  const Toolkit toolkit(read_cuda_path(std::getenv("CUDA_PATH")).real_path, true);
  versions.headers = toolkit.release();
  const std::vector<ToolkitLibrary> nccl = toolkit.libraries("libnccl");
  if (!nccl.empty()) versions.nccl_built_for = read_nccl_build(nccl.front().real_path);
  if (versions.nccl_built_for) fact("toolkit.nccl-built-for", versions.nccl_built_for->text());

  const Subject subject = library_subject(cuda.library());
  if (!versions.headers) skip("CUDA_PATH leads to no cuda.h that tells the toolkit's release");
  const auto verdict = judge_pair(versions);
  if (!verdict) {
    fail_and_end(
        Finding(not_a_driver, subject,
                fmt::format("cuDriverGetVersion gave {} ({})", number, status.describe())));
  }
  fact("driver.verdict", verdict->text);
  const FindingKind* kind = &toolkit_unsupported;
  if (verdict->support == Support::package_not_needed) kind = &compat_hides_driver;
  if (verdict->support == Support::package_not_for_the_gpu) kind = &compat_unsupported;
  if (expect(verdict->supported(),
             Finding(*kind, subject, verdict->text, {{"rule", std::string(verdict->source)}}))) {
    verified(1, "pairs of driver and toolkit");
  }
  // The parts of the driver are the other tests' matter: only NCCL is left.
  InstalledVersions of_nccl;
  of_nccl.libcuda_cuda = versions.libcuda_cuda;
  of_nccl.nccl_built_for = versions.nccl_built_for;
  for (const Judgement& judgement : judge_parts(of_nccl)) {
    if (expect(judgement.holds,
               Finding(toolkit_unsupported, {"library", nccl.front().path}, judgement.sentence,
                       {{"rule", std::string(judgement.source)}}))) {
      verified(1, "pairs of driver and library");
    }
  }
}

}  // namespace
}  // namespace conformance::driver
