#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/nccl_communicator.h"
#include "fixtures/test.h"
#include "suites/nccl/participant.h"

namespace conformance::nccl {

/// NCCL looks at the whole machine while it sets up; the other waits are for work of milliseconds.
inline constexpr std::chrono::seconds kSetUpDeadline{60};

/// The communicators of a test and the memory of their ranks. A failure is a finding that ends the
/// test; at a deadline the communicators are given up, the finding names the ranks and what they
/// were at, and the process ends.
class Ranks {
 public:
  /// One rank on each GPU; each of its two buffers has `bytes` bytes.
  Ranks(const CudaInventory& devices, std::size_t bytes);
  /// Takes a clique that is up.
  Ranks(NcclClique&& clique, std::size_t bytes, Memory memory = Memory::cuda);

  NcclClique& clique() { return clique_; }
  /// Ranks of the communicator.
  int count() const { return clique_.ranks(); }
  Subject subject() const;
  Subject rank_subject(int local) const { return clique_.device(local).subject(); }

  /// The case with data of its own.
  Case fresh(Case what);

  // One case in steps, for all local ranks. Only launch() waits, for NCCL to have queued the work.

  /// Queues the ranks' contributions, and poison around what they are to receive.
  void prepare(const Case& what);
  /// Launches one or several cases as one group.
  void launch(std::span<const Case> cases);
  void launch(const Case& what) { launch({&what, 1}); }
  /// Queues the comparison of every element of every rank, and of what lies around.
  void check(const Case& what);
  /// Waits until everything that was queued is done; what it is, for the finding.
  void wait(std::string_view what);
  /// Waits and judges what was checked; the first finding for each rank ends the test.
  void finish();

  /// All steps but finish(), with fresh data, for one or several cases in one group; finish() as
  /// often as checks' results need room. Several get a place each.
  void run_together(std::vector<Case> cases);
  void run(const Case& what) { run_together({what}); }

  /// Makes of each color a clique of its own; see NcclClique::split.
  std::vector<NcclClique> split(std::span<const int> colors, std::span<const int> keys);
  /// Makes a clique of all ranks but one; see NcclClique::leave_out.
  NcclClique leave_out(int left_out, Without how);
  /// Whether every rank says of itself what it must; otherwise a finding, and the test goes on.
  bool check_identities();
  /// For each local rank, its GPU current.
  void for_each(const std::function<void(Participant&, int local)>& work);

  /// Calls of all local ranks, its GPU current in each, as one group; waits until NCCL has queued
  /// them all.
  void issue(const std::function<ncclResult_t(Participant&, ncclComm_t)>& call,
             std::string_view what);

  /// Ends the test with a finding, and at a deadline the process, unless `status` is success.
  void demand(const Status& status, std::string_view what);

 private:
  void add_participants(std::size_t bytes, Memory memory);
  void use(int local) const;
  NcclClique clique_;
  std::vector<std::unique_ptr<Participant>> participants_;
  std::string last_;  ///< what was queued last
  std::uint64_t runs_ = 0;
};

/// What a failed call or wait of a clique stands for; `what` was being done.
Finding nccl_finding(const Status& status, const NcclClique& clique, const Subject& subject,
                     std::string_view what);
/// What is wrong with a rank's memory after a case; empty if nothing is.
std::vector<Finding> judge(const Checked& checked, int rank, int ranks, const Subject& subject);

/// "NCCL_DEBUG=INFO NCCL_P2P_DISABLE=1", or "none".
std::string nccl_environment();

/// The size of a test that would like to have `wanted` bytes on the smallest of the GPUs.
std::size_t scaled_to(std::size_t wanted, const CudaInventory& devices);

}  // namespace conformance::nccl
