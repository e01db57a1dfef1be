#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
namespace {

struct Events {
  std::mutex mutex;
  std::unordered_map<cudaEvent_t, std::unique_ptr<Event>> all;
};
Events& events() {
  static auto* table = new Events;
  return *table;
}

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

/// A function that takes a stream handle; `body` gets the stream.
template <typename Body>
cudaError_t on_stream(const char* name, cudaStream_t handle, Body body) {
  return on_device(name, [&](Device&, const Firing& firing) {
    const StreamPtr stream = find_stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    return body(stream, firing);
  });
}

template <typename Body>
cudaError_t on_event(const char* name, cudaEvent_t handle, Body body) {
  return on_device(name, [&](Device&, const Firing&) {
    cudaError_t result = cudaSuccess;
    if (!with_event(handle, body, result)) return cudaErrorInvalidResourceHandle;
    return result;
  });
}

cudaError_t query(Device& device, const std::vector<CompletionPtr>& ends) {
  for (const CompletionPtr& end : ends) {
    if (!end->done()) return cudaErrorNotReady;
  }
  return wait_all(device, ends);
}

cudaError_t record_event(const StreamPtr& stream, Event& event) {
  if (event.device != stream->device().index()) return cudaErrorInvalidResourceHandle;
  event.recorded = stream->device().enqueue(
      stream, {"cudaEventRecord", -1, -1, [](const Firing&) { return Outcome{}; }}, {}, {});
  return cudaSuccess;
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

bool with_event(cudaEvent_t handle, const std::function<cudaError_t(Event&)>& use,
                cudaError_t& result) {
  const std::lock_guard lock(events().mutex);
  const auto found = events().all.find(handle);
  if (found == events().all.end()) return false;
  result = use(*found->second);
  return true;
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
    return query(stream->device(), ends_of(stream));
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return on_stream("cudaStreamSynchronize", handle, [](const StreamPtr& stream, const Firing&) {
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
  return on_stream("cudaStreamGetPriority", handle, [&](const StreamPtr& stream, const Firing&) {
    *priority = stream->priority();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned flags) {
  return on_stream("cudaStreamWaitEvent", handle, [&](const StreamPtr& stream, const Firing&) {
    if ((flags & ~static_cast<unsigned>(cudaEventWaitExternal)) != 0) return cudaErrorInvalidValue;
    CompletionPtr before;
    cudaError_t result = cudaSuccess;
    const bool known = with_event(
        event,
        [&](Event& found) {
          before = found.recorded;
          return cudaSuccess;
        },
        result);
    if (!known) return cudaErrorInvalidResourceHandle;
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

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return on_device("cudaEventCreate", [&](Device& device, const Firing&) {
    constexpr unsigned kKnown =
        cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
    if (event == nullptr || (flags & ~kKnown) != 0 ||
        ((flags & cudaEventInterprocess) != 0 && (flags & cudaEventDisableTiming) == 0)) {
      return cudaErrorInvalidValue;
    }
    auto made = std::make_unique<Event>();
    made->device = device.index();
    made->flags = flags;
    *event = reinterpret_cast<cudaEvent_t>(made.get());
    const std::lock_guard lock(events().mutex);
    events().all[*event] = std::move(made);
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return on_device("cudaEventDestroy", [&](Device&, const Firing&) {
    const std::lock_guard lock(events().mutex);
    return events().all.erase(event) == 1 ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  return on_stream("cudaEventRecord", handle, [&](const StreamPtr& stream, const Firing&) {
    cudaError_t result = cudaSuccess;
    if (!with_event(
            event, [&](Event& found) { return record_event(stream, found); }, result)) {
      return cudaErrorInvalidResourceHandle;
    }
    return result;
  });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags) {
  if ((flags & ~static_cast<unsigned>(cudaEventRecordExternal)) != 0) {
    return remember(cudaErrorInvalidValue);
  }
  return cudaEventRecord(event, handle);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return on_event("cudaEventQuery", event, [](Event& found) {
    const CompletionPtr end = found.recorded;
    if (!end) return cudaSuccess;
    return query(World::get().device(found.device), {end});
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  CompletionPtr end;
  int device_index = 0;
  const cudaError_t known = on_event("cudaEventSynchronize", event, [&](Event& found) {
    end = found.recorded;
    device_index = found.device;
    return cudaSuccess;
  });
  if (known != cudaSuccess || !end) return known;
  return remember(wait_all(World::get().device(device_index), {end}));
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start_event,
                                 cudaEvent_t end_event) {
  return on_device("cudaEventElapsedTime", [&](Device&, const Firing&) {
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    double times[2] = {0, 0};
    int devices[2] = {0, 0};
    const cudaEvent_t handles[2] = {start_event, end_event};
    bool ready = true;
    for (int i = 0; i < 2; ++i) {
      cudaError_t result = cudaSuccess;
      const bool known = with_event(
          handles[i],
          [&](Event& event) {
            devices[i] = event.device;
            if (!event.recorded || (event.flags & cudaEventDisableTiming) != 0) {
              return cudaErrorInvalidResourceHandle;
            }
            ready = ready && event.recorded->done();
            if (event.recorded->done()) times[i] = event.recorded->time();
            return cudaSuccess;
          },
          result);
      if (!known) return cudaErrorInvalidResourceHandle;
      if (result != cudaSuccess) return result;
    }
    if (devices[0] != devices[1]) return cudaErrorInvalidResourceHandle;
    if (!ready) return cudaErrorNotReady;
    *milliseconds = static_cast<float>((times[1] - times[0]) * 1e3);
    return cudaSuccess;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
