#include "tests/simulator/core/context.h"

#include <chrono>
#include <thread>

#include "tests/simulator/core/capture.h"

namespace conformance::sim {

int& current_ordinal() {
  thread_local int ordinal = 0;
  return ordinal;
}

Device* device_at(int ordinal) {
  World& world = World::get();
  if (ordinal < 0 || ordinal >= static_cast<int>(world.visible().size())) return nullptr;
  return &world.device(world.visible()[static_cast<std::size_t>(ordinal)]);
}

void obstruct(const Firing& firing) {
  if (firing.delay_seconds > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(firing.delay_seconds));
  }
  while (firing.hang) std::this_thread::sleep_for(std::chrono::hours(1));
}

int start_driver() {
  static const int answer = [] {
    World& world = World::get();
    const Firing firing = world.faults().at({"cuInit"});
    obstruct(firing);
    if (firing.code) return *firing.code;
    return world.visible().empty() ? static_cast<int>(cudaErrorNoDevice) : 0;
  }();
  return answer;
}

StreamPtr find_stream(cudaStream_t handle) {
  World& world = World::get();
  Device* current = device_at(current_ordinal());
  if (handle == nullptr || handle == cudaStreamLegacy) return current->legacy_stream();
  if (handle == cudaStreamPerThread) {
    // A fault may give all threads the legacy stream.
    const Firing firing = world.faults().at({"cudaStreamPerThread", current->index()});
    return firing.value ? current->legacy_stream() : current->per_thread_stream();
  }
  for (int index = 0; index < world.device_count(); ++index) {
    for (const StreamPtr& stream : world.device(index).streams()) {
      if (reinterpret_cast<cudaStream_t>(stream.get()) == handle) return stream;
    }
  }
  return nullptr;
}

cudaError_t wait_all(Device& device, const std::vector<CompletionPtr>& ends) {
  for (const CompletionPtr& end : ends) {
    end->wait();
    host_clock::observe(end->time());
  }
  return static_cast<cudaError_t>(device.lost());
}

cudaError_t submit(const StreamPtr& stream, Operation operation, const Firing& firing,
                   CompletionPtr* end) {
  Device& device = stream->device();
  if (device.lost() != 0) return static_cast<cudaError_t>(device.lost());
  if (const auto captured = capture_work(stream, operation)) {
    return *captured == cudaSuccess && end != nullptr ? cudaErrorStreamCaptureUnsupported
                                                      : *captured;
  }
  const CompletionPtr queued = device.enqueue(stream, std::move(operation), {}, firing);
  if (end != nullptr) *end = queued;
  return cudaSuccess;
}

cudaError_t submit(const StreamPtr& stream, Operation operation, bool wait) {
  if (wait) {
    const cudaError_t error = check_not_captured(stream);
    if (error != cudaSuccess) return error;
  } else if (const auto captured = capture_work(stream, operation)) {
    return *captured;  // its faults are those of the launch
  }
  const Firing firing =
      World::get().faults().at({operation.call, operation.device, operation.peer, -1});
  if (firing.code) return static_cast<cudaError_t>(*firing.code);
  CompletionPtr end;
  const cudaError_t error = submit(stream, std::move(operation), firing, &end);
  return error == cudaSuccess && wait ? wait_all(stream->device(), {end}) : error;
}

}  // namespace conformance::sim
