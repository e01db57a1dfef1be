#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fixtures/cuda_inventory.h"
#include "fixtures/cuda_memory.h"
#include "fixtures/cuda_stream.h"
#include "suites/nccl/collectives.h"

namespace conformance::nccl {

/// What a check found, of which case.
struct Checked {
  Case what;
  kernels::CollectiveFaults faults;
  std::uint64_t elements;  ///< of the result, all of which were compared
  bool good() const { return faults.result.count + faults.input.count + faults.outside.count == 0; }
};

/// Who gives a rank its memory.
enum class Memory {
  cuda,  ///< cudaMalloc
  nccl   ///< ncclMemAlloc
};

/// One rank's memory, and its part in collectives. The other ranks may be anywhere; what they
/// contribute, and what they must get, is known from the case alone. The rank's GPU must be current
/// in every call. Work is queued on the stream, which must outlive this; nothing here waits, but
/// for take(). Throws StatusError.
class Participant {
 public:
  /// As many checks may be queued before their results are taken.
  static constexpr std::size_t kMostChecks = 64;

  /// Of each buffer `bytes` are a case's to use.
  Participant(int rank, int ranks, std::size_t bytes, const Stream& stream,
              Memory memory = Memory::cuda);

  /// The bytes that a case takes of each buffer, from Case::place on.
  static std::size_t footprint(const Case& what, int rank, int ranks);

  /// The greatest count of a case, otherwise like `what`, that fits buffers of `bytes`.
  static std::size_t greatest_count(const Case& what, std::size_t bytes, int ranks);

  /// Puts this rank's contributions where the case has them, and poison around its result.
  void prepare(const Case& what);
  /// Makes the operation that the case reduces with, for those that belong to a communicator; the
  /// communicator must not be in progress.
  ncclResult_t make_operation(const Case& what, ncclComm_t communicator);
  /// The rank's calls. Within a group if other ranks' come from the same thread.
  ncclResult_t launch(const Case& what, ncclComm_t communicator);
  ncclResult_t destroy_operation(ncclComm_t communicator);
  /// Compares the result with what it must be.
  void check(const Case& what);
  /// Lets a communicator know both buffers, and no longer.
  ncclResult_t register_memory(ncclComm_t communicator);
  ncclResult_t deregister_memory(ncclComm_t communicator);
  /// Makes windows of both buffers, as all ranks do in one group, and takes them away again. The
  /// library must have windows, and the memory be NCCL's.
  ncclResult_t register_windows(ncclComm_t communicator);
  ncclResult_t deregister_windows(ncclComm_t communicator);
  // The memory itself, for other uses; no case may be under way.
  std::byte* input() const { return input_.get(); }
  std::byte* output() const { return output_.get(); }
  std::size_t bytes() const { return bytes_; }
  /// Where the case has its result.
  const std::byte* result(const Case& what) const { return memory(what).receive; }
  /// Checks whose results were not taken yet.
  std::size_t checks() const { return queued_.size(); }
  /// Their results, once the stream is empty. Waits for a copy of the results only.
  std::vector<Checked> take();

 private:
  using Bytes = std::unique_ptr<std::byte, void (*)(std::byte*)>;
  static Bytes allocate(Memory memory, std::size_t bytes);
  struct Places {
    std::byte* send;
    std::byte* receive;
    kernels::Surroundings around;  ///< of what is received
  };
  Places memory(const Case& what) const;

  int rank_, ranks_;
  std::size_t bytes_;
  const Stream* stream_;
  Bytes input_, output_;
  DeviceBuffer<kernels::CollectiveFaults> faults_;
  PinnedBuffer<kernels::CollectiveFaults> found_;
  DeviceBuffer<unsigned long long> scalar_;
  std::vector<Case> queued_;
  std::vector<void*> registrations_;
  std::array<void*, 2> windows_{};        ///< those of input and output, null where NCCL made none
  std::optional<ncclRedOp_t> operation_;  ///< one that belongs to a communicator
};

}  // namespace conformance::nccl
