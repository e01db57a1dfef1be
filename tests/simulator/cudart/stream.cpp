#include <algorithm>
#include <chrono>
#include <functional>

#include "tests/simulator/core/capture.h"
#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
namespace {

/// What must end for a stream to be idle; the legacy stream stands for all blocking ones.
std::vector<CompletionPtr> ends_of(const StreamPtr& stream) {
  std::vector<CompletionPtr> ends;
  const auto add = [&](const StreamPtr& one) {
    if (CompletionPtr last = one->last()) ends.push_back(std::move(last));
  };
  add(stream);
  if (stream == stream->device().legacy_stream()) {
    for (const StreamPtr& other : stream->device().streams()) {
      if (other->blocking()) add(other);
    }
  }
  return ends;
}

cudaError_t create_stream(Device& device, cudaStream_t* stream, unsigned flags, int priority) {
  if (stream == nullptr || (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0) {
    return cudaErrorInvalidValue;
  }
  const int clamped = std::clamp(priority, kGreatestPriority, 0);
  *stream = reinterpret_cast<cudaStream_t>(device.create_stream(flags, clamped).get());
  return cudaSuccess;
}

/// Before the host asks or waits for a stream: neither for one that is captured, nor for another
/// one while the thread captures.
cudaError_t check_may_ask(const StreamPtr& stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  capture_status(stream, status);
  const cudaError_t error = check_not_captured(stream);
  if (error != cudaSuccess || status != cudaStreamCaptureStatusNone) return error;
  return check_no_capture_forbids_waiting();
}

/// Runs on the stream's thread, and takes in modelled time what it takes.
cudaError_t submit_host_function(const char* name, cudaStream_t handle,
                                 const std::function<void()>& function) {
  return on_stream(name, handle, [&](const StreamPtr& stream, const Firing&) {
    return submit(stream,
                  {"host function", stream->device().index(), -1,
                   [function](const Firing&) {
                     const auto start = std::chrono::steady_clock::now();
                     function();
                     const std::chrono::duration<double> passed =
                         std::chrono::steady_clock::now() - start;
                     return Outcome{passed.count(), 0};
                   }},
                  false);
  });
}

}  // namespace

cudaError_t query(Device& device, const std::vector<CompletionPtr>& ends) {
  for (const CompletionPtr& end : ends) {
    if (!end->done()) return cudaErrorNotReady;
  }
  return wait_all(device, ends);
}

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return on_device("cudaStreamCreate", [&](Device& device, const Firing&) {
    return create_stream(device, stream, cudaStreamDefault, 0);
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return on_device("cudaStreamCreateWithFlags", [&](Device& device, const Firing&) {
    return create_stream(device, stream, flags, 0);
  });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return on_device("cudaStreamCreateWithPriority", [&](Device& device, const Firing&) {
    return create_stream(device, stream, flags, priority);
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return on_stream("cudaStreamDestroy", handle, [](const StreamPtr& stream, const Firing&) {
    return stream->device().destroy_stream(stream.get()) ? cudaSuccess
                                                         : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return on_stream("cudaStreamQuery", handle, [](const StreamPtr& stream, const Firing&) {
    if (const cudaError_t error = check_may_ask(stream); error != cudaSuccess) return error;
    return query(stream->device(), ends_of(stream));
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return on_stream("cudaStreamSynchronize", handle, [](const StreamPtr& stream, const Firing&) {
    if (const cudaError_t error = check_may_ask(stream); error != cudaSuccess) return error;
    return wait_all(stream->device(), ends_of(stream));
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return on_stream("cudaStreamGetFlags", handle, [&](const StreamPtr& stream, const Firing&) {
    *flags = stream->flags();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return on_stream(
      "cudaStreamGetPriority", handle, [&](const StreamPtr& stream, const Firing& firing) {
        *priority = firing.value ? static_cast<int>(*firing.value) : stream->priority();
        return cudaSuccess;
      });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned flags) {
  return on_stream("cudaStreamWaitEvent", handle, [&](const StreamPtr& stream, const Firing&) {
    if ((flags & ~static_cast<unsigned>(cudaEventWaitExternal)) != 0) return cudaErrorInvalidValue;
    CompletionPtr before;
    std::optional<CapturedPoint> captured;
    if (!find_end(event, before, captured)) return cudaErrorInvalidResourceHandle;
    if (const auto answer = capture_wait(stream, captured ? &*captured : nullptr)) return *answer;
    if (!before) return cudaSuccess;  // an event never recorded is complete
    stream->device().enqueue(
        stream, {"cudaStreamWaitEvent", -1, -1, [](const Firing&) { return Outcome{}; }}, {before},
        {});
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  if (function == nullptr) return remember(cudaErrorInvalidValue);
  return submit_host_function("cudaLaunchHostFunc", handle, [=] { function(data); });
}

cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t callback, void* data,
                                  unsigned flags) {
  if (callback == nullptr || flags != 0) return remember(cudaErrorInvalidValue);
  return submit_host_function("cudaStreamAddCallback", handle,
                              [=] { callback(handle, cudaSuccess, data); });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
