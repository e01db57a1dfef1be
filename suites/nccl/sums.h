#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "fixtures/nccl_communicator.h"
#include "suites/nccl/participant.h"

namespace conformance::nccl {

/// Sums over all ranks of a communicator, made and verified by those that a clique holds; the other
/// ranks do the same elsewhere.
class Sums {
 public:
  /// Of at most `most` floats; throws StatusError.
  Sums(NcclClique& clique, std::size_t most);

  /// Queues the contributions, and the all-reduce behind them.
  Status launch(std::size_t count);
  Status wait(std::chrono::milliseconds deadline);
  /// Compares every element of the last sum here, and records a finding for each GPU that is wrong;
  /// `how` says how the ranks were started. Yields whether all are right: the test goes on, for the
  /// other ranks wait for this one's next sum. Throws StatusError.
  bool verify(const std::string& how);

 private:
  Participant& part(int index);
  void use(int index) const;

  NcclClique& clique_;
  std::vector<std::unique_ptr<Participant>> parts_;
  Case sum_;
  std::uint64_t launched_ = 0;
};

}  // namespace conformance::nccl
