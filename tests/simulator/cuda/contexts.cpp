// Contexts of the driver API. A GPU has one memory for all of them; a context knows what was
// allocated in it and gives that back when it goes.

#include "tests/simulator/cuda/contexts.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace conformance::sim::cuda {
namespace {

struct Context {
  int ordinal = 0;
  bool alive = true;
  std::set<void*> memory;
};

/// All contexts there ever were: a thread may still have one that is gone.
struct Contexts {
  std::mutex mutex;
  std::vector<std::unique_ptr<Context>> all;
  struct Primary {
    Context* context = nullptr;
    int retained = 0;
  };
  std::map<int, Primary> primary;  ///< by ordinal
};
Contexts& contexts() {
  static auto* const one = new Contexts;
  return *one;
}

std::vector<Context*>& stack() {
  thread_local std::vector<Context*> own;
  return own;
}

CUcontext handle(Context* context) { return reinterpret_cast<CUcontext>(context); }

// With the lock held.
Context* make(int ordinal) {
  contexts().all.push_back(std::make_unique<Context>());
  contexts().all.back()->ordinal = ordinal;
  return contexts().all.back().get();
}
Context* find(CUcontext context) {
  const auto& all = contexts().all;
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const auto& one) { return handle(one.get()) == context; });
  return found == all.end() ? nullptr : found->get();
}
void end(Context& context, bool keep_memory) {
  context.alive = false;
  if (keep_memory) return;
  for (void* memory : context.memory) device_at(context.ordinal)->release(memory);
  context.memory.clear();
}

}  // namespace

Current current_context() {
  if (stack().empty()) return {CUDA_ERROR_INVALID_CONTEXT};
  const std::lock_guard lock(contexts().mutex);
  const Context& context = *stack().back();
  if (!context.alive) return {CUDA_ERROR_CONTEXT_IS_DESTROYED};
  return {CUDA_SUCCESS, device_at(context.ordinal), context.ordinal};
}

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice ordinal) {
  return on_device("cuDevicePrimaryCtxRetain", ordinal, [&](Device&, const Firing&) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(contexts().mutex);
    Contexts::Primary& primary = contexts().primary[ordinal];
    if (primary.retained++ == 0) primary.context = make(ordinal);
    *context = handle(primary.context);
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice ordinal) {
  return on_device("cuDevicePrimaryCtxRelease", ordinal, [&](Device&, const Firing&) {
    const std::lock_guard lock(contexts().mutex);
    Contexts::Primary& primary = contexts().primary[ordinal];
    if (primary.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--primary.retained == 0) end(*primary.context, false);
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxGetState(CUdevice ordinal, unsigned* flags, int* active) {
  return on_device("cuDevicePrimaryCtxGetState", ordinal, [&](Device&, const Firing& firing) {
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(contexts().mutex);
    *flags = 0;
    *active = contexts().primary[ordinal].retained > 0 ? 1 : 0;
    if (firing.value) *active = static_cast<int>(*firing.value);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice ordinal) {
  return on_device("cuCtxCreate", ordinal, [&](Device&, const Firing&) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(contexts().mutex);
    stack().push_back(make(ordinal));
    *context = handle(stack().back());
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  return call("cuCtxDestroy", [&](const Firing&) {
    const Firing keeps = World::get().faults().at({"cuCtxDestroy:memory"});
    const std::lock_guard lock(contexts().mutex);
    Context* found = find(context);
    if (found == nullptr || !found->alive) return CUDA_ERROR_INVALID_CONTEXT;
    end(*found, keeps.code.has_value());
    if (!stack().empty() && stack().back() == found) stack().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  return call("cuCtxPushCurrent", [&](const Firing&) {
    const std::lock_guard lock(contexts().mutex);
    Context* found = find(context);
    if (found == nullptr || !found->alive) return CUDA_ERROR_INVALID_CONTEXT;
    stack().push_back(found);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
  return call("cuCtxPopCurrent", [&](const Firing&) {
    if (stack().empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (context != nullptr) *context = handle(stack().back());
    stack().pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return call("cuCtxGetCurrent", [&](const Firing&) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = stack().empty() ? nullptr : handle(stack().back());
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetDevice(CUdevice* ordinal) {
  return in_context("cuCtxGetDevice", [&](Device&, const Firing& firing) {
    if (ordinal == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *ordinal = firing.value ? static_cast<int>(*firing.value) : current_context().ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSynchronize() {
  const Firing firing = World::get().faults().at({"cuCtxSynchronize"});
  if (firing.code) return static_cast<CUresult>(*firing.code);
  const Current current = current_context();
  if (current.error != CUDA_SUCCESS) return current.error;
  return static_cast<CUresult>(wait_all(*current.device, current.device->pending()));
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
  return in_context("cuMemAlloc", [&](Device& device, const Firing&) {
    if (address == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    void* memory = device.allocate(bytes);
    if (memory == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    const std::lock_guard lock(contexts().mutex);
    stack().back()->memory.insert(memory);
    *address = reinterpret_cast<CUdeviceptr>(memory);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  return in_context("cuMemFree", [&](Device& device, const Firing&) {
    void* memory = std::bit_cast<void*>(address);
    const std::lock_guard lock(contexts().mutex);
    if (stack().back()->memory.erase(memory) == 0) return CUDA_ERROR_INVALID_VALUE;
    device.release(memory);
    return CUDA_SUCCESS;
  });
}

CUresult cuPointerGetAttribute(void* value, CUpointer_attribute which, CUdeviceptr address) {
  return call("cuPointerGetAttribute", [&](const Firing&) {
    if (which != CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) return CUDA_ERROR_NOT_SUPPORTED;
    const Location found = World::get().find(std::bit_cast<void*>(address));
    if (value == nullptr || found.kind != Location::Kind::device) return CUDA_ERROR_INVALID_VALUE;
    *static_cast<int*>(value) = World::get().ordinal(found.device);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return in_context("cuMemGetInfo", [&](Device& device, const Firing& firing) {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *free = firing.value ? static_cast<std::size_t>(*firing.value) : device.free_bytes();
    *total = device.gpu().memory_bytes;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cuda
