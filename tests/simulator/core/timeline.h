#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/simulator/core/fault.h"

namespace conformance::sim {

/// Modelled time, in seconds. Each host thread has a clock of its own, which moves on when the
/// thread learns that something is done; work starts no earlier than the clock of the thread that
/// submitted it. So an order that the program enforces holds in modelled time, and threads that do
/// not wait for each other do not disturb each other's figures.
namespace host_clock {
double now();
void observe(double seconds);
}  // namespace host_clock

/// The end of an operation: when, in modelled time, and with which error.
class Completion {
 public:
  virtual ~Completion() = default;
  virtual bool done() const { return done_.load(std::memory_order_acquire); }
  virtual void wait() const { done_.wait(false, std::memory_order_acquire); }
  virtual double time() const { return time_; }
  int error() const { return error_; }
  void complete(double time, int error) {
    time_ = time;
    error_ = error;
    done_.store(true, std::memory_order_release);
    done_.notify_all();
  }

 private:
  std::atomic<bool> done_{false};
  double time_ = 0;
  int error_ = 0;
};
using CompletionPtr = std::shared_ptr<Completion>;

/// What became of an operation.
struct Outcome {
  double seconds = 0;     ///< modelled duration
  int error = 0;          ///< a cudaError_t that the context is lost to, or 0
  double not_before = 0;  ///< when it began, if that was after the stream was ready for it
};

/// One piece of work, as a stream queues it.
struct Operation {
  std::string call;
  int device = -1, peer = -1;
  /// Does the work; it gets the faults that concern it.
  std::function<Outcome(const Firing&)> work;
};

class Device;

/// A CUDA stream: a queue with a thread of its own.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(Device& device, unsigned flags, int priority)
      : device_(device), flags_(flags), priority_(priority) {}

  /// Queues the operation after what is queued already and after `after`.
  CompletionPtr submit(Operation operation, std::vector<CompletionPtr> after, const Firing& firing);
  /// The end of the last operation that was queued; null if there was none.
  CompletionPtr last() const;
  Device& device() const { return device_; }
  unsigned flags() const { return flags_; }
  int priority() const { return priority_; }
  bool blocking() const;
  /// Within an operation's work: when the stream was ready for it, in modelled time.
  static double ready_time();

 private:
  struct Item {
    Operation operation;
    std::vector<CompletionPtr> after;
    Firing firing;
    double submitted = 0;
    CompletionPtr completion;
  };
  void run();
  void execute(Item& item);

  Device& device_;
  const unsigned flags_;
  const int priority_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;
  CompletionPtr last_;
  bool running_ = false;
  double time_ = 0;  ///< of the worker only: when the stream's last operation ended
};
using StreamPtr = std::shared_ptr<Stream>;

}  // namespace conformance::sim
