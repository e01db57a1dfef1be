#include <fmt/format.h>

#include "fixtures/cuda_status.h"
#include "fixtures/error_findings.h"
#include "fixtures/test.h"
#include "fixtures/version.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

class Versions : public ConformanceTest {};

/// The answer of cudaRuntimeGetVersion or cudaDriverGetVersion. A failure, and a number that is no
/// version, end the test.
template <typename Version>
Version version_from(cudaError_t (*call)(int*), std::string_view expression) {
  int number = 0;
  const Status status = to_status(call(&number), expression);
  if (!status.ok()) fail_and_end(status_finding(status, host_subject()));
  const auto version = Version::from_number(number);
  if (!version) {
    // 0 is the documented answer for "no driver is installed".
    fail_and_end(Finding(number == 0 ? finding::no_driver : version_unsupported, host_subject(),
                         fmt::format("{} answered {}, which is no version", expression, number),
                         {{"number", std::int64_t{number}}}));
  }
  return *version;
}

ToolkitVersion runtime_version() {
  return version_from<ToolkitVersion>(cudaRuntimeGetVersion, "cudaRuntimeGetVersion(&version)");
}

TEST_F(Versions, TheDriverSupportsTheRuntime) {
  claim(
      "The CUDA version that the driver supports is of the runtime's major version or a newer one",
      "CUDA Compatibility: Minor Version Compatibility");
  const ToolkitVersion runtime = runtime_version();
  fact("runtime.version", runtime.text());
  const auto driver =
      version_from<DriverCudaVersion>(cudaDriverGetVersion, "cudaDriverGetVersion(&version)");
  fact("runtime.driver-supports", driver.text());
  expect(driver_supports(driver, runtime),
         Finding(version_unsupported, host_subject(),
                 fmt::format("the runtime is CUDA {}, the driver supports up to CUDA {}",
                             runtime.text(), driver.text()),
                 {{"runtime", runtime.text()}, {"driver", driver.text()}}));
  verified(1, "version pairs");
}

TEST_F(Versions, TheRuntimeIsNoOlderThanTheHeadersItWasBuiltWith) {
  claim(
      "A program runs on a CUDA runtime of the major version of its headers and of the same minor "
      "version or a newer one",
      "CUDA C++ Best Practices Guide: CUDA Compatibility Developer's Guide, CUDA Toolkit "
      "Versioning");
  const ToolkitVersion runtime = runtime_version();
  const ToolkitVersion header = ToolkitVersion::from_number(CUDART_VERSION).value();
  fact("runtime.header-version", header.text());
  expect(runtime.major == header.major && runtime >= header,
         Finding(header_mismatch, Subject{"library", "libcudart"},
                 fmt::format("built with the headers of CUDA {}, running with the runtime of {}",
                             header.text(), runtime.text()),
                 {{"header", header.text()}, {"runtime", runtime.text()}}));
  verified(1, "version pairs");
}

}  // namespace
}  // namespace conformance::runtime
