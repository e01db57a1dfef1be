#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "fixtures/gpu_test.h"
#include "kernels/runtime_probe.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

class Limits : public GpuTest {};

std::string text_of(const dim3& grid, const dim3& block, std::size_t shared_bytes) {
  return fmt::format(
      "a launch of ({}, {}, {}) blocks of ({}, {}, {}) threads with {} bytes of shared memory",
      grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes);
}

unsigned most(const CudaDevice& device, cudaDeviceAttr which) {
  return static_cast<unsigned>(attribute(device, which));
}

/// Launches of a kernel in which each thread adds 1 to a count.
class Launches {
 public:
  explicit Launches(const CudaDevice& device) : device_(device), count_(stream_) {}

  void expect_accepted(const dim3& grid, const dim3& block, std::size_t shared_bytes = 0) {
    const cudaError_t answer =
        kernels::count_threads(count_.data(), grid, block, shared_bytes, stream_.get());
    const std::string what = text_of(grid, block, shared_bytes);
    if (answer != cudaSuccess) cudaGetLastError();
    expect_code(answer, cudaSuccess, what, device_.subject(), limit_not_kept);
    const unsigned long long ran = count_.take(device_.subject());
    const unsigned long long asked = 1ull * grid.x * grid.y * grid.z * block.x * block.y * block.z;
    if (answer != cudaSuccess) return;
    expect(ran == asked,
           Finding(limit_not_kept, device_.subject(), fmt::format("{} ran {} threads", what, ran),
                   {{"found", std::uint64_t{ran}}, {"expected", std::uint64_t{asked}}}));
    verified(asked, "threads");
  }
  void expect_refused(const dim3& grid, const dim3& block, std::size_t shared_bytes = 0) {
    expect_refused_launch(
        kernels::count_threads(count_.data(), grid, block, shared_bytes, stream_.get()),
        text_of(grid, block, shared_bytes), device_.subject());
    const unsigned long long ran = count_.take(device_.subject());
    expect(ran == 0, Finding(limit_not_kept, device_.subject(),
                             fmt::format("{} was refused and ran {} threads",
                                         text_of(grid, block, shared_bytes), ran),
                             {{"found", std::uint64_t{ran}}}));
  }

 private:
  const CudaDevice& device_;
  Stream stream_;
  DeviceResult<unsigned long long> count_;
};

TEST_F(Limits, BlocksOfEveryShapeUpToTheLargestRunAndLargerOnesAreRefused) {
  claim(
      "Each dimension of a block, and its number of threads, may be as large as the device's "
      "attribute says and no larger",
      "CUDA C++ Programming Guide: Compute Capabilities, Technical Specifications; CUDA Runtime "
      "API: cudaDevAttrMaxBlockDimX, …Y, …Z, cudaDevAttrMaxThreadsPerBlock");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const unsigned threads = most(device, cudaDevAttrMaxThreadsPerBlock);
    const unsigned x = most(device, cudaDevAttrMaxBlockDimX);
    const unsigned y = most(device, cudaDevAttrMaxBlockDimY);
    const unsigned z = most(device, cudaDevAttrMaxBlockDimZ);
    Launches launches(device);
    launches.expect_accepted(1, dim3(x, 1, 1));
    launches.expect_refused(1, dim3(x + 1, 1, 1));
    launches.expect_accepted(1, dim3(1, y, 1));
    launches.expect_refused(1, dim3(1, y + 1, 1));
    launches.expect_accepted(1, dim3(1, 1, z));
    launches.expect_refused(1, dim3(1, 1, z + 1));
    launches.expect_accepted(1, dim3(threads / 2, 2, 1));
    launches.expect_refused(1, dim3(threads / 2 + 1, 2, 1));
    launches.expect_refused(1, dim3(0, 1, 1));
  });
}

TEST_F(Limits, GridsUpToTheLargestRunAndLargerOnesAreRefused) {
  claim(
      "The y and z dimensions of a grid may be as large as the device's attributes say, and no "
      "dimension may be larger than its own",
      "CUDA C++ Programming Guide: Compute Capabilities, Technical Specifications; CUDA Runtime "
      "API: cudaDevAttrMaxGridDimX, …Y, …Z");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const unsigned x = most(device, cudaDevAttrMaxGridDimX);
    const unsigned y = most(device, cudaDevAttrMaxGridDimY);
    const unsigned z = most(device, cudaDevAttrMaxGridDimZ);
    Launches launches(device);
    // A grid of the largest x, 2^31 - 1 blocks, would take seconds.
    launches.expect_refused(dim3(x + 1, 1, 1), 1);
    launches.expect_accepted(dim3(1, y, 1), 1);
    launches.expect_refused(dim3(1, y + 1, 1), 1);
    launches.expect_accepted(dim3(1, 1, z), 1);
    launches.expect_refused(dim3(1, 1, z + 1), 1);
    launches.expect_refused(dim3(0, 1, 1), 1);
  });
}

TEST_F(Limits, SharedMemoryUpToTheLargestIsGivenAndMoreIsRefused) {
  claim(
      "A launch gets up to cudaDevAttrMaxSharedMemoryPerBlock bytes of dynamic shared memory, and "
      "up to cudaDevAttrMaxSharedMemoryPerBlockOptin after asking for it; not one byte more",
      "CUDA C++ Programming Guide: Shared Memory of each Compute Capability; CUDA Runtime API: "
      "cudaFuncSetAttribute");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const unsigned plain = most(device, cudaDevAttrMaxSharedMemoryPerBlock);
    const unsigned asked = most(device, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    Launches launches(device);
    launches.expect_accepted(2, 32, plain);
    launches.expect_refused(2, 32, plain + 1);
    expect_code(kernels::allow_shared_memory_to_count_threads(static_cast<int>(asked) + 1),
                cudaErrorInvalidValue,
                fmt::format("asking for {} bytes of dynamic shared memory", asked + 1),
                device.subject());
    cudaGetLastError();
    expect_code(kernels::allow_shared_memory_to_count_threads(static_cast<int>(asked)), cudaSuccess,
                fmt::format("asking for {} bytes of dynamic shared memory", asked),
                device.subject(), limit_not_kept);
    launches.expect_accepted(2, 32, asked);
    launches.expect_refused(2, 32, asked + 1);
  });
}

}  // namespace
}  // namespace conformance::runtime
