#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "fixtures/cuda_result.h"
#include "fixtures/nccl_communicator.h"
#include "kernels/mismatch.h"

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
  /// Compares every element here, and records a finding for each GPU that is wrong; `how` says how
  /// the ranks were started. Yields whether all are right: the test goes on, for the other ranks
  /// wait for this one's next sum. Throws StatusError.
  bool verify(std::size_t count, const std::string& how);

 private:
  struct Part {
    DeviceBuffer<float> input, output;
    std::unique_ptr<DeviceResult<kernels::Mismatch>> mismatch;
  };
  void use(int index) const;

  NcclClique& clique_;
  std::vector<Part> parts_;
};

}  // namespace conformance::nccl
