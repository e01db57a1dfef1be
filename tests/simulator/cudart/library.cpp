// Code that is loaded at run time: what simulated NVRTC wrote.

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "tests/simulator/core/machine_code.h"
#include "tests/simulator/cudart/launch.h"

namespace conformance::sim::cudart {
namespace {

struct Libraries {
  std::mutex mutex;
  std::map<cudaLibrary_t, std::unique_ptr<MachineCode>> all;
};
Libraries& libraries() {
  static auto* const one = new Libraries;
  return *one;
}

}  // namespace

extern "C" {

cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code, cudaJitOption*, void**,
                                unsigned, cudaLibraryOption*, void**, unsigned) {
  return on_device("cudaLibraryLoadData", [&](Device& device, const Firing&) {
    if (library == nullptr || code == nullptr) return cudaErrorInvalidValue;
    const auto read = read_machine_code(code);
    if (!read) return cudaErrorInvalidKernelImage;
    const Gpu& gpu = device.gpu();
    if (read->architecture / 10 != gpu.major || read->architecture > 10 * gpu.major + gpu.minor) {
      return cudaErrorNoKernelImageForDevice;
    }
    auto made = std::make_unique<MachineCode>(*read);
    *library = reinterpret_cast<cudaLibrary_t>(made.get());
    const std::lock_guard lock(libraries().mutex);
    libraries().all[*library] = std::move(made);
    return cudaSuccess;
  });
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library) {
  return on_device("cudaLibraryUnload", [&](Device&, const Firing&) {
    const std::lock_guard lock(libraries().mutex);
    return libraries().all.erase(library) == 1 ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library, const char* name) {
  return on_device("cudaLibraryGetKernel", [&](Device&, const Firing&) {
    if (kernel == nullptr || name == nullptr) return cudaErrorInvalidValue;
    const std::lock_guard lock(libraries().mutex);
    const auto found = libraries().all.find(library);
    if (found == libraries().all.end()) return cudaErrorInvalidResourceHandle;
    const auto& kernels = found->second->kernels;
    if (std::find(kernels.begin(), kernels.end(), name) == kernels.end()) {
      return cudaErrorSymbolNotFound;
    }
    const Kernel* const one = find_kernel(name);
    if (one == nullptr) return cudaErrorNotSupported;
    *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(handle_of(*one)));
    return cudaSuccess;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
