#pragma once

#include <utility>
#include <vector>

#include <cuda_runtime_api.h>

#include "tests/simulator/core/device.h"

namespace conformance::sim::cudart {

/// What the runtime keeps for each host thread.
struct ThreadState {
  int ordinal = 0;
  cudaError_t last = cudaSuccess;
};
ThreadState& this_thread();

/// Keeps an error for cudaGetLastError and passes it on. cudaErrorNotReady is an answer, no error.
cudaError_t remember(cudaError_t error);
/// Why the runtime cannot work on this machine, or cudaSuccess: what cuInit says, a driver too old
/// for this runtime, no GPU.
cudaError_t start();
/// Sleeps or hangs as the faults say.
void obstruct(const Firing& firing);

/// The context of a CUDA ordinal; null if there is none.
Device* device_at(int ordinal);

/// An API function that concerns no GPU in particular.
template <typename Body>
cudaError_t api(const char* name, Body body, CallSite site = {}) {
  if (const cudaError_t error = start(); error != cudaSuccess) return remember(error);
  site.call = name;
  const Firing firing = World::get().faults().at(site);
  obstruct(firing);
  if (firing.code) return remember(static_cast<cudaError_t>(*firing.code));
  return remember(body(firing));
}

/// An API function that acts on the current GPU: it fails when the context there is lost.
template <typename Body>
cudaError_t on_device(const char* name, Body body, int peer = -1) {
  if (const cudaError_t error = start(); error != cudaSuccess) return remember(error);
  Device* device = device_at(this_thread().ordinal);
  if (device == nullptr) return remember(cudaErrorInvalidDevice);
  if (device->lost() != 0) return remember(static_cast<cudaError_t>(device->lost()));
  const Firing firing = World::get().faults().at({name, device->index(), peer, -1});
  obstruct(firing);
  if (firing.code) return remember(static_cast<cudaError_t>(*firing.code));
  return remember(body(*device, firing));
}

/// The stream of a handle, as seen from the current device; null if the handle is stale.
StreamPtr find_stream(cudaStream_t handle);
/// The event of a handle; null if the handle is stale. The runtime's lock is held while `use` runs.
bool with_event(cudaEvent_t handle, const std::function<cudaError_t(Event&)>& use,
                cudaError_t& result);

/// Queues an operation, or adds it to the graph that the stream is captured into; `wait` also waits
/// for it. Faults are looked up under the operation's own name.
cudaError_t submit(const StreamPtr& stream, Operation operation, bool wait);
/// Waits for all, learns when they ended and yields the error that the device is lost to.
cudaError_t wait_all(Device& device, const std::vector<CompletionPtr>& ends);

}  // namespace conformance::sim::cudart
