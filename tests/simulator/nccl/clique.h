#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nccl.h>

#include "tests/simulator/core/device.h"
#include "tests/simulator/core/shared_memory.h"
#include "tests/simulator/nccl/reduction.h"

namespace conformance::sim::nccl {

/// One rank's part in a collective that every rank of a communicator takes part in.
struct Collective {
  enum class Kind { all_reduce, reduce, broadcast, reduce_scatter, all_gather };
  Kind kind = Kind::all_reduce;
  const void* input = nullptr;
  void* output = nullptr;
  std::size_t count = 0;  ///< that of NCCL's call
  ncclDataType_t type = ncclFloat32;
  ncclRedOp_t operation = ncclSum;      ///< a built-in one
  std::optional<std::uint64_t> scalar;  ///< what a sum multiplies the rank's contribution with
  int root = 0;
};

/// What a rank sends to others, or receives from them, at the same time.
struct Message {
  int peer = 0;
  void* data = nullptr;  ///< only read if sent
  std::size_t bytes = 0;
  std::size_t element_bytes = 1;
  Firing firing;  ///< of what is received
};

/// The most ranks that a communicator can have.
inline constexpr int kMostRanks = 32;

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
  /// What NCCL writes of the way to the next rank; all must have joined.
  std::string way_to_next() const;

  // Called in stream order.

  /// Takes part, once all others do. The rank that comes last does the work for all.
  Outcome run(const Collective& call, const Firing& firing);
  /// Sends and receives; the receiver does the work.
  Outcome exchange(const std::vector<Message>& sends, const std::vector<Message>& receives);

  /// Says which color and key this rank has in the next split of the communicator, in which
  /// `members` of its ranks take part. False if the ranks are not done with the one before.
  bool begin_split(int color, int key, int members);
  /// This rank's place in the new communicator, once all that take part have said theirs; null
  /// without a color. Nothing before that.
  std::optional<std::shared_ptr<Membership>> end_split();
  /// Ends what waits in run(), exchange() and wait_for_all() for good. Once it returns, nothing
  /// touches this rank's buffers.
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
  bool take_part(Lock& lock, const Collective& call, Outcome& outcome);
  bool do_work(const Meeting& meeting);
  bool pass_messages(Lock& lock, const std::vector<Message>& sends,
                     const std::vector<Message>& receives, Outcome& outcome);
  char* local(int rank, const char* address);
  double slowest_hop() const;
  double rate_to(int peer) const;
  static std::shared_ptr<SharedMemory> create_meeting_place();

  const std::shared_ptr<SharedMemory> memory_;
  const int rank_, size_, device_;
  std::vector<std::shared_ptr<SharedMemory>> gpus_;  ///< of ranks in other processes, once needed
  bool aborted_ = false;
  int running_ = 0;                ///< threads in run() or exchange()
  std::uint64_t collectives_ = 0;  ///< that this rank took part in
};

}  // namespace conformance::sim::nccl
