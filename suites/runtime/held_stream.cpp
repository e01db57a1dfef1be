#include "suites/runtime/held_stream.h"

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string_view>

namespace conformance::runtime {

struct HeldStream::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool released = false;
  std::chrono::duration<double> held{};

  void hold() {
    constexpr std::chrono::seconds kLimit{10};
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex);
    changed.wait_for(lock, kLimit, [this] { return released; });
    held = std::chrono::steady_clock::now() - start;
  }
};

HeldStream::HeldStream(cudaStream_t stream) : state_(std::make_shared<State>()) {
  // The host function owns a share of the state: it may still be running when this is gone.
  auto share = std::make_unique<std::shared_ptr<State>>(state_);
  const auto hold = [](void* data) {
    const std::unique_ptr<std::shared_ptr<State>> owned(static_cast<std::shared_ptr<State>*>(data));
    (*owned)->hold();
  };
  ensure(CONFORMANCE_CALL(cudaLaunchHostFunc(stream, hold, share.get())));
  (void)share.release();
}

HeldStream::~HeldStream() { release(); }

void HeldStream::release() {
  const std::lock_guard lock(state_->mutex);
  state_->released = true;
  state_->changed.notify_all();
}

std::chrono::duration<double> HeldStream::held_for() const {
  const std::lock_guard lock(state_->mutex);
  return state_->held;
}

bool launches_block() {
  const char* value = std::getenv("CUDA_LAUNCH_BLOCKING");
  return value != nullptr && std::string_view(value) == "1";
}

}  // namespace conformance::runtime
