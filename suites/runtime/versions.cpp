#include <fmt/format.h>

#include "fixtures/cuda_status.h"
#include "fixtures/test.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

class Versions : public ConformanceTest {};

/// "13.0" for 13000.
std::string version_text(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

/// The answer of cudaRuntimeGetVersion or cudaDriverGetVersion; a failure ends the test.
int version_from(cudaError_t (*call)(int*), std::string_view name) {
  int number = 0;
  const Status status = to_status(call(&number), name);
  if (!status.ok()) fail_and_end(status_finding(status, host_subject()));
  return number;
}

TEST_F(Versions, TheDriverSupportsTheRuntime) {
  claim(
      "The CUDA version that the driver supports is of the runtime's major version or a newer one",
      "CUDA Compatibility: Minor Version Compatibility");
  const int runtime = version_from(cudaRuntimeGetVersion, "cudaRuntimeGetVersion(&version)");
  const int driver = version_from(cudaDriverGetVersion, "cudaDriverGetVersion(&version)");
  fact("runtime.version", version_text(runtime));
  fact("runtime.driver-supports", version_text(driver));
  const Evidence evidence{{"runtime", std::int64_t{runtime}}, {"driver", std::int64_t{driver}}};
  if (driver == 0) {
    fail_and_end(
        Finding(finding::no_driver, host_subject(), "the driver's CUDA version is 0", evidence));
  }
  expect(driver / 1000 >= runtime / 1000,
         Finding(version_unsupported, host_subject(),
                 fmt::format("the runtime is CUDA {}, the driver supports up to CUDA {}",
                             version_text(runtime), version_text(driver)),
                 evidence));
  verified(1, "version pairs");
}

TEST_F(Versions, TheRuntimeIsNoOlderThanTheHeadersItWasBuiltWith) {
  claim(
      "A program runs on a CUDA runtime of the major version of its headers and of the same minor "
      "version or a newer one",
      "CUDA C++ Best Practices Guide: CUDA Compatibility Developer's Guide, CUDA Toolkit "
      "Versioning");
  const int runtime = version_from(cudaRuntimeGetVersion, "cudaRuntimeGetVersion(&version)");
  fact("runtime.header-version", version_text(CUDART_VERSION));
  expect(runtime / 1000 == CUDART_VERSION / 1000 && runtime / 10 >= CUDART_VERSION / 10,
         Finding(header_mismatch, Subject{"library", "libcudart"},
                 fmt::format("built with the headers of CUDA {}, running with the runtime of {}",
                             version_text(CUDART_VERSION), version_text(runtime)),
                 {{"header", std::int64_t{CUDART_VERSION}}, {"runtime", std::int64_t{runtime}}}));
  verified(1, "version pairs");
}

}  // namespace
}  // namespace conformance::runtime
