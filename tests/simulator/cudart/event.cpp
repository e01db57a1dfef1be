#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <unistd.h>

#include "tests/simulator/core/ipc.h"
#include "tests/simulator/core/shared_event.h"
#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {
namespace {

struct Event {
  int device = 0;
  unsigned flags = 0;
  CompletionPtr recorded;
  std::optional<CapturedPoint> captured;  ///< what it was last recorded in, if that was a capture
  /// Of an event of several processes; `recorded` is then the end of its record `number`.
  std::shared_ptr<SharedEvent> shared;
  std::uint64_t number = 0;
  bool imported = false;

  CompletionPtr end() {
    if (shared && shared->latest() != number) {
      number = shared->latest();
      recorded = shared->end_of(number);
    }
    return recorded;
  }
};

struct Events {
  std::mutex mutex;
  std::unordered_map<cudaEvent_t, std::unique_ptr<Event>> all;
};
Events& events() {
  static auto* table = new Events;
  return *table;
}

cudaEvent_t keep(Event event) {
  auto made = std::make_unique<Event>(std::move(event));
  const auto handle = reinterpret_cast<cudaEvent_t>(made.get());
  const std::lock_guard lock(events().mutex);
  events().all[handle] = std::move(made);
  return handle;
}

/// Lets `use` have the event while the table is locked; yields its answer.
template <typename Use>
cudaError_t with_event(cudaEvent_t handle, Use use) {
  const std::lock_guard lock(events().mutex);
  const auto found = events().all.find(handle);
  return found == events().all.end() ? cudaErrorInvalidResourceHandle : use(*found->second);
}

cudaError_t record(const StreamPtr& stream, Event& event) {
  if (event.device != stream->device().index()) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t error = capture_record(stream, event.captured); error != cudaSuccess) {
    return error;
  }
  if (event.captured) return cudaSuccess;
  event.number = event.shared ? event.shared->begin() : 0;
  event.recorded =
      stream->device().enqueue(stream,
                               {"cudaEventRecord", -1, -1,
                                [shared = event.shared, number = event.number](const Firing&) {
                                  if (shared) shared->end(number, Stream::ready_time());
                                  return Outcome{};
                                }},
                               {}, {});
  return cudaSuccess;
}

}  // namespace

bool find_end(cudaEvent_t handle, CompletionPtr& end, std::optional<CapturedPoint>& captured) {
  return with_event(handle, [&](Event& event) {
           end = event.end();
           captured = event.captured;
           return cudaSuccess;
         }) == cudaSuccess;
}

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return on_device("cudaEventCreate", [&](Device& device, const Firing&) {
    constexpr unsigned kKnown =
        cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
    if (event == nullptr || (flags & ~kKnown) != 0 ||
        ((flags & cudaEventInterprocess) != 0 && (flags & cudaEventDisableTiming) == 0)) {
      return cudaErrorInvalidValue;
    }
    Event made;
    made.device = device.index();
    made.flags = flags;
    if ((flags & cudaEventInterprocess) != 0) {
      made.shared = SharedEvent::create();
      if (!made.shared) return cudaErrorMemoryAllocation;
    }
    *event = keep(std::move(made));
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
    return with_event(event, [&](Event& found) { return record(stream, found); });
  });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags) {
  if ((flags & ~static_cast<unsigned>(cudaEventRecordExternal)) != 0) {
    return remember(cudaErrorInvalidValue);
  }
  return cudaEventRecord(event, handle);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return on_device("cudaEventQuery", [&](Device&, const Firing&) {
    return with_event(event, [](Event& found) {
      if (found.captured) return check_not_captured(*found.captured);
      const CompletionPtr end = found.end();
      return end ? query(World::get().device(found.device), {end}) : cudaSuccess;
    });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  CompletionPtr end;
  int device_index = 0;
  const cudaError_t known = on_device("cudaEventSynchronize", [&](Device&, const Firing&) {
    return with_event(event, [&](Event& found) {
      if (found.captured) return check_not_captured(*found.captured);
      end = found.end();
      device_index = found.device;
      return cudaSuccess;
    });
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
      const cudaError_t result = with_event(handles[i], [&](Event& event) {
        if (event.captured) return check_not_captured(*event.captured);
        devices[i] = event.device;
        if (!event.recorded || (event.flags & cudaEventDisableTiming) != 0) {
          return cudaErrorInvalidResourceHandle;
        }
        ready = ready && event.recorded->done();
        if (event.recorded->done()) times[i] = event.recorded->time();
        return cudaSuccess;
      });
      if (result != cudaSuccess) return result;
    }
    if (devices[0] != devices[1]) return cudaErrorInvalidResourceHandle;
    if (!ready) return cudaErrorNotReady;
    *milliseconds = static_cast<float>((times[1] - times[0]) * 1e3);
    return cudaSuccess;
  });
}

cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t* handle, cudaEvent_t event) {
  return on_device("cudaIpcGetEventHandle", [&](Device&, const Firing&) {
    if (handle == nullptr) return cudaErrorInvalidValue;
    return with_event(event, [&](Event& found) {
      if (!found.shared || found.imported) return cudaErrorInvalidResourceHandle;
      write_handle(HandleKind::event, EventExport{found.shared->name()}, handle->reserved);
      return cudaSuccess;
    });
  });
}

cudaError_t cudaIpcOpenEventHandle(cudaEvent_t* event, cudaIpcEventHandle_t handle) {
  return on_device("cudaIpcOpenEventHandle", [&](Device& device, const Firing&) {
    const auto exported = read_handle<EventExport>(HandleKind::event, handle.reserved);
    if (event == nullptr || !exported) return cudaErrorInvalidValue;
    Event opened;
    opened.device = device.index();
    opened.flags = cudaEventDisableTiming | cudaEventInterprocess;
    opened.imported = true;
    opened.shared = SharedEvent::open(exported->event);
    if (!opened.shared) return cudaErrorMapBufferObjectFailed;
    if (exported->event.process == ::getpid()) return cudaErrorDeviceUninitialized;
    *event = keep(std::move(opened));
    return cudaSuccess;
  });
}

}  // extern "C"
}  // namespace conformance::sim::cudart
