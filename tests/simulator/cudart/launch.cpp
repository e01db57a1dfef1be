#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unordered_map>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/core/kernel.h"
#include "tests/simulator/core/kernel_cost.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
namespace {

struct Functions {
  std::mutex mutex;
  std::unordered_map<const void*, const Kernel*> all;
};
Functions& functions() {
  static auto* table = new Functions;
  return *table;
}

const Kernel* find_function(const void* host) {
  const std::lock_guard lock(functions().mutex);
  const auto found = functions().all.find(host);
  return found == functions().all.end() ? nullptr : found->second;
}

/// The <<<>>> of the launch that is being made.
struct Configuration {
  dim3 grid, block;
  std::size_t shared;
  cudaStream_t stream;
};
std::vector<Configuration>& configurations() {
  thread_local std::vector<Configuration> stack;
  return stack;
}

cudaError_t check_shape(const LaunchShape& shape) {
  const auto zero = [](const dim3& size) { return size.x == 0 || size.y == 0 || size.z == 0; };
  const dim3& block = shape.block;
  if (zero(shape.grid) || zero(block) || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      static_cast<std::uint64_t>(block.x) * block.y * block.z > kMostThreads ||
      shape.grid.x > 2147483647u || shape.grid.y > 65535 || shape.grid.z > 65535) {
    return cudaErrorInvalidConfiguration;
  }
  return shape.shared_bytes > kSharedOptInBytes ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t launch(const void* function, const LaunchShape& shape, void** arguments,
                   cudaStream_t handle) {
  return on_device("cudaLaunchKernel", [&](Device& device, const Firing& at_launch) {
    const Kernel* kernel = find_function(function);
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    const StreamPtr stream = find_stream(handle);
    if (!stream || &stream->device() != &device) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = check_shape(shape); error != cudaSuccess) return error;
    const PreparedKernel prepared = kernel->prepare(arguments);
    Operation operation;
    operation.call = std::string("kernel:") + kernel->name;
    operation.device = device.index();
    operation.peer = peer_of(prepared, device);
    operation.work = [&device, shape, prepared, kernel](const Firing& firing) {
      return run_on_device(device, *kernel, shape, prepared, firing);
    };
    static_cast<void>(at_launch);
    return submit(stream, std::move(operation), false);
  });
}

}  // namespace

extern "C" {

// What nvcc's host code calls; the toolkit's headers declare them only while nvcc compiles.

void** __cudaRegisterFatBinary(void* binary) {
  // The handle is only handed back; the code in the binary is not looked at.
  return reinterpret_cast<void**>(binary);
}

void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 0; }

void __cudaRegisterFunction(void**, const char* host_function, char*, const char* device_name, int,
                            uint3*, uint3*, dim3*, dim3*, int*) {
  const Kernel* kernel = find_kernel(device_name);
  if (kernel == nullptr) {
    std::fprintf(stderr,
                 "simulator: there is no kernel %s; see \"Kernels\" in tests/simulator/README.md\n",
                 device_name);
    std::_Exit(3);
  }
  const std::lock_guard lock(functions().mutex);
  functions().all[host_function] = kernel;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, CUstream_st* stream) {
  configurations().push_back({grid, block, shared, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (configurations().empty()) return cudaErrorMissingConfiguration;
  const Configuration last = configurations().back();
  configurations().pop_back();
  *grid = last.grid;
  *block = last.block;
  *shared = last.shared;
  *static_cast<cudaStream_t*>(stream) = last.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  // The function itself serves as the handle.
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream) {
  return launch(kernel, {grid, block, shared}, arguments, stream);
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
  return launch(function, {grid, block, shared}, arguments, stream);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return on_device("cudaFuncGetAttributes", [&](Device& device, const Firing&) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    if (find_function(function) == nullptr) return cudaErrorInvalidDeviceFunction;
    *attributes = {};
    attributes->maxThreadsPerBlock = kMostThreads;
    attributes->numRegs = 32;
    attributes->binaryVersion = attributes->ptxVersion =
        device.gpu().major * 10 + device.gpu().minor;
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(kSharedBytes);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int block_size, size_t) {
  return on_device("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&](Device&, const Firing&) {
    if (blocks == nullptr || block_size <= 0) return cudaErrorInvalidValue;
    if (find_function(function) == nullptr) return cudaErrorInvalidDeviceFunction;
    *blocks = block_size > kMostThreads ? 0 : 2 * kMostThreads / block_size;
    return cudaSuccess;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
