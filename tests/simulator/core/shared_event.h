#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "tests/simulator/core/shared_memory.h"
#include "tests/simulator/core/timeline.h"

namespace conformance::sim {

/// What the processes that use one interprocess event share: which records of it there were, and
/// which of them are done.
class SharedEvent : public std::enable_shared_from_this<SharedEvent> {
 public:
  /// Null if the system refuses.
  static std::shared_ptr<SharedEvent> create();
  /// Null if the process that created it is gone or has destroyed it.
  static std::shared_ptr<SharedEvent> open(const SharedName& name);

  const SharedName& name() const { return memory_->name(); }
  /// The number of the last record, 0 before the first.
  std::uint64_t latest() const;
  /// Begins a record; yields its number.
  std::uint64_t begin();
  /// What the record `number` stands for was done at a modelled time.
  void end(std::uint64_t number, double time);
  /// The end of a record that any process began. If that process ends before, it never comes.
  CompletionPtr end_of(std::uint64_t number);

 private:
  struct State;
  class RecordEnd;
  explicit SharedEvent(std::shared_ptr<SharedMemory> memory) : memory_(std::move(memory)) {}
  static std::shared_ptr<SharedEvent> on(std::shared_ptr<SharedMemory> memory);
  State& state() const { return *reinterpret_cast<State*>(memory_->data()); }

  std::shared_ptr<SharedMemory> memory_;
};

}  // namespace conformance::sim
