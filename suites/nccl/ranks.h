#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/cuda_result.h"
#include "fixtures/nccl_communicator.h"
#include "fixtures/test.h"
#include "kernels/mismatch.h"

namespace conformance::nccl {

/// NCCL looks at the whole machine while it sets up; the other waits are for work of milliseconds.
inline constexpr std::chrono::seconds kSetUpDeadline{60};

/// The communicators of a test and, for each rank, buffers of `most` elements.
class Ranks {
 public:
  /// Ends the test with a finding if the communicators do not come up.
  Ranks(const CudaInventory& devices, std::size_t most);

  NcclClique& clique() { return clique_; }
  int size() const { return clique_.size(); }
  Subject subject() const;

  /// Queues, for each rank: its contributions into the input, poison into the rest of the buffers.
  void prepare(std::size_t count, bool in_place);
  /// Launches one all-reduce on every rank.
  void all_reduce(std::size_t count, bool in_place);
  /// Waits for what was launched. At the deadline the communicators are given up, the finding
  /// names the ranks, and the process ends.
  void wait(std::size_t count);
  /// Compares every element of every rank, and what lies behind the last one; fails the test and
  /// ends it for the first rank that is wrong.
  void verify(std::size_t count, bool in_place);

 private:
  struct Buffers {
    DeviceBuffer<float> input, output;
    std::unique_ptr<DeviceResult<kernels::Mismatch>> sums, inputs, guards;
  };
  void use(int rank) const;
  Subject rank_subject(int rank) const;
  float* source(int rank, bool in_place) const;
  /// Ends the test, and at a deadline the process, unless `status` is success.
  void demand(const Status& status, std::string_view what);

  NcclClique clique_;
  std::vector<Buffers> buffers_;
};

/// What a failed call or wait of a clique stands for; `what` was being done.
Finding nccl_finding(const Status& status, const NcclClique& clique, const Subject& subject,
                     std::string_view what);

/// "NCCL_DEBUG=INFO NCCL_P2P_DISABLE=1", or "none".
std::string nccl_environment();

/// The count of floats that a test of `wanted` bytes may use on the smallest of the GPUs.
std::size_t scaled_count(std::size_t wanted, const CudaInventory& devices);

}  // namespace conformance::nccl
