#include <cstring>

#include "fixtures/gpu_test.h"
#include "fixtures/visible_devices.h"
#include "kernels/launch_probe.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

class Gate : public GpuTest {};

/// Why cudaGetDeviceCount found no GPU.
Finding no_gpu_finding(const Status& status) {
  if (status.ok() || status.code() == cudaErrorNoDevice) {
    if (const auto hidden = hidden_gpus_finding(hidden_by_variable)) return *hidden;
  }
  if (status.ok()) {
    return {finding::no_devices, host_subject(), "cudaGetDeviceCount succeeded and counted 0"};
  }
  return status_finding(status, host_subject());
}

TEST_F(Gate, TheRuntimeFindsAtLeastOneGpu) {
  claim("cudaGetDeviceCount succeeds and counts at least one GPU on a host that has one",
        "CUDA Runtime API, Device Management: cudaGetDeviceCount");
  int count = 0;
  const Status counted = CONFORMANCE_CALL(cudaGetDeviceCount(&count));
  cudaGetLastError();
  if (!counted.ok() || count == 0) fail_and_end(no_gpu_finding(counted));
  fact("runtime.device-count", std::int64_t{count});
  verified(static_cast<std::uint64_t>(count), "GPUs");
}

TEST_F(Gate, AKernelRunsOnEachGpu) {
  claim("A kernel launched on a GPU runs there and its result can be read back",
        "CUDA C++ Programming Guide: Kernels");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    const auto record = DeviceBuffer<kernels::LaunchRecord>::poisoned(1, stream.get());
    PinnedBuffer<kernels::LaunchRecord> host(1);
    ensure(CONFORMANCE_CALL(kernels::record_launch(record.data(), 1, 1, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), record.data(), host.bytes(),
                                            cudaMemcpyDeviceToHost, stream.get())));
    synchronize(stream, device.subject());
    const kernels::LaunchRecord only{{0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {1, 1, 1}};
    expect(std::memcmp(&host[0], &only, sizeof(only)) == 0,
           Finding(wrong_coordinates, device.subject(),
                   "the one thread of the one block did not leave its record"));
    verified(1, "kernels");
  });
}

}  // namespace
}  // namespace conformance::runtime
