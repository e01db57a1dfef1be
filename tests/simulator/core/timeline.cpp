#include "tests/simulator/core/timeline.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <cuda_runtime_api.h>

#include "tests/simulator/core/device.h"

namespace conformance::sim {
namespace {

std::atomic<double> latest{0};  // the newest time that any host thread has learnt

struct HostClock {
  double seconds = latest.load();  // a new thread was started by someone who knew that much
};
thread_local HostClock clock_of_thread;
thread_local double ready_time_of_thread = 0;

}  // namespace

double host_clock::now() { return clock_of_thread.seconds; }

void host_clock::observe(double seconds) {
  clock_of_thread.seconds = std::max(clock_of_thread.seconds, seconds);
  double seen = latest.load();
  while (seen < seconds && !latest.compare_exchange_weak(seen, seconds)) {
  }
}

double Stream::ready_time() { return ready_time_of_thread; }

bool Stream::blocking() const { return (flags_ & cudaStreamNonBlocking) == 0; }

CompletionPtr Stream::submit(Operation operation, std::vector<CompletionPtr> after,
                             const Firing& firing) {
  auto completion = std::make_shared<Completion>();
  const std::lock_guard lock(mutex_);
  queue_.push_back({std::move(operation), std::move(after), firing, host_clock::now(), completion});
  last_ = completion;
  if (!running_) {
    running_ = true;
    // The thread keeps the stream alive until its queue is empty, as cudaStreamDestroy demands.
    std::thread([self = shared_from_this()] { self->run(); }).detach();
  }
  changed_.notify_one();
  return completion;
}

CompletionPtr Stream::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

void Stream::run() {
  // A thread that has nothing to do ends soon: most streams are used in bursts.
  constexpr std::chrono::milliseconds kLinger{20};
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kLinger, [&] { return !queue_.empty(); })) {
      running_ = false;
      return;
    }
    Item item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    execute(item);
  }
}

void Stream::execute(Item& item) {
  double start = std::max(time_, item.submitted);
  for (const CompletionPtr& before : item.after) {
    before->wait();
    start = std::max(start, before->time());
  }
  if (item.firing.delay_seconds > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(item.firing.delay_seconds));
  }
  while (item.firing.hang) std::this_thread::sleep_for(std::chrono::hours(1));
  Outcome outcome;
  if (device_.lost() != 0) {
    outcome.error = device_.lost();
  } else if (item.firing.fail) {
    outcome.error = *item.firing.fail;
  } else {
    ready_time_of_thread = start;
    device_.begin_work();
    outcome = item.operation.work(item.firing);
    device_.end_work();
  }
  if (outcome.error != 0) device_.lose(outcome.error);
  time_ = std::max(start, outcome.not_before) + outcome.seconds * item.firing.slow;
  // What the work refers to must be gone before anyone can see that it is done.
  item.operation = {};
  item.completion->complete(time_, outcome.error);
}

}  // namespace conformance::sim
