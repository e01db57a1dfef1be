#pragma once

#include <vector>

#include <cuda_runtime_api.h>

#include "tests/simulator/core/device.h"

namespace conformance::sim {

/// The CUDA ordinal that is current for the calling host thread.
int& current_ordinal();
/// The context of a CUDA ordinal; null if there is none.
Device* device_at(int ordinal);

/// Why CUDA cannot work on this machine, or 0: what cuInit says, or that there is no GPU.
int start_driver();
/// Sleeps or hangs as the faults say.
void obstruct(const Firing& firing);

/// The stream of a handle, as seen from the current device; null if the handle is stale.
StreamPtr find_stream(cudaStream_t handle);
/// Queues an operation; `wait` also waits for it. Faults are looked up under the operation's own
/// name.
cudaError_t submit(const StreamPtr& stream, Operation operation, bool wait);
/// The same, without waiting, with faults that were looked up before. `end`, if given, gets its
/// end.
cudaError_t submit(const StreamPtr& stream, Operation operation, const Firing& firing,
                   CompletionPtr* end = nullptr);
/// Waits for all, learns when they ended and yields the error that the device is lost to.
cudaError_t wait_all(Device& device, const std::vector<CompletionPtr>& ends);

}  // namespace conformance::sim
