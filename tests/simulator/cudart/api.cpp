#include "tests/simulator/cudart/api.h"

#include <chrono>
#include <thread>

namespace conformance::sim::cudart {

ThreadState& this_thread() {
  thread_local ThreadState state;
  return state;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) this_thread().last = error;
  return error;
}

void obstruct(const Firing& firing) {
  if (firing.delay_seconds > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(firing.delay_seconds));
  }
  while (firing.hang) std::this_thread::sleep_for(std::chrono::hours(1));
}

cudaError_t start() {
  static const cudaError_t answer = [] {
    World& world = World::get();
    const Firing firing = world.faults().at({"cuInit"});
    obstruct(firing);
    if (firing.code) return static_cast<cudaError_t>(*firing.code);
    // Within a major version any runtime works on any driver of that version.
    if (world.machine().cuda_driver_version / 1000 < CUDART_VERSION / 1000) {
      return cudaErrorInsufficientDriver;
    }
    if (world.visible().empty()) return cudaErrorNoDevice;
    return cudaSuccess;
  }();
  return answer;
}

Device* device_at(int ordinal) {
  World& world = World::get();
  if (ordinal < 0 || ordinal >= static_cast<int>(world.visible().size())) return nullptr;
  return &world.device(world.visible()[static_cast<std::size_t>(ordinal)]);
}

cudaError_t wait_all(Device& device, const std::vector<CompletionPtr>& ends) {
  for (const CompletionPtr& end : ends) {
    end->wait();
    host_clock::observe(end->time());
  }
  return static_cast<cudaError_t>(device.lost());
}

cudaError_t submit(const StreamPtr& stream, Operation operation, bool wait) {
  if (stream->capture) {
    if (wait) {
      stream->capture->invalid = true;
      return cudaErrorStreamCaptureUnsupported;
    }
    stream->capture->nodes.push_back(std::move(operation));
    return cudaSuccess;
  }
  Device& device = stream->device();
  if (device.lost() != 0) return static_cast<cudaError_t>(device.lost());
  const Firing firing =
      World::get().faults().at({operation.call, operation.device, operation.peer, -1});
  if (firing.code) return static_cast<cudaError_t>(*firing.code);
  const CompletionPtr end = device.enqueue(stream, std::move(operation), {}, firing);
  return wait ? wait_all(device, {end}) : cudaSuccess;
}

}  // namespace conformance::sim::cudart
