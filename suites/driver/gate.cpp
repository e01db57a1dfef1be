#include <fmt/format.h>

#include "fixtures/elf.h"
#include "fixtures/kernel_log.h"
#include "fixtures/visible_devices.h"
#include "suites/driver/diagnosis.h"
#include "suites/driver/driver_test.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

class Gate : public DriverTest {};

TEST_F(Gate, TheDriverLibraryIsFound) {
  claim("The loader finds the driver's library by its name, libcuda.so.1",
        "CUDA Compatibility: the driver installs libcuda.so.1");
  const DriverTable table = driver();
  fact("driver.library", table.library().path());
  fact("driver.library.file", table.library().real_path());
  verified(1, "libraries");
}

TEST_F(Gate, TheDriverLibraryIsADriver) {
  claim("libcuda.so.1 is a driver for this machine, not the toolkit's stub",
        "CUDA Driver API: CUDA_ERROR_STUB_LIBRARY");
  const DriverTable table = driver();
  const std::string& file = table.library().real_path();
  const Subject subject = library_subject(table.library());
  const ElfReading read = read_elf(file);
  if (!read.elf) {
    fail_and_end(Finding(not_a_driver, subject, fmt::format("{}: {}", file, read.error)));
  }
  const StubEvidence stub = stub_evidence(*read.elf, file);
  const Evidence evidence{{"file", file},
                          {"bytes", read.elf->file_size},
                          {"kind", read.elf->describe()},
                          {"build id", read.elf->build_id}};
  if (!expect(!stub.proven(), Finding(stub_loaded, subject,
                                      fmt::format("{}: {}", file, stub.describe()), evidence))) {
    return;
  }
  if (expect(
          table.cuInit && table.cuDriverGetVersion && table.cuGetProcAddress_v2,
          Finding(not_a_driver, subject,
                  fmt::format("{} lacks cuInit, cuDriverGetVersion or cuGetProcAddress_v2", file),
                  evidence))) {
    verified(1, "libraries");
  }
}

TEST_F(Gate, TheDriverInitialises) {
  claim("cuInit succeeds", "CUDA Driver API: cuInit");
  const DriverTable table = driver();
  const Status status = CONFORMANCE_CALL(table.cuInit(0));
  if (!status.ok()) {
    if (status.code() == CUDA_ERROR_NO_DEVICE) {
      if (const auto hidden = hidden_gpus_finding(hidden_by_variable)) fail_and_end(*hidden);
    }
    const HostFacts seen = host();
    const auto denied = denied_nodes(seen, Session::current().settings().host_root);
    Evidence evidence = host_evidence(seen);
    evidence.add("code", status.code());
    evidence.add("library", table.library().real_path());
    for (const DeniedNode& node : denied) {
      evidence.add("open " + node.path, Reading<bool>::failed(node.error).describe());
    }
    const FindingKind* kind = nullptr;
    if (status.code() == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH ||
        status.code() == CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE) {
      kind = diagnose_mismatch(driver_library(table), seen);
    }
    if (kind == nullptr) kind = &diagnose_init(status.code(), seen, denied);
    const auto log = read_kernel_log(Session::current().settings().host_root);
    fail_and_end(Finding(*kind, library_subject(table.library()),
                         fmt::format("{}; {}", status.describe(), last_words(log)), evidence));
  }
  verified(1, "calls");
}

}  // namespace
}  // namespace conformance::driver
