#include "tests/simulator/cudart/launch.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/core/kernel_cost.h"

namespace conformance::sim::cudart {
namespace {

struct Function {
  const Kernel* kernel = nullptr;
  std::map<int, std::size_t> asked_shared_bytes;  ///< by GPU, where it was asked for

  std::size_t most_shared_bytes(const Device& device) const {
    const auto asked = asked_shared_bytes.find(device.index());
    return asked == asked_shared_bytes.end() ? kSharedBytes : asked->second;
  }
};
struct Constant {
  std::string name;
  std::size_t bytes = 0;
};
struct Functions {
  std::mutex mutex;
  std::unordered_map<const void*, Function> all;
  std::unordered_map<const void*, Constant> constants;
};
Functions& functions() {
  static auto* table = new Functions;
  return *table;
}

std::optional<Function> find_function(const void* host) {
  const std::lock_guard lock(functions().mutex);
  const auto found = functions().all.find(host);
  return found == functions().all.end() ? std::nullopt : std::optional(found->second);
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

constexpr int kMostInCluster = 8;

std::uint64_t volume(const dim3& size) {
  return static_cast<std::uint64_t>(size.x) * size.y * size.z;
}

/// How many blocks fit on a multiprocessor at the same time.
std::uint64_t blocks_at_a_time(const Device& device, std::uint64_t threads,
                               std::size_t shared_bytes) {
  cudaDeviceProp properties;
  fill_properties(device.gpu(), properties);
  if (threads > kMostThreads) return 0;
  const auto most = static_cast<std::uint64_t>(properties.maxBlocksPerMultiProcessor);
  const auto by_threads =
      static_cast<std::uint64_t>(properties.maxThreadsPerMultiProcessor) / threads;
  const std::uint64_t by_memory =
      properties.sharedMemPerMultiprocessor / (shared_bytes + properties.reservedSharedMemPerBlock);
  return std::min({most, by_threads, by_memory});
}

/// Whether blocks that are to run at the same time can.
cudaError_t check_groups(const Device& device, const LaunchShape& shape) {
  const dim3 &grid = shape.grid, &cluster = shape.cluster;
  if (volume(cluster) != 1) {
    if (device.gpu().major < 9) return cudaErrorNotSupported;
    if (volume(cluster) == 0 || volume(cluster) > kMostInCluster || grid.x % cluster.x != 0 ||
        grid.y % cluster.y != 0 || grid.z % cluster.z != 0) {
      return cudaErrorInvalidClusterSize;
    }
  }
  const std::uint64_t most = static_cast<std::uint64_t>(device.gpu().multiprocessors) *
                             blocks_at_a_time(device, volume(shape.block), shape.shared_bytes);
  return shape.cooperative && volume(grid) > most ? cudaErrorCooperativeLaunchTooLarge
                                                  : cudaSuccess;
}

cudaError_t check_shape(const LaunchShape& shape, std::size_t most_shared_bytes) {
  const auto zero = [](const dim3& size) { return size.x == 0 || size.y == 0 || size.z == 0; };
  const dim3& block = shape.block;
  if (zero(shape.grid) || zero(block) || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      volume(block) > kMostThreads || shape.grid.x > 2147483647u || shape.grid.y > 65535 ||
      shape.grid.z > 65535) {
    return cudaErrorInvalidConfiguration;
  }
  return shape.shared_bytes > most_shared_bytes ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t launch(const void* host_function, const LaunchShape& shape, void** arguments,
                   cudaStream_t handle, const char* name = "cudaLaunchKernel") {
  return on_device(name, [&](Device& device, const Firing&) {
    const StreamPtr stream = find_stream(handle);
    if (!stream || &stream->device() != &device) return cudaErrorInvalidResourceHandle;
    Operation operation;
    const cudaError_t error = make_launch(device, host_function, shape, arguments, operation);
    return error == cudaSuccess ? submit(stream, std::move(operation), false) : error;
  });
}

}  // namespace

const void* handle_of(const Kernel& kernel) {
  const std::lock_guard lock(functions().mutex);
  functions().all[&kernel].kernel = &kernel;
  return &kernel;
}

cudaError_t make_launch(Device& device, const void* host_function, const LaunchShape& shape,
                        void** arguments, Operation& operation) {
  const std::optional<Function> function = find_function(host_function);
  if (!function) return cudaErrorInvalidDeviceFunction;
  cudaError_t error = check_shape(shape, function->most_shared_bytes(device));
  if (error == cudaSuccess) error = check_groups(device, shape);
  if (error != cudaSuccess) return error;
  const PreparedKernel prepared = function->kernel->prepare(arguments);
  operation.call = std::string("kernel:") + function->kernel->name;
  operation.device = device.index();
  operation.peer = peer_of(prepared, device);
  operation.work = [&device, shape, prepared](const Firing& firing) {
    return run_on_device(device, shape, prepared, firing);
  };
  return cudaSuccess;
}

extern "C" {

// What nvcc's host code calls; the toolkit's headers declare them only while nvcc compiles.
// NOLINTBEGIN(bugprone-reserved-identifier)

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
  functions().all[host_function].kernel = kernel;
}

void __cudaRegisterVar(void**, char* host_variable, char*, const char* device_name, int,
                       size_t bytes, int constant, int) {
  // Variables that the toolkit's headers define in each source, such as libcu++'s function objects:
  // nobody copies to them.
  if (std::string_view(device_name).find("_INTERNAL_") != std::string_view::npos) return;
  if (constant == 0 || find_constant(device_name) == nullptr) {
    std::fprintf(stderr, "simulator: no variable of the kernels is __constant__ and named %s\n",
                 device_name);
    std::_Exit(3);
  }
  const std::lock_guard lock(functions().mutex);
  functions().constants[host_variable] = {device_name, bytes};
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

// NOLINTEND(bugprone-reserved-identifier)

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
  return launch(function, {grid, block, shared}, arguments, stream);
}

cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                        void** arguments, size_t shared, cudaStream_t stream) {
  LaunchShape shape{grid, block, shared};
  shape.cooperative = true;
  return launch(function, shape, arguments, stream, "cudaLaunchCooperativeKernel");
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* how, const void* function,
                                void** arguments) {
  if (how == nullptr) return remember(cudaErrorInvalidValue);
  LaunchShape shape{how->gridDim, how->blockDim, how->dynamicSmemBytes};
  for (unsigned i = 0; i < how->numAttrs; ++i) {
    const cudaLaunchAttribute& one = how->attrs[i];
    if (one.id == cudaLaunchAttributeClusterDimension) {
      shape.cluster = {one.val.clusterDim.x, one.val.clusterDim.y, one.val.clusterDim.z};
    } else if (one.id == cudaLaunchAttributeCooperative) {
      shape.cooperative = one.val.cooperative != 0;
    } else {
      return remember(cudaErrorNotSupported);
    }
  }
  return launch(function, shape, arguments, how->stream, "cudaLaunchKernelExC");
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return on_device("cudaFuncGetAttributes", [&](Device& device, const Firing& firing) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    const std::optional<Function> found = find_function(function);
    if (!found) return cudaErrorInvalidDeviceFunction;
    *attributes = {};
    attributes->maxThreadsPerBlock = kMostThreads;
    attributes->numRegs = 32;
    attributes->binaryVersion = attributes->ptxVersion =
        device.gpu().major * 10 + device.gpu().minor;
    if (firing.value) attributes->binaryVersion = static_cast<int>(*firing.value);
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(found->most_shared_bytes(device));
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return on_device("cudaFuncSetAttribute", [&](Device& device, const Firing&) {
    const std::lock_guard lock(functions().mutex);
    const auto found = functions().all.find(function);
    if (found == functions().all.end()) return cudaErrorInvalidDeviceFunction;
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<std::size_t>(value) > kSharedOptInBytes) {
      return cudaErrorInvalidValue;
    }
    found->second.asked_shared_bytes[device.index()] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes,
                                    size_t offset, cudaMemcpyKind kind, cudaStream_t handle) {
  return on_device("cudaMemcpyToSymbol", [&](Device& device, const Firing&) {
    const StreamPtr stream = find_stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDefault) {
      return cudaErrorInvalidMemcpyDirection;
    }
    Constant constant;
    {
      const std::lock_guard lock(functions().mutex);
      const auto found = functions().constants.find(symbol);
      if (found == functions().constants.end()) return cudaErrorInvalidSymbol;
      constant = found->second;
    }
    if (from == nullptr || offset > constant.bytes || bytes > constant.bytes - offset) {
      return cudaErrorInvalidValue;
    }
    const auto* first = static_cast<const char*>(from);
    const double seconds =
        kLatency + static_cast<double>(bytes) / World::get().copy_rate(-1, device.index());
    return submit(stream,
                  {"cudaMemcpyToSymbolAsync", device.index(), -1,
                   [&device, name = constant.name, offset, seconds,
                    staged = std::vector<char>(first, first + bytes)](const Firing&) {
                     device.set_constant(name, offset, staged.data(), staged.size());
                     return Outcome{seconds, 0};
                   }},
                  false);
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks,
                                                                   const void* function,
                                                                   int block_size, size_t shared,
                                                                   unsigned) {
  return on_device(
      "cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&](Device& device, const Firing& firing) {
        if (blocks == nullptr || block_size <= 0) return cudaErrorInvalidValue;
        if (!find_function(function)) return cudaErrorInvalidDeviceFunction;
        *blocks = firing.value ? static_cast<int>(*firing.value)
                               : static_cast<int>(blocks_at_a_time(
                                     device, static_cast<std::uint64_t>(block_size), shared));
        return cudaSuccess;
      });
}

cudaError_t cudaOccupancyMaxPotentialClusterSize(int* blocks, const void* function,
                                                 const cudaLaunchConfig_t* how) {
  return on_device("cudaOccupancyMaxPotentialClusterSize", [&](Device& device, const Firing&) {
    if (blocks == nullptr || how == nullptr) return cudaErrorInvalidValue;
    if (!find_function(function)) return cudaErrorInvalidDeviceFunction;
    if (device.gpu().major < 9) return cudaErrorNotSupported;
    *blocks = kMostInCluster;
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int block_size, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size,
                                                                shared, cudaOccupancyDefault);
}

}  // extern "C"
}  // namespace conformance::sim::cudart
