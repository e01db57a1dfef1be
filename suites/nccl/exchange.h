#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fixtures/nccl_communicator.h"
#include "suites/nccl/participant.h"

namespace conformance::nccl {

/// Collectives of the ranks of a communicator, made and verified by those that a clique holds; the
/// other ranks do the same elsewhere.
class Exchange {
 public:
  /// Each rank has two buffers of `bytes`; throws StatusError.
  Exchange(NcclClique& clique, std::size_t bytes);

  /// Queues the contributions, and the collective behind them. All ranks launch the same cases in
  /// the same order.
  Status launch(Case what);
  Status wait(std::chrono::milliseconds deadline);
  /// Compares every element here of what was launched last, and records a finding for each GPU
  /// that is wrong; `how` says how the ranks were started. Yields whether all are right: the test
  /// goes on, for the other ranks wait for this one's next part. Throws StatusError.
  bool verify(const std::string& how);

 private:
  Participant& part(int index);
  void use(int index) const;

  NcclClique& clique_;
  std::vector<std::unique_ptr<Participant>> parts_;
  Case last_;
  std::uint64_t launched_ = 0;
};

}  // namespace conformance::nccl
