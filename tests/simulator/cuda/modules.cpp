// Modules of the driver API: images are read as a driver reads them, and their kernels are those of
// kernels/*_kernels.cuh, found by the names in the image. PTX goes through the front of a compiler,
// which knows enough of the language to refuse what is none.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>

#include <dlfcn.h>

#include "fixtures/device_code.h"
#include "tests/simulator/core/kernel.h"
#include "tests/simulator/core/kernel_cost.h"
#include "tests/simulator/cuda/contexts.h"

namespace conformance::sim {

std::vector<Kernel> table_of_module_probe_kernels();

/// What modules of the suites hold; the runtime has all the others.
std::vector<Kernel> all_kernels() { return table_of_module_probe_kernels(); }

namespace cuda {
namespace {

struct Module {
  std::string code;  ///< machine code or PTX, as the image holds it
  bool ptx = false;
  std::map<std::string, const Kernel*> functions;  ///< those that were asked for
};
struct Modules {
  std::mutex mutex;
  std::map<CUmodule, std::unique_ptr<Module>> all;
};
Modules& modules() {
  static auto* const one = new Modules;
  return *one;
}

/// The first error in a PTX text, as a compiler would report it; empty if there is none.
std::string error_in_ptx(const std::string& text) {
  static constexpr std::array kInstructions{"ld.", "st.",   "mov.", "mad.", "mul.", "add.",
                                            "bra", "setp.", "cvta", "ret",  "@%"};
  std::istringstream lines(text);
  bool version = false, target = false;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos) continue;
    const std::string statement = line.substr(first);
    version = version || statement.starts_with(".version ");
    target = target || statement.starts_with(".target sm_");
    const bool structure = statement.find_first_of(".){}(") == 0 || statement.back() == ':';
    const bool known = std::any_of(kInstructions.begin(), kInstructions.end(),
                                   [&](const char* name) { return statement.starts_with(name); });
    if (!structure && !known) {
      return "simulated compiler, line " + std::to_string(number) + ": not known: " + statement;
    }
  }
  return version && target ? "" : "simulated compiler: .version or .target is missing";
}

bool compiler_is_there() {
  void* library = ::dlopen("libnvidia-ptxjitcompiler.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (library != nullptr) ::dlclose(library);
  return library != nullptr;
}

/// Compiles PTX: that it can is all that matters here.
CUresult compile(const Device& device, const std::string& text, std::string& log) {
  const Firing firing = World::get().faults().at({"PTX compiler", device.index()});
  if (firing.code) return static_cast<CUresult>(*firing.code);
  if (!compiler_is_there()) return CUDA_ERROR_JIT_COMPILER_NOT_FOUND;
  log = error_in_ptx(text);
  return log.empty() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX;
}

/// Of a fat binary, what a driver would take for the GPU: machine code before PTX.
CUresult choose(const Device& device, const std::byte* image, Module& module, std::string& log) {
  std::uint64_t size = 0;
  std::memcpy(&size, image + 8, sizeof(size));
  const std::span bytes(image, 16 + size);
  const DeviceCodeReading read = parse_fat_binary(bytes);
  if (read.modules.empty()) return CUDA_ERROR_INVALID_IMAGE;
  const ComputeCapability gpu{device.gpu().major, device.gpu().minor};
  const DeviceCode* best = nullptr;
  for (const DeviceCode& code : read.modules.front()) {
    const Coverage how = coverage(code, gpu);
    if (how != Coverage::missing && (best == nullptr || how > coverage(*best, gpu))) best = &code;
  }
  // A driver asks its compiler before it gives up; seen with one that could not be loaded.
  if (best == nullptr) {
    return compiler_is_there() ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_JIT_COMPILER_NOT_FOUND;
  }
  if (best->compressed) {
    std::fprintf(stderr, "simulator: cannot look into a compressed module\n");
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  const auto code = bytes.subspan(best->offset, best->size);
  module.code.assign(reinterpret_cast<const char*>(code.data()), code.size());
  module.ptx = best->kind == DeviceCode::Kind::ptx;
  return module.ptx ? compile(device, module.code, log) : CUDA_SUCCESS;
}

CUresult load(const Device& device, const void* image, Module& module, std::string& log) {
  constexpr std::uint32_t kFatBinary = 0xba55ed50;
  std::uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  if (magic == kFatBinary) return choose(device, static_cast<const std::byte*>(image), module, log);
  module.code = static_cast<const char*>(image);
  module.ptx = true;
  return compile(device, module.code, log);
}

/// Whether the image has a kernel of this name: a section of machine code, or an entry of PTX.
bool holds(const Module& module, std::string_view name) {
  if (module.ptx) return module.code.find(".entry " + std::string(name) + "(") != std::string::npos;
  const std::string section = ".text." + std::string(name) + '\0';
  return module.code.find(section) != std::string::npos;
}

void hand_out(const std::string& log, unsigned count, const CUjit_option* options, void** values) {
  char* buffer = nullptr;
  std::size_t size = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER) buffer = static_cast<char*>(values[i]);
    if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
      size = reinterpret_cast<std::size_t>(values[i]);
    }
  }
  if (buffer != nullptr && size > 0) std::snprintf(buffer, size, "%s", log.c_str());
}

}  // namespace

extern "C" {

CUresult cuModuleLoadDataEx(CUmodule* handle, const void* image, unsigned count,
                            CUjit_option* options, void** values) {
  return in_context("cuModuleLoadDataEx", [&](Device& device, const Firing&) {
    if (handle == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto module = std::make_unique<Module>();
    std::string log;
    const CUresult code = load(device, image, *module, log);
    hand_out(log, count, options, values);
    if (code != CUDA_SUCCESS) return code;
    const std::lock_guard lock(modules().mutex);
    *handle = reinterpret_cast<CUmodule>(module.get());
    modules().all[*handle] = std::move(module);
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleUnload(CUmodule handle) {
  return in_context("cuModuleUnload", [&](Device&, const Firing&) {
    const std::lock_guard lock(modules().mutex);
    return modules().all.erase(handle) == 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule handle, const char* name) {
  return in_context("cuModuleGetFunction", [&](Device&, const Firing&) {
    if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(modules().mutex);
    const auto found = modules().all.find(handle);
    if (found == modules().all.end()) return CUDA_ERROR_INVALID_HANDLE;
    if (!holds(*found->second, name)) return CUDA_ERROR_NOT_FOUND;
    const Kernel* kernel = find_kernel(name);
    if (kernel == nullptr) {
      std::fprintf(stderr, "simulator: there is no kernel %s for modules\n", name);
      return CUDA_ERROR_NOT_SUPPORTED;
    }
    *function = reinterpret_cast<CUfunction>(const_cast<Kernel*>(kernel));
    return CUDA_SUCCESS;
  });
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                        CUstream stream, void** arguments, void**) {
  return in_context("cuLaunchKernel", [&](Device& device, const Firing&) {
    if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (stream != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
    const auto* kernel = reinterpret_cast<const Kernel*>(function);
    const PreparedKernel prepared = kernel->prepare(arguments);
    const LaunchShape shape{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared};
    Operation operation;
    operation.call = std::string("kernel:") + kernel->name;
    operation.device = device.index();
    operation.peer = peer_of(prepared, device);
    operation.work = [&device, shape, prepared](const Firing& firing) {
      return run_on_device(device, shape, prepared, firing);
    };
    return static_cast<CUresult>(submit(device.legacy_stream(), std::move(operation), false));
  });
}

CUresult cuStreamQuery(CUstream stream) {
  return in_context("cuStreamQuery", [&](Device& device, const Firing&) {
    if (stream != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
    const CompletionPtr last = device.legacy_stream()->last();
    if (last && !last->done()) return CUDA_ERROR_NOT_READY;
    return static_cast<CUresult>(device.lost());
  });
}

CUresult cuMemsetD8_v2(CUdeviceptr address, unsigned char byte, std::size_t bytes) {
  return in_context("cuMemsetD8", [&](Device& device, const Firing&) {
    void* memory = std::bit_cast<void*>(address);
    const Location location = device.find(memory);
    if (location.kind != Location::Kind::device || bytes > location.left(memory)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    std::memset(memory, byte, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr address, std::size_t bytes) {
  return in_context("cuMemcpyDtoH", [&](Device& device, const Firing&) {
    const void* memory = std::bit_cast<const void*>(address);
    const Location location = device.find(memory);
    if (location.kind != Location::Kind::device || bytes > location.left(memory)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    const cudaError_t error = wait_all(device, device.pending());
    if (error == cudaSuccess) std::memcpy(to, memory, bytes);
    return static_cast<CUresult>(error);
  });
}

}  // extern "C"
}  // namespace cuda
}  // namespace conformance::sim
