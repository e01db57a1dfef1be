#pragma once

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures/gpu_test.h"
#include "fixtures/jobs.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

/// Base of tests that share the communicators of a suite, because to set them up and to take them
/// away takes longer than most of what they do; a test that fails leaves them to none.
class SharedRanksTest : public GpuTest {
 public:
  /// A rank on each GPU, each with two buffers of `bytes`, which is always the same.
  static Ranks& all_ranks(const CudaInventory& devices, std::size_t bytes) {
    if (all() == nullptr) all() = &keep(std::make_unique<Ranks>(devices, bytes));
    return *all();
  }
  /// Ranks of a clique that is up; if one says something else of itself, a finding ends the test.
  static Ranks& add(NcclClique&& clique, std::size_t bytes, Memory memory = Memory::cuda) {
    Ranks& ranks = keep(std::make_unique<Ranks>(std::move(clique), bytes, memory));
    if (!ranks.check_identities()) throw TestEnded();
    return ranks;
  }
  /// Of each clique, and then `work` for each of them on a thread of its own: first work connects
  /// GPUs, which takes longer than all other.
  template <typename Work>
  static void add_and_run(std::vector<NcclClique>&& cliques, std::size_t bytes, const Work& work) {
    std::vector<Job> jobs;
    for (NcclClique& clique : cliques) {
      Ranks& ranks = add(std::move(clique), bytes);
      jobs.push_back({ranks.subject(), [&ranks, &work] { work(ranks); }});
    }
    run_all(jobs, status_finding);
  }

  static void TearDownTestSuite() { end_all(); }

 protected:
  void TearDown() override {
    if (HasFailure()) end_all();
    GpuTest::TearDown();
  }

 private:
  static Ranks& keep(std::unique_ptr<Ranks> ranks) {
    return *kept().emplace_back(std::move(ranks));
  }
  /// All at once: NCCL needs half a second for any of them.
  static void end_all() {
    all() = nullptr;
    {
      std::vector<std::jthread> threads;
      threads.reserve(kept().size());
      for (auto& ranks : kept()) threads.emplace_back([&ranks] { ranks.reset(); });
    }
    kept().clear();
  }
  static std::vector<std::unique_ptr<Ranks>>& kept() {
    static std::vector<std::unique_ptr<Ranks>> ranks;
    return ranks;
  }
  static Ranks*& all() {
    static Ranks* ranks = nullptr;
    return ranks;
  }
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
