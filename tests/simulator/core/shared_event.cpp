#include "tests/simulator/core/shared_event.h"

#include <array>
#include <atomic>

namespace conformance::sim {

/// All zero at first.
struct SharedEvent::State {
  std::atomic<std::uint32_t> changes;
  std::atomic<std::uint64_t> records;
  /// Records may end in another order than they began in. One that ended is forgotten when one that
  /// is so many younger has ended: then it counts as done.
  struct End {
    std::atomic<std::uint64_t> number;
    std::atomic<double> time;
  };
  std::array<End, 64> ends;
  End& end(std::uint64_t number) { return ends[number % ends.size()]; }
};

class SharedEvent::RecordEnd : public Completion {
 public:
  RecordEnd(std::shared_ptr<SharedEvent> event, std::uint64_t number)
      : event_(std::move(event)), number_(number) {}
  bool done() const override { return end().number.load() >= number_; }
  void wait() const override {
    for (;;) {
      const std::uint32_t seen = event_->state().changes.load();
      if (done()) return;
      wait_for_change(event_->state().changes, seen);
    }
  }
  double time() const override { return end().time.load(); }

 private:
  State::End& end() const { return event_->state().end(number_); }

  std::shared_ptr<SharedEvent> event_;
  std::uint64_t number_;
};

std::shared_ptr<SharedEvent> SharedEvent::on(std::shared_ptr<SharedMemory> memory) {
  if (!memory || memory->bytes() < sizeof(State)) return nullptr;
  return std::shared_ptr<SharedEvent>(new SharedEvent(std::move(memory)));
}

std::shared_ptr<SharedEvent> SharedEvent::create() {
  return on(SharedMemory::create(sizeof(State)));
}

std::shared_ptr<SharedEvent> SharedEvent::open(const SharedName& name) {
  return on(SharedMemory::open(name));
}

std::uint64_t SharedEvent::latest() const { return state().records.load(); }

std::uint64_t SharedEvent::begin() { return state().records.fetch_add(1) + 1; }

void SharedEvent::end(std::uint64_t number, double time) {
  State::End& end = state().end(number);
  end.time = time;
  end.number = number;
  announce_change(state().changes);
}

CompletionPtr SharedEvent::end_of(std::uint64_t number) {
  return std::make_shared<RecordEnd>(shared_from_this(), number);
}

}  // namespace conformance::sim
