#include "tests/simulator/core/ipc.h"

#include <optional>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
extern "C" {

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* memory) {
  return on_device("cudaIpcGetMemHandle", [&](Device&, const Firing&) {
    const Location location = World::get().find(memory);
    if (handle == nullptr || location.kind != Location::Kind::device) return cudaErrorInvalidValue;
    const auto exported = World::get().device(location.device).export_memory(memory);
    if (!exported) return cudaErrorInvalidValue;
    write_handle(HandleKind::memory, *exported, handle->reserved);
    return cudaSuccess;
  });
}

cudaError_t cudaIpcOpenMemHandle(void** memory, cudaIpcMemHandle_t handle, unsigned flags) {
  const auto exported = read_handle<MemoryExport>(HandleKind::memory, handle.reserved);
  const int owner = exported && start() == cudaSuccess ? World::get().gpu_with(exported->uuid) : -1;
  return on_device(
      "cudaIpcOpenMemHandle",
      [&](Device& device, const Firing&) {
        World& world = World::get();
        if (memory == nullptr || flags != cudaIpcMemLazyEnablePeerAccess || !exported) {
          return cudaErrorInvalidValue;
        }
        if (owner < 0) return cudaErrorMapBufferObjectFailed;
        if (exported->memory == world.device(owner).memory().name()) {
          return cudaErrorDeviceUninitialized;
        }
        if (owner != device.index() && !peers_reach(world.machine(), device.index(), owner)) {
          return cudaErrorPeerAccessUnsupported;
        }
        *memory = world.import_memory(*exported, owner, device.index());
        return *memory == nullptr ? cudaErrorMapBufferObjectFailed : cudaSuccess;
      },
      owner);
}

cudaError_t cudaIpcCloseMemHandle(void* memory) {
  return on_device("cudaIpcCloseMemHandle", [&](Device& device, const Firing&) {
    // Closing waits for whatever may still use the memory.
    const cudaError_t error = wait_all(device, device.pending());
    return World::get().close_import(memory) ? error : cudaErrorInvalidValue;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
