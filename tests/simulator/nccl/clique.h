#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nccl.h>

#include "tests/simulator/core/device.h"
#include "tests/simulator/core/shared_memory.h"

namespace conformance::sim::nccl {

/// A collective that every rank of a communicator takes part in.
struct AllReduce {
  std::uint64_t number = 0;  ///< counts the communicator's collectives from 1
  const void* input = nullptr;
  void* output = nullptr;
  std::size_t count = 0;
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t operation = ncclSum;
};

/// The most ranks that a communicator can have.
inline constexpr int kMostRanks = 32;

/// Bytes of an element, 0 if the all-reduce does not know the type.
std::size_t bytes_of(ncclDataType_t type);

/// A new meeting place for the ranks of a communicator, reached by its ID from any process of the
/// host. The process that made it holds it until all ranks have joined.
ncclResult_t make_unique_id(ncclUniqueId& id);

/// One rank's place among the ranks of a communicator, which may be threads of one process or
/// processes. What they share is in memory that every one of them maps. A rank whose process dies
/// leaves the others waiting, as with NCCL, until they abort.
class Membership {
 public:
  /// Null if the process that made the ID is gone.
  static std::shared_ptr<Membership> open(const SharedName& meeting_place, int rank, int size,
                                          const Device& device);

  int rank() const { return rank_; }
  int size() const { return size_; }
  int device() const { return device_; }

  /// Tells the other ranks that this one is here. An error, with its message, is that of the whole
  /// communicator.
  ncclResult_t join(std::string& message);
  /// The communicator has failed.
  ncclResult_t fail(ncclResult_t result, const std::string& message);
  /// Waits until all ranks have joined, one has failed, or this one aborts.
  void wait_for_all();
  /// ncclInProgress until all ranks have joined; `message` gets that of an error.
  ncclResult_t state(std::string& message);
  /// Whether ranks that have joined are in more than one process.
  bool spans_processes() const;
  /// Whether every two of the ranks are joined by NVLink; all must have joined.
  bool has_nvlink() const;
  /// Takes part, once all others do; called in stream order. The rank that comes last does the work
  /// for all.
  Outcome run(const AllReduce& call, const Firing& firing);
  /// Ends what waits in run() and wait_for_all() for good. Once it returns, nothing touches this
  /// rank's buffers.
  void abort();

 private:
  struct Shared;
  struct Meeting;
  class Lock;
  friend ncclResult_t make_unique_id(ncclUniqueId& id);

  Membership(std::shared_ptr<SharedMemory> memory, int rank, int size, const Device& device);
  static bool all_joined(const SharedMemory& memory);
  Shared& shared() const { return *reinterpret_cast<Shared*>(memory_->data()); }
  template <typename Condition>
  bool wait(Lock& lock, Condition condition);
  bool take_part(Lock& lock, const AllReduce& call, Outcome& outcome);
  bool do_work(const Meeting& meeting);
  char* local(int rank, const char* address);
  double seconds_for(std::size_t bytes);

  const std::shared_ptr<SharedMemory> memory_;
  const int rank_, size_, device_;
  std::vector<std::shared_ptr<SharedMemory>> gpus_;  ///< of ranks in other processes, once needed
  bool aborted_ = false;
  int running_ = 0;  ///< threads in run()
};

}  // namespace conformance::sim::nccl
