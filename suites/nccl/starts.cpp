// The ways to start the ranks of a communicator, and what becomes of them when one of them fails.

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "suites/nccl/early_start.h"
#include "suites/nccl/exchange.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/rank_record.h"
#include "suites/nccl/ranks.h"
#include "suites/nccl/steps.h"

namespace conformance::nccl {
namespace {

using Clock = std::chrono::steady_clock;

class Starts : public GpuTest {
 public:
  /// Communicators of this process that have done their work.
  static std::list<NcclClique>& cliques() {
    static std::list<NcclClique> all;
    return all;
  }
  static void TearDownTestSuite() { end_all(cliques()); }
};

/// Of a process that does all steps, set-up included.
constexpr std::chrono::seconds kProcessDeadline{120};
/// What other ranks' processes get once one of them has failed.
constexpr std::chrono::seconds kGrace{10};

constexpr std::array<std::string_view, 2> kAlgorithms{"Ring", "Tree"};
constexpr std::array<std::string_view, 3> kProtocols{"LL", "LL128", "Simple"};

/// Floats of the largest sum.
std::size_t most_floats(const CudaInventory& devices) {
  const std::size_t bytes = scaled_to(2 * sizeof(float) * kMostFloats, devices);
  return std::min(kMostFloats, Participant::greatest_count({}, bytes, 1));
}

/// What one rank's process did.
struct RankProcess {
  ChildResult result;
  std::vector<StepRecord> steps;
};

/// The variables of a rank's process beside those that it inherits. NCCL is asked to say which
/// variables it obeys, unless somebody has asked it for something else.
std::map<std::string, std::optional<std::string>> variables(const CudaDevice& device, bool alone) {
  std::map<std::string, std::optional<std::string>> set;
  if (std::getenv("NCCL_DEBUG") == nullptr) {
    set["NCCL_DEBUG"] = "INFO";
    if (std::getenv("NCCL_DEBUG_SUBSYS") == nullptr) set["NCCL_DEBUG_SUBSYS"] = "ENV";
  }
  // As launchers of jobs do, and so that a process does not start all GPUs.
  if (!alone) set["CUDA_VISIBLE_DEVICES"] = device.uuid;
  return set;
}

/// A process for each GPU, which go on while tests do something else. Together they do all steps of
/// all tests, one after the other, because what they take is their start.
class Processes {
 public:
  static Processes& of(const CudaInventory& devices) {
    static Processes once(devices);
    return once;
  }
  /// Until all have ended; throws StatusError if they could not be begun.
  void wait() {
    threads_.clear();
    ensure(failed_);
  }

  const std::vector<Step>& steps() const { return steps_; }
  const RankProcess& process(int rank) const { return processes_[static_cast<std::size_t>(rank)]; }
  const StepRecord& record(int rank, std::size_t step) const { return process(rank).steps[step]; }
  /// Whether a rank came to the end of a step, and if it was its last one, to that of its process.
  bool came_through(int rank, std::size_t step) const {
    bool last = true;
    for (std::size_t i = step + 1; i < steps_.size(); ++i) last = last && rank >= steps_[i].ranks;
    const bool exited = process(rank).result.end == ChildResult::End::exited;
    return record(rank, step).ended && (exited || !last);
  }

 private:
  explicit Processes(CudaInventory devices) : devices_(std::move(devices)) {
    plan();
    if (!failed_.ok()) return;
    processes_.resize(devices_.size());
    for (std::size_t rank = 0; rank < devices_.size(); ++rank) {
      threads_.emplace_back([this, rank] { run(rank); });
    }
  }

  void plan() {
    using Kind = Step::Kind;
    const std::size_t all = devices_.size();
    add(Kind::all, all);
    if (all == 1) return;
    if (std::getenv("NCCL_ALGO") == nullptr && std::getenv("NCCL_PROTO") == nullptr) {
      for (const std::string_view algorithm : kAlgorithms) {
        for (const std::string_view protocol : kProtocols) {
          add(Kind::sums, all, algorithm, protocol);
        }
      }
    }
    add(Kind::late, all);
    add(Kind::stall, all);
    add(Kind::sums, all);
    if (NcclClique::can_shrink()) add(Kind::shrink, all);
    add(Kind::die, all);
    add(Kind::sums, all - 1);
  }

  void add(Step::Kind kind, std::size_t ranks, std::string_view algorithm = "",
           std::string_view protocol = "") {
    Step step;
    step.kind = kind;
    step.ranks = static_cast<int>(ranks);
    step.most = most_floats(devices_);
    step.algorithm = algorithm;
    step.protocol = protocol;
    if (failed_.ok()) failed_ = CONFORMANCE_CALL(ncclGetUniqueId(&step.id));
    steps_.push_back(std::move(step));
  }

  void run(std::size_t rank) {
    ChildOptions options = child_task("be-a-rank", rank_arguments(static_cast<int>(rank), steps_));
    options.environment = variables(devices_[rank], devices_.size() == 1);
    options.deadline = deadline_of(kProcessDeadline);
    options.cancelled = [this] {
      const Clock::rep since = first_failure_.load();
      return since != 0 &&
             Clock::now() - Clock::time_point(Clock::duration(since)) > deadline_of(kGrace);
    };
    RankProcess& process = processes_[rank];
    process.result = run_child(options);
    process.steps = read_rank(process.result.output, steps_.size());
    const bool meant = devices_.size() > 1 && rank + 1 == devices_.size() &&
                       process.result.end == ChildResult::End::signalled;
    Clock::rep none = 0;
    if (!process.result.succeeded() && !meant) {
      first_failure_.compare_exchange_strong(none, Clock::now().time_since_epoch().count());
    }
  }

  const CudaInventory devices_;
  std::vector<Step> steps_;
  std::vector<RankProcess> processes_;  ///< by rank
  Status failed_;
  std::atomic<Clock::rep> first_failure_{0};
  std::vector<std::jthread> threads_;
};

[[maybe_unused]] const auto* const early_start = testing::AddGlobalTestEnvironment(
    new EarlyStart("Starts", [](const CudaInventory& devices) { Processes::of(devices); }));

std::string of_ranks(const std::vector<int>& ranks) {
  return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

/// Whether a rank has given up waiting for others.
bool waited(const RankProcess& process) {
  for (const StepRecord& record : process.steps) {
    for (const Finding& finding : record.findings) {
      if (finding.kind == &deadline_exceeded) return true;
    }
  }
  return false;
}

/// Says which rank is to blame for a step that did not come to its end everywhere; false if it did.
bool blame(const CudaInventory& devices, const Processes& run, std::size_t number) {
  const Step& step = run.steps()[number];
  bool any = false;
  std::vector<int> waiting;
  for (int rank = 0; rank < step.ranks; ++rank) {
    if (waited(run.process(rank))) waiting.push_back(rank);
  }
  for (int rank = 0; rank < step.ranks; ++rank) {
    const RankProcess& process = run.process(rank);
    const StepRecord& record = run.record(rank, number);
    const bool meant = step.kind == Step::Kind::die && rank == step.ranks - 1 &&
                       process.result.end == ChildResult::End::signalled && record.started;
    if (run.came_through(rank, number) || meant || !record.findings.empty()) continue;
    // What it was at when it stopped, in this step or before.
    std::size_t where = number;
    while (where > 0 && !run.record(rank, where).started) --where;
    const std::string& doing = run.record(rank, where).doing;
    const bool hung = process.result.end == ChildResult::End::timed_out ||
                      process.result.end == ChildResult::End::cancelled;
    fail(Finding(
        hung ? deadline_exceeded : rank_died, devices[static_cast<std::size_t>(rank)].subject(),
        fmt::format("the process of rank {} of {} {} {} \"{}\", {}{}", rank, step.ranks,
                    process.result.describe(), record.ended ? "after" : "in",
                    run.steps()[where].name(), doing.empty() ? "before it began" : doing,
                    waiting.empty() ? "" : fmt::format("; {} waited for it", of_ranks(waiting))),
        {{"rank", std::int64_t{rank}}, {"doing", doing}, {"output", process.result.error}}));
    any = true;
  }
  return any;
}

/// What all ranks found and verified in a step; false if something was wrong.
bool take_step(const CudaInventory& devices, const Processes& run, std::size_t number) {
  bool good = !blame(devices, run, number);
  for (int rank = 0; rank < run.steps()[number].ranks; ++rank) {
    const StepRecord& record = run.record(rank, number);
    take_over(record, devices[static_cast<std::size_t>(rank)].subject());
    good = good && record.findings.empty();
  }
  return good;
}

/// How long something took, for whoever reads the output: it depends on what else the host does.
void tell_time(const std::string& what, double seconds) {
  fmt::print("{}: {:.2f} s\n", what, seconds);
}

/// The time of the slowest rank from the beginning of a step to its end.
double slowest(const Processes& run, std::size_t number) {
  double most = 0;
  for (int rank = 0; rank < run.steps()[number].ranks; ++rank) {
    most = std::max(most, run.record(rank, number).seconds);
  }
  return most;
}

/// The step of a kind, and the one behind it if that starts again.
void take_steps(const CudaInventory& devices, Step::Kind kind, bool then_again) {
  Processes& run = Processes::of(devices);
  run.wait();
  for (std::size_t i = 0; i < run.steps().size(); ++i) {
    if (run.steps()[i].kind != kind) continue;
    if (!take_step(devices, run, i)) throw TestEnded();
    if (then_again && !take_step(devices, run, i + 1)) throw TestEnded();
    tell_time(run.steps()[i].name(), slowest(run, i));
    return;
  }
}

/// Ends the test, and at a deadline the process, unless `status` is success.
void demand(const Status& status, NcclClique& clique, const std::string& how,
            const std::string& what) {
  if (status.ok()) return;
  const Finding finding =
      nccl_finding(status, clique, {"communicator", how}, fmt::format("{}: {}", how, what));
  clique.abort();
  if (is_deadline_exceeded(status)) Session::current().abandon(finding);
  fail_and_end(finding, status.where());
}

/// Threads that have a rank each. None may ask for memory, or give it back, while another one's sum
/// runs: that could wait for the sum.
class Together {
 public:
  explicit Together(std::size_t threads) : barrier_(static_cast<std::ptrdiff_t>(threads)) {}
  void wait() { barrier_.arrive_and_wait(); }
  bool failed() const { return failed_; }

  /// One thread's part: when it is over, the others' waits are without it.
  class Part {
   public:
    explicit Part(Together& all) : all_(all) {}
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    ~Part() {
      if (!done_) all_.failed_ = true;
      all_.barrier_.arrive_and_drop();
    }
    void done() { done_ = true; }

   private:
    Together& all_;
    bool done_ = false;
  };

 private:
  std::barrier<> barrier_;
  std::atomic<bool> failed_{false};
};

/// Waits for a sum; no longer than it takes another thread to fail.
Status wait_for(Exchange& exchange, const Together& together) {
  constexpr std::chrono::milliseconds kLook{500};
  Status status;
  for (std::chrono::milliseconds waited{0}; waited < kDeadline; waited += kLook) {
    status = exchange.wait(kLook);
    if (!is_deadline_exceeded(status) || together.failed()) break;
  }
  return status;
}

/// Sums over a clique that holds all ranks or some, while other threads do the same with the
/// others.
void verify_sums(NcclClique& clique, std::size_t most, const std::string& how, Together& together) {
  Exchange exchange(clique, Participant::footprint({.count = most}, 0, clique.ranks()));
  bool right = true;
  for (const std::size_t count : {std::size_t{1}, most}) {
    together.wait();
    const Case what{.count = count};
    Status status = exchange.launch(what);
    if (status.ok()) status = wait_for(exchange, together);
    if (!status.ok() && together.failed()) {
      clique.abort();
      throw TestEnded();  // the other thread has said why
    }
    demand(status, clique, how, what.text());
    right = exchange.verify(how) && right;
  }
  together.wait();
  if (!right) throw TestEnded();
}

TEST_F(Starts, OneCallStartsARankOnEveryGpu) {
  claim("ncclCommInitAll makes a communicator with a rank on each GPU, whose sums are exact",
        "NCCL: ncclCommInitAll");
  const CudaInventory& devices = require(Devices{1});
  const std::string how = "ncclCommInitAll";
  guarded({"communicator", how}, [&] {
    NcclClique& clique = cliques().emplace_back();
    demand(clique.open_all_at_once(devices, kSetUpDeadline), clique, how, "setting up");
    Together alone(1);
    verify_sums(clique, most_floats(devices), how, alone);
  });
}

TEST_F(Starts, AThreadForEachGpuStartsItsRank) {
  claim(
      "Threads that each start a rank on a GPU of their own make a communicator whose sums are "
      "exact",
      "NCCL: Creating a Communicator; ncclCommInitRankConfig; Thread Safety");
  const CudaInventory& devices = require(Devices{1});
  const std::string how = "a thread for each GPU";
  guarded({"communicator", how}, [&] {
    NcclPlace place{.ranks = static_cast<int>(devices.size())};
    ensure(CONFORMANCE_CALL(ncclGetUniqueId(&place.id)));
    Together together(devices.size());
    std::vector<NcclClique*> of_ranks;
    for (std::size_t i = 0; i < devices.size(); ++i) of_ranks.push_back(&cliques().emplace_back());
    for_each_device(devices, [&](const CudaDevice& device) {
      Together::Part part(together);
      NcclPlace own = place;
      own.first = static_cast<int>(&device - devices.data());
      NcclClique& clique = *of_ranks[static_cast<std::size_t>(own.first)];
      demand(clique.open({device}, own, kSetUpDeadline), clique, how, "setting up");
      verify_sums(clique, most_floats(devices), how, together);
      part.done();
    });
  });
}

TEST_F(Starts, AProcessForEachGpuStartsItsRank) {
  claim(
      "Processes that each start a rank on a GPU of their own make a communicator whose "
      "collectives are "
      "exact",
      "NCCL: Creating a Communicator; ncclCommInitRankConfig");
  const CudaInventory& devices = require(Devices{1});
  guarded(host_subject(), [&] { take_steps(devices, Step::Kind::all, false); });
}

TEST_F(Starts, EveryAlgorithmAndProtocolIsExact) {
  claim("Each algorithm and protocol that NCCL offers for these GPUs gives exact sums",
        "NCCL: Environment Variables, NCCL_ALGO, NCCL_PROTO");
  const CudaInventory& devices = require(Devices{2});
  for (const char* name : {"NCCL_ALGO", "NCCL_PROTO"}) {
    if (const char* const value = std::getenv(name)) {
      skip(fmt::format("{}={} is set: what NCCL uses is not the suite's choice", name, value));
    }
  }
  guarded(host_subject(), [&] {
    Processes& run = Processes::of(devices);
    run.wait();
    std::vector<std::string> taken, not_offered, not_heard;
    for (std::size_t i = 0; i < run.steps().size(); ++i) {
      const Step& step = run.steps()[i];
      if (step.algorithm.empty()) continue;
      if (!take_step(devices, run, i)) throw TestEnded();
      const std::string name = step.algorithm + "/" + step.protocol;
      const StepRecord& first = run.record(0, i);
      const auto says = [&](std::string_view words) {
        return first.output.find(words) != std::string::npos;
      };
      if (!first.offered) {
        not_offered.push_back(name);
      } else if (std::getenv("NCCL_DEBUG") == nullptr &&
                 !(says("NCCL_ALGO set by environment to " + step.algorithm) &&
                   says("NCCL_PROTO set by environment to " + step.protocol))) {
        not_heard.push_back(name);
      } else {
        taken.push_back(name);
        tell_time(step.name(), slowest(run, i));
        verified(1, "algorithms with a protocol");
      }
    }
    fact("nccl.forced", fmt::format("{}", fmt::join(taken, " ")));
    if (!not_offered.empty()) {
      fact("nccl.not-offered", fmt::format("{}", fmt::join(not_offered, " ")));
    }
    if (!not_heard.empty()) {
      fact("nccl.not-forced", fmt::format("{}", fmt::join(not_heard, " ")));
    }
    expect(!taken.empty(),
           Finding(nothing_offered, {"communicator", fmt::format("{} GPUs", devices.size())},
                   fmt::format("not offered: {}; NCCL did not say that it took over: {}",
                               fmt::join(not_offered, " "), fmt::join(not_heard, " ")),
                   {{"environment", nccl_environment()}}));
  });
}

TEST_F(Starts, RanksGiveUpOneThatStallsAndStartAgain) {
  claim(
      "When a rank stays away from a collective, the others see it at a deadline of theirs, "
      "ncclCommAbort frees them, and a new communicator works",
      "NCCL: Fault Tolerance; ncclCommAbort; ncclCommGetAsyncError");
  const CudaInventory& devices = require(Devices{2});
  guarded(host_subject(), [&] { take_steps(devices, Step::Kind::stall, true); });
}

TEST_F(Starts, RanksGoOnWithoutOneThatStalls) {
  claim(
      "When a rank stays away from a collective, the others end it and go on in a smaller "
      "communicator by ncclCommShrink, of which that rank knows nothing",
      "NCCL: ncclCommShrink (2.27), NCCL_SHRINK_ABORT; Fault Tolerance");
  const CudaInventory& devices = require(Devices{2});
  if (!NcclClique::can_shrink()) skip("this NCCL has no ncclCommShrink");
  guarded(host_subject(), [&] { take_steps(devices, Step::Kind::shrink, false); });
}

TEST_F(Starts, RanksGiveUpOneThatNeverJoins) {
  claim(
      "While a rank has not joined, a communicator that does not block is in progress, and "
      "ncclCommAbort ends the wait",
      "NCCL: ncclCommInitRankConfig; Fault Tolerance; ncclCommAbort");
  const CudaInventory& devices = require(Devices{2});
  guarded(host_subject(), [&] { take_steps(devices, Step::Kind::late, false); });
}

TEST_F(Starts, RanksGiveUpOneThatIsKilledAndStartAgain) {
  claim(
      "When the process of a rank is killed, the others see an error or their deadline, "
      "ncclCommAbort frees them, and a communicator of those that are left works",
      "NCCL: Fault Tolerance; ncclCommAbort; ncclCommGetAsyncError");
  const CudaInventory& devices = require(Devices{2});
  guarded(host_subject(), [&] { take_steps(devices, Step::Kind::die, true); });
}

}  // namespace
}  // namespace conformance::nccl
