#pragma once

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures/gpu_test.h"
#include "fixtures/jobs.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

/// Base of tests that share the communicators of a suite, because setting them up takes longer than
/// most of what they do; a test that fails leaves them to none.
class SharedRanksTest : public GpuTest {
 protected:
  /// A rank on each GPU, each with two buffers of `bytes`, which is always the same.
  static Ranks& all_ranks(const CudaInventory& devices, std::size_t bytes) {
    if (!shared()) shared() = std::make_unique<Ranks>(devices, bytes);
    return *shared();
  }

  static void TearDownTestSuite() { shared().reset(); }
  void TearDown() override {
    if (HasFailure()) shared().reset();
    GpuTest::TearDown();
  }

 private:
  static std::unique_ptr<Ranks>& shared() {
    static std::unique_ptr<Ranks> ranks;
    return ranks;
  }
};

/// The ranks of cliques that splits made. To take one away NCCL needs half a second, so all are
/// kept until the end, and then go at once.
class SplitRanks {
 public:
  SplitRanks() = default;
  SplitRanks(const SplitRanks&) = delete;
  SplitRanks& operator=(const SplitRanks&) = delete;
  ~SplitRanks() {
    std::vector<std::jthread> threads;
    threads.reserve(all_.size());
    for (auto& ranks : all_) threads.emplace_back([&ranks] { ranks.reset(); });
  }
  /// Of this clique; a failure is a finding that ends the test.
  Ranks& add(NcclClique&& clique, std::size_t bytes, Memory memory = Memory::cuda) {
    Ranks& ranks = *all_.emplace_back(std::make_unique<Ranks>(std::move(clique), bytes, memory));
    if (!ranks.check_identities()) throw TestEnded();
    return ranks;
  }
  /// Of each clique, and then `work` for each of them on a thread of its own: first work connects
  /// GPUs, which takes longer than all other.
  template <typename Work>
  void add_and_run(std::vector<NcclClique>&& cliques, std::size_t bytes, const Work& work) {
    std::vector<Job> jobs;
    for (NcclClique& clique : cliques) {
      Ranks& ranks = add(std::move(clique), bytes);
      jobs.push_back({ranks.subject(), [&ranks, &work] { work(ranks); }});
    }
    run_all(jobs, status_finding);
  }

 private:
  std::vector<std::unique_ptr<Ranks>> all_;
};

/// Base of what is claimed of collectives over all GPUs.
class Collectives : public SharedRanksTest {
 protected:
  static Ranks& all_ranks(const CudaInventory& devices) {
    return SharedRanksTest::all_ranks(devices, scaled_to(std::size_t{512} << 20, devices));
  }
  /// The size of most cases: enough for every protocol of NCCL.
  static std::size_t usual_bytes(const CudaInventory& devices) {
    return scaled_to(std::size_t{64} << 20, devices) / 32;
  }
};

}  // namespace conformance::nccl
