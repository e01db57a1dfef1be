#include "suites/driver/driver_gpus.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "fixtures/error_findings.h"
#include "fixtures/jobs.h"
#include "suites/driver/findings.h"

namespace conformance::driver {

Finding driver_finding(const Status& status, Subject subject) {
  // The runtime took the driver's numbers over for all that a host can be blamed for.
  return {kind_of_runtime_error(status.code()),
          std::move(subject),
          status.describe(),
          {{"api", status.api()},
           {"code", std::int64_t{status.code()}},
           {"name", status.name()},
           {"call", status.expression()}}};
}

namespace {

Finding refusal(const Status& status, Subject subject) {
  Finding finding = driver_finding(status, std::move(subject));
  if (finding.kind == &finding::api_error) finding.kind = &gpu_refused;
  return finding;
}

/// Throws StatusError.
DriverGpu describe(const DriverTable& cuda, int ordinal) {
  DriverGpu gpu;
  ensure(CONFORMANCE_CALL(cuda.cuDeviceGet(&gpu.device, ordinal)));
  std::array<char, 32> bus_id{};
  ensure(CONFORMANCE_CALL(
      cuda.cuDeviceGetPCIBusId(bus_id.data(), static_cast<int>(bus_id.size()), gpu.device)));
  gpu.subject = {"device", fmt::format("GPU {} ({})", ordinal, bus_id.data())};
  const auto attribute = [&](int& value, CUdevice_attribute which) {
    ensure(CONFORMANCE_CALL(cuda.cuDeviceGetAttribute(&value, which, gpu.device)));
  };
  attribute(gpu.capability.major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  attribute(gpu.capability.minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  ensure(CONFORMANCE_CALL(cuda.cuDeviceTotalMem_v2(&gpu.memory, gpu.device)));
  return gpu;
}

}  // namespace

void DriverGpuTest::open() {
  table_.emplace(driver());
  int count = 0;
  const auto start = [&] {
    ensure(CONFORMANCE_CALL(cuda().cuInit(0)));
    ensure(CONFORMANCE_CALL(cuda().cuDeviceGetCount(&count)));
  };
  run_here({library_subject(cuda().library()), start}, driver_finding);
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const Subject subject{"device", fmt::format("CUdevice {}", ordinal)};
    run_here({subject, [&] { gpus_.push_back(describe(cuda(), ordinal)); }}, refusal);
    const ComputeCapability capability = gpus_.back().capability;
    if (capability.major < 1 || gpus_.back().memory == 0) {
      fail_and_end(Finding(gpu_refused, subject,
                           fmt::format("the driver says that it has compute capability {} and {} "
                                       "bytes of memory",
                                       capability.text(), gpus_.back().memory)));
    }
  }
  if (gpus_.empty()) {
    fail_and_end(Finding(finding::no_devices, host_subject(), "cuDeviceGetCount found no device"));
  }
}

void DriverGpuTest::for_each_gpu(const std::function<void(const DriverGpu&)>& work) const {
  std::vector<Job> jobs;
  jobs.reserve(gpus_.size());
  for (const DriverGpu& gpu : gpus_) {
    jobs.push_back({gpu.subject, [&work, &gpu] { work(gpu); }});
  }
  run_all(jobs, driver_finding);
}

void expect_code(CUresult found, CUresult expected, std::string_view call, const Subject& subject,
                 const FindingKind& kind) {
  const auto text = [](CUresult code) {
    return fmt::format("{} ({})", to_status(code, "").name(), static_cast<int>(code));
  };
  if (expect(found == expected,
             Finding(kind, subject,
                     fmt::format("{} returned {}, not {}", call, text(found), text(expected)),
                     {{"call", std::string(call)},
                      {"found", std::int64_t{found}},
                      {"expected", std::int64_t{expected}}}))) {
    verified(1, "codes");
  }
}

}  // namespace conformance::driver
