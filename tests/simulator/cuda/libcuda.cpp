// The driver API as far as the suites call it; every other function that the toolkit's headers
// declare resolves, and answers CUDA_ERROR_NOT_SUPPORTED.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include <cuda.h>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/core/error_names.h"
#include "tests/simulator/cuda/api.h"

namespace conformance::sim::cuda {
namespace {

constexpr ErrorName<CUresult> kErrors[] = {
#include "cuda_names/driver_codes.inc"
};
// Names and CUDA versions of cudaTypedefs.h.
struct Declared {
  const char* name;
  int since;
  bool per_thread;
};
constexpr Declared kDeclared[] = {
#include "cuda_names/driver_functions.inc"
};

std::atomic<bool> started{false};

CUresult not_simulated() { return CUDA_ERROR_NOT_SUPPORTED; }
CUresult not_simulated_per_thread() { return CUDA_ERROR_NOT_SUPPORTED; }

/// The name serves as the sentence too.
CUresult text_of(const char* call, CUresult error, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *text = name_in(kErrors, error);
  const Firing firing = World::get().faults().at({.call = call, .error = error});
  if (firing.code) return static_cast<CUresult>(*firing.code);
  if (firing.text) {
    // Its caller may keep it for ever.
    static auto* const mutex = new std::mutex;
    static auto* const kept = new std::set<std::string>;
    const std::lock_guard lock(*mutex);
    *text = kept->insert(*firing.text).first->c_str();
  }
  if (*text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}

}  // namespace

bool initialised() { return started; }

extern "C" {

CUresult cuInit(unsigned flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  const auto answer = static_cast<CUresult>(start_driver());
  started = answer == CUDA_SUCCESS;
  return answer;
}

CUresult cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Firing firing = World::get().faults().at({"cuDriverGetVersion"});
  if (firing.code) return static_cast<CUresult>(*firing.code);
  *version =
      firing.value ? static_cast<int>(*firing.value) : World::get().machine().cuda_driver_version;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) {
  return call("cuDeviceGetCount", [&](const Firing& firing) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = firing.value ? static_cast<int>(*firing.value)
                          : static_cast<int>(World::get().visible().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return on_device("cuDeviceGet", ordinal, [&](const Device&, const Firing&) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return on_device("cuDeviceGetName", device, [&](const Device& on, const Firing& firing) {
    const Gpu& gpu = on.gpu();
    if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    std::snprintf(name, static_cast<std::size_t>(length), "%s",
                  firing.text ? firing.text->c_str() : gpu.name.c_str());
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return on_device("cuDeviceGetUuid", device, [&](const Device& on, const Firing& firing) {
    const Gpu& gpu = on.gpu();
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Gpu shown = gpu;
    if (firing.text) shown.uuid = *firing.text;
    cudaDeviceProp properties;
    fill_properties(shown, properties);
    std::memcpy(uuid, &properties.uuid, sizeof(*uuid));
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetPCIBusId(char* text, int length, CUdevice device) {
  return on_device("cuDeviceGetPCIBusId", device, [&](const Device& on, const Firing&) {
    const Gpu& gpu = on.gpu();
    if (text == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    std::string id = gpu.pci_bus_id().substr(4);
    std::transform(id.begin(), id.end(), id.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    std::snprintf(text, static_cast<std::size_t>(length), "%s", id.c_str());
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return on_device("cuDeviceGetAttribute", device, [&](const Device& on, const Firing& firing) {
    const Gpu& gpu = on.gpu();
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::optional<int> answer = attribute_of(gpu, attribute);
    if (!answer) return CUDA_ERROR_INVALID_VALUE;
    *value = firing.value ? static_cast<int>(*firing.value) : *answer;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  return on_device("cuDeviceTotalMem", device, [&](const Device& on, const Firing& firing) {
    const Gpu& gpu = on.gpu();
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *bytes = firing.value ? static_cast<std::size_t>(*firing.value) : gpu.memory_bytes;
    return CUDA_SUCCESS;
  });
}

CUresult cuGetErrorName(CUresult error, const char** text) {
  return text_of("cuGetErrorName", error, text);
}
CUresult cuGetErrorString(CUresult error, const char** text) {
  return text_of("cuGetErrorString", error, text);
}

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* why) {
  if (symbol == nullptr || function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *function = nullptr;
  if (version > World::get().machine().cuda_driver_version) return CUDA_ERROR_INVALID_VALUE;
  const Firing firing = World::get().faults().at({std::string("cuGetProcAddress:") + symbol});
  CUdriverProcAddressQueryResult result = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  bool per_thread = false;
  for (const Declared& one : kDeclared) {
    if (std::string_view(one.name) != symbol) continue;
    if (one.since <= version) {
      result = CU_GET_PROC_ADDRESS_SUCCESS;
      per_thread = per_thread || one.per_thread;
    } else if (result == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND) {
      result = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
    }
  }
  if (firing.value) result = static_cast<CUdriverProcAddressQueryResult>(*firing.value);
  if ((flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) == 0 || firing.text) {
    per_thread = false;
  }
  if (result == CU_GET_PROC_ADDRESS_SUCCESS && !firing.code) {
    *function = per_thread ? reinterpret_cast<void*>(&not_simulated_per_thread)
                           : reinterpret_cast<void*>(&not_simulated);
  }
  if (why != nullptr) *why = result;
  return firing.code ? static_cast<CUresult>(*firing.code) : CUDA_SUCCESS;
}

}  // extern "C"
}  // namespace conformance::sim::cuda
