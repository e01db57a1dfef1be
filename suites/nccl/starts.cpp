// The ways to start the ranks of a communicator, and what becomes of them when one of them fails.

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
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
#include "suites/nccl/exchange.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/rank_record.h"
#include "suites/nccl/ranks.h"
#include "suites/nccl/steps.h"

namespace conformance::nccl {
namespace {

using Clock = std::chrono::steady_clock;

class Starts : public GpuTest {};

/// Of a process that does all steps, set-up included.
constexpr std::chrono::seconds kProcessDeadline{120};
/// What other ranks' processes get once one of them has failed.
constexpr std::chrono::seconds kGrace{10};

constexpr std::array<std::string_view, 2> kAlgorithms{"Ring", "Tree"};
constexpr std::array<std::string_view, 3> kProtocols{"LL", "LL128", "Simple"};

/// A process for each GPU, all doing the same steps, and what became of them.
struct RankProcess {
  ChildResult result;
  std::vector<StepRecord> steps;
};
struct Processes {
  std::vector<Step> steps;
  std::vector<RankProcess> ranks;
  Status failed;  ///< why there are none
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

std::vector<RankProcess> run_processes(const CudaInventory& devices,
                                       const std::vector<Step>& steps) {
  std::vector<RankProcess> ranks(devices.size());
  const bool killed_on_purpose = steps.back().ranks < static_cast<int>(devices.size());
  std::atomic<Clock::rep> first_failure{0};
  std::vector<std::jthread> threads;
  for (std::size_t rank = 0; rank < devices.size(); ++rank) {
    threads.emplace_back([&, rank] {
      ChildOptions options = child_task("be-a-rank", rank_arguments(static_cast<int>(rank), steps));
      options.environment = variables(devices[rank], devices.size() == 1);
      options.deadline = deadline_of(kProcessDeadline);
      options.cancelled = [&] {
        const Clock::rep since = first_failure.load();
        return since != 0 &&
               Clock::now() - Clock::time_point(Clock::duration(since)) > deadline_of(kGrace);
      };
      RankProcess& own = ranks[rank];
      own.result = run_child(options);
      own.steps = read_rank(own.result.output, steps.size());
      const bool meant = killed_on_purpose && rank + 1 == devices.size() &&
                         own.result.end == ChildResult::End::signalled;
      Clock::rep none = 0;
      if (!own.result.succeeded() && !meant) {
        first_failure.compare_exchange_strong(none, Clock::now().time_since_epoch().count());
      }
    });
  }
  return (threads.clear(), ranks);
}

/// All steps of all tests, done by the same processes: what they take is their start.
const Processes& processes(const CudaInventory& devices) {
  static const Processes once = [&] {
    Processes made;
    const auto add = [&made](Step::Kind kind, std::size_t ranks, std::string_view algorithm,
                             std::string_view protocol) {
      Step step{.kind = kind,
                .ranks = static_cast<int>(ranks),
                .id = {},
                .algorithm = std::string(algorithm),
                .protocol = std::string(protocol)};
      made.failed = CONFORMANCE_CALL(ncclGetUniqueId(&step.id));
      if (made.failed.ok()) made.steps.push_back(std::move(step));
      return made.failed.ok();
    };
    using Kind = Step::Kind;
    const std::size_t all = devices.size();
    bool good = add(Kind::sums, all, "", "");
    if (all > 1) {
      if (std::getenv("NCCL_ALGO") == nullptr && std::getenv("NCCL_PROTO") == nullptr) {
        for (const std::string_view algorithm : kAlgorithms) {
          for (const std::string_view protocol : kProtocols) {
            good = good && add(Kind::sums, all, algorithm, protocol);
          }
        }
      }
      good = good && add(Kind::stall, all, "", "") && add(Kind::sums, all, "", "") &&
             add(Kind::late, all, "", "") && add(Kind::die, all, "", "") &&
             add(Kind::sums, all - 1, "", "");
    }
    if (good) made.ranks = run_processes(devices, made.steps);
    return made;
  }();
  return once;
}

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
  const Step& step = run.steps[number];
  bool any = false;
  std::vector<int> waiting;
  for (int rank = 0; rank < step.ranks; ++rank) {
    if (waited(run.ranks[static_cast<std::size_t>(rank)])) waiting.push_back(rank);
  }
  for (int rank = 0; rank < step.ranks; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    const RankProcess& process = run.ranks[at];
    const StepRecord& record = process.steps[number];
    const bool meant = step.kind == Step::Kind::die && rank == step.ranks - 1 &&
                       process.result.end == ChildResult::End::signalled && record.started;
    if (record.ended || meant || !record.findings.empty()) continue;
    // What it was at when it stopped, in this step or before.
    const StepRecord* last = &record;
    std::size_t where = number;
    while (!last->started && where > 0) last = &process.steps[--where];
    const bool hung = process.result.end == ChildResult::End::timed_out ||
                      process.result.end == ChildResult::End::cancelled;
    fail(Finding(
        hung ? deadline_exceeded : rank_died, devices[at].subject(),
        fmt::format("the process of rank {} of {} {} in \"{}\", {}{}", rank, step.ranks,
                    process.result.describe(), run.steps[where].name(),
                    last->doing.empty() ? "before it began" : last->doing,
                    waiting.empty() ? "" : fmt::format("; {} waited for it", of_ranks(waiting))),
        {{"rank", std::int64_t{rank}}, {"doing", last->doing}, {"output", process.result.error}}));
    any = true;
  }
  return any;
}

/// What all ranks found and verified in a step; false if something was wrong.
bool take_step(const CudaInventory& devices, const Processes& run, std::size_t number) {
  const Step& step = run.steps[number];
  bool good = !blame(devices, run, number);
  for (int rank = 0; rank < step.ranks; ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    const StepRecord& record = run.ranks[at].steps[number];
    take_over(record, devices[at].subject());
    good = good && record.findings.empty();
  }
  return good;
}

/// The steps of a kind, and those without forced variables that come right behind one of it.
void take_steps(const CudaInventory& devices, Step::Kind kind, bool then_again) {
  const Processes& run = processes(devices);
  ensure(run.failed);
  for (std::size_t i = 0; i < run.steps.size(); ++i) {
    if (run.steps[i].kind != kind || !run.steps[i].algorithm.empty()) continue;
    if (!take_step(devices, run, i)) throw TestEnded();
    if (then_again && !take_step(devices, run, i + 1)) throw TestEnded();
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
void verify_sums(NcclClique& clique, const std::string& how, Together& together) {
  constexpr std::array<std::size_t, 2> kCounts{1, 100'003};
  Exchange exchange(clique, Participant::footprint({.count = kCounts.back()}, 0, clique.ranks()));
  bool right = true;
  for (const std::size_t count : kCounts) {
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
    NcclClique clique;
    demand(clique.open_all_at_once(devices, kSetUpDeadline), clique, how, "setting up");
    Together alone(1);
    verify_sums(clique, how, alone);
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
    for_each_device(devices, [&](const CudaDevice& device) {
      NcclClique clique;
      Together::Part part(together);
      NcclPlace own = place;
      own.first = static_cast<int>(&device - devices.data());
      demand(clique.open({device}, own, kSetUpDeadline), clique, how, "setting up");
      verify_sums(clique, how, together);
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
  guarded(host_subject(), [&] { take_steps(devices, Step::Kind::sums, false); });
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
    const Processes& run = processes(devices);
    ensure(run.failed);
    std::vector<std::string> taken, not_offered, not_heard;
    for (std::size_t i = 0; i < run.steps.size(); ++i) {
      const Step& step = run.steps[i];
      if (step.algorithm.empty()) continue;
      if (!take_step(devices, run, i)) throw TestEnded();
      const std::string name = step.algorithm + "/" + step.protocol;
      const StepRecord& first = run.ranks[0].steps[i];
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
