#pragma once

#include <optional>
#include <vector>

#include <cuda_runtime_api.h>

#include "tests/simulator/core/capture.h"
#include "tests/simulator/core/context.h"

namespace conformance::sim::cudart {

/// The calling thread's last error.
cudaError_t& last_error();

/// Keeps an error for cudaGetLastError and passes it on. cudaErrorNotReady is an answer, no error.
cudaError_t remember(cudaError_t error);
/// Why the runtime cannot work on this machine, or cudaSuccess: what cuInit says, a driver too old
/// for this runtime, no GPU.
cudaError_t start();
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
  Device* device = device_at(current_ordinal());
  if (device == nullptr) return remember(cudaErrorInvalidDevice);
  if (device->lost() != 0) return remember(static_cast<cudaError_t>(device->lost()));
  const Firing firing = World::get().faults().at({name, device->index(), peer, -1});
  obstruct(firing);
  if (firing.code) return remember(static_cast<cudaError_t>(*firing.code));
  return remember(body(*device, firing));
}

/// A function that takes a stream handle; `body` gets the stream.
template <typename Body>
cudaError_t on_stream(const char* name, cudaStream_t handle, Body body) {
  return on_device(name, [&](Device&, const Firing& firing) {
    const StreamPtr stream = find_stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    return body(stream, firing);
  });
}

/// Whether all is done: cudaErrorNotReady, or what wait_all says.
cudaError_t query(Device& device, const std::vector<CompletionPtr>& ends);
/// The end of what an event was last recorded after, null if it never was; or what it stands for in
/// a capture. False if the handle is stale.
bool find_end(cudaEvent_t handle, CompletionPtr& end, std::optional<CapturedPoint>& captured);

}  // namespace conformance::sim::cudart
