#include "suites/nccl/steps.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "fixtures/handle_text.h"
#include "suites/nccl/exchange.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {
namespace {

/// How long ranks wait for one that is known not to come.
constexpr std::chrono::milliseconds kPatience{300};

/// Of every collective, also where it does not divide by the ranks: what each rank's call gets.
constexpr std::size_t kCount = 1003;

/// Of communicators that have no more to show than a few sums.
constexpr int kChannels = 2;

void doing(const std::string& what) { fact("rank.doing", what); }

/// Sets a variable, if it is to have a value, and takes it away again.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(value.empty() ? nullptr : name) {
    if (name_ != nullptr) ::setenv(name_, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (name_ != nullptr) ::unsetenv(name_);
  }

 private:
  const char* name_;
};

class Rank {
 public:
  Rank(const Step& step, const CudaDevice& device, int rank, std::list<NcclClique>& made)
      : step_(step), device_(device), rank_(rank), made_(made), clique_(made.emplace_back()) {}

  void run() {
    const Variable algorithm("NCCL_ALGO", step_.algorithm);
    const Variable protocol("NCCL_PROTO", step_.protocol);
    if (step_.kind == Step::Kind::late) {
      if (rank_ < step_.ranks - 1) give_up_on_the_late_one();
      return;
    }
    const Status opened = open(kSetUpDeadline);
    if (is_not_offered(opened)) return;
    demand(opened, "setting up");
    Exchange exchange(clique_, bytes_needed());
    if (!run_sums(exchange)) return;
    if (step_.kind == Step::Kind::all) {
      for (const Collective* collective : collectives()) {
        run(exchange, {.collective = collective, .count = kCount});
      }
      leave_each_out();
    } else if (step_.kind == Step::Kind::shrink) {
      go_on_without_the_last(exchange);
    } else if (step_.kind != Step::Kind::sums) {
      lose_the_last(exchange);
    }
    if (!right_) throw TestEnded();
  }

 private:
  Status open(std::chrono::milliseconds deadline) {
    doing(fmt::format("joining {} ranks", step_.ranks));
    // Between processes it takes NCCL several milliseconds to connect a channel.
    const int channels = step_.kind == Step::Kind::all ? 0 : kChannels;
    return clique_.open({device_}, {step_.id, rank_, step_.ranks, channels}, deadline);
  }

  /// Of each buffer, for the largest case that this rank takes part in.
  std::size_t bytes_needed() const {
    const auto needed = [this](const Case& what) {
      return Participant::footprint(what, rank_, step_.ranks);
    };
    std::size_t most = needed({.count = step_.most});
    for (const Collective* collective : collectives()) {
      most = std::max(most, needed({.collective = collective, .count = kCount}));
    }
    return most;
  }

  bool run_sums(Exchange& exchange) {
    for (const std::size_t count : {std::size_t{1}, kCount, step_.most}) {
      if (!run(exchange, {.count = count})) return false;
    }
    return true;
  }

  /// False if NCCL does not offer what is forced.
  bool run(Exchange& exchange, const Case& what) {
    doing("launching " + what.text());
    const Status launched = exchange.launch(what);
    if (is_not_offered(launched)) return false;
    demand(launched, "launching " + what.text());
    doing("waiting for " + what.text());
    const Status done = exchange.wait(kDeadline);
    if (is_not_offered(done)) return false;
    demand(done, what.text());
    right_ = exchange.verify(step_.name()) && right_;
    return true;
  }

  /// The ranks without the first one, one in the middle, and the last one.
  void leave_each_out() {
    if (step_.ranks < 3) return;
    for (const int left_out : {0, step_.ranks / 2, step_.ranks - 1}) {
      doing(fmt::format("ncclCommSplit without rank {}", left_out));
      NcclClique& rest = made_.emplace_back();
      demand(clique_.leave_out(left_out, Without::split, rest, kSetUpDeadline), "ncclCommSplit");
      if (rank_ == left_out) continue;
      Exchange among(rest, bytes_needed());
      run(among, {.count = kCount});
    }
  }

  /// The last rank stays away from a sum, and the others make a communicator without it.
  void go_on_without_the_last(Exchange& exchange) {
    const int last = step_.ranks - 1;
    if (rank_ == last) return stay_away();
    wait_in_vain(exchange);
    doing(fmt::format("ncclCommShrink without rank {}", last));
    NcclClique& rest = made_.emplace_back();
    demand(clique_.leave_out(last, Without::shrink_at_once, rest, kSetUpDeadline),
           "ncclCommShrink");
    synchronize(clique_.stream(0), device_.subject());
    Exchange among(rest, bytes_needed());
    run_sums(among);
    clique_.forsake();
  }

  /// The last rank stays away from a sum, which the others give up.
  void lose_the_last(Exchange& exchange) {
    if (rank_ < step_.ranks - 1) {
      give_up_on_a_sum(exchange);
    } else if (step_.kind == Step::Kind::die) {
      ::raise(SIGKILL);
    } else {
      stay_away();
    }
  }

  /// Knows nothing of what the others do, and goes on: its own end would be an error to them.
  void stay_away() { clique_.forsake(); }

  void give_up_on_the_late_one() {
    const Status status = open(kPatience);
    if (status.ok()) {
      fail_and_end(
          Finding(wrong_wait, device_.subject(),
                  fmt::format("rank {} has a communicator of {} ranks, of which one never joined",
                              rank_, step_.ranks)));
    }
    verified(1, "ranks that gave up");
    give_up();
  }

  void give_up_on_a_sum(Exchange& exchange) {
    wait_in_vain(exchange);
    give_up();
    // Whatever ran is over: the stream is empty, the GPU is well.
    synchronize(clique_.stream(0), device_.subject());
  }

  void wait_in_vain(Exchange& exchange) {
    const Case what{.count = step_.most};
    doing(fmt::format("waiting for {} without rank {}", what.text(), step_.ranks - 1));
    Status status = exchange.launch(what);
    if (status.ok()) status = exchange.wait(kPatience);
    if (status.ok()) {
      fail_and_end(Finding(wrong_wait, device_.subject(),
                           fmt::format("{} ended on rank {} of {} though rank {} did not join it",
                                       what.text(), rank_, step_.ranks, step_.ranks - 1)));
    }
    verified(1, "ranks that gave up");
  }

  void give_up() {
    doing("ncclCommAbort");
    if (clique_.abort()) return;
    Session::current().abandon(
        Finding(abort_failed, device_.subject(),
                fmt::format("ncclCommAbort of rank {} of {} did not return in time ({})", rank_,
                            step_.ranks, step_.name())));
  }

  bool is_not_offered(const Status& status) {
    if (step_.algorithm.empty() || status.api() != "nccl" || status.ok() ||
        status.message().find("no algorithm/protocol available") == std::string::npos) {
      return false;
    }
    fact("rank.offered", false);
    give_up();
    return true;
  }

  void demand(const Status& status, const std::string& what) {
    if (status.ok()) return;
    Finding finding =
        nccl_finding(status, clique_, device_.subject(),
                     fmt::format("rank {} of {}, {}: {}", rank_, step_.ranks, step_.name(), what));
    clique_.abort();
    // With a rank that hangs neither its GPU nor the process's other work can be trusted.
    if (is_deadline_exceeded(status)) Session::current().abandon(finding);
    fail_and_end(finding, status.where());
  }

  const Step& step_;
  const CudaDevice& device_;
  int rank_;
  std::list<NcclClique>& made_;
  NcclClique& clique_;
  bool right_ = true;
};

constexpr std::array<std::pair<Step::Kind, std::string_view>, 6> kKinds{
    std::pair{Step::Kind::sums, "sums"},   std::pair{Step::Kind::all, "all"},
    std::pair{Step::Kind::stall, "stall"}, std::pair{Step::Kind::shrink, "shrink"},
    std::pair{Step::Kind::late, "late"},   std::pair{Step::Kind::die, "die"}};

}  // namespace

std::string Step::name() const {
  switch (kind) {
    case Kind::stall:
      return "a rank that stalls";
    case Kind::shrink:
      return "a rank that stalls and is left behind";
    case Kind::late:
      return "a rank that never joins";
    case Kind::die:
      return "a rank that is killed";
    case Kind::sums:
    case Kind::all:
      break;
  }
  if (algorithm.empty()) return fmt::format("{} ranks", ranks);
  return fmt::format("NCCL_ALGO={} NCCL_PROTO={}", algorithm, protocol);
}

std::string step_text(const Step& step) {
  std::string_view kind;
  for (const auto& [one, name] : kKinds) {
    if (one == step.kind) kind = name;
  }
  return fmt::format("{} {} {} {} {} {}", kind, step.ranks, step.most, handle_text(step.id),
                     step.algorithm, step.protocol);
}

std::optional<Step> parse_step(const std::string& text) {
  Step step;
  std::string kind, id;
  std::istringstream words(text);
  if (!(words >> kind >> step.ranks >> step.most >> id)) return std::nullopt;
  words >> step.algorithm >> step.protocol;
  const auto parsed = parse_handle<ncclUniqueId>(id);
  if (!parsed) return std::nullopt;
  step.id = *parsed;
  for (const auto& [one, name] : kKinds) {
    if (name != kind) continue;
    step.kind = one;
    return step;
  }
  return std::nullopt;
}

void take_part(const Step& step, const CudaDevice& device, int rank, std::list<NcclClique>& made) {
  Rank(step, device, rank, made).run();
}

void end_all(std::list<NcclClique>& cliques) {
  {
    std::vector<std::jthread> threads;
    threads.reserve(cliques.size());
    for (NcclClique& clique : cliques) {
      threads.emplace_back([&clique] { const NcclClique gone = std::move(clique); });
    }
  }
  cliques.clear();
}

std::vector<std::string> rank_arguments(int rank, std::span<const Step> steps) {
  const Settings& settings = Session::current().settings();
  std::vector<std::string> arguments{std::to_string(settings.seed),
                                     settings.simulated ? "simulated" : "real",
                                     "root=" + settings.host_root, std::to_string(rank)};
  for (const Step& step : steps) arguments.push_back(step_text(step));
  return arguments;
}

int be_a_rank(std::span<const std::string> arguments) {
  // NCCL may write to stdout, too: whole lines, between those of the journal.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  Settings settings;
  settings.seed = std::strtoull(arguments[0].c_str(), nullptr, 10);
  settings.simulated = arguments[1] == "simulated";
  settings.host_root = arguments[2].substr(std::string_view("root=").size());
  const int rank = std::stoi(arguments[3]);
  Session& session = Session::start(settings, this_layer());
  session.start_journal("/dev/stdout", "Rank");
  CudaInventory devices;
  std::list<NcclClique> cliques;
  int code = kExitPassed;
  for (std::size_t i = 4; i < arguments.size(); ++i) {
    const std::optional<Step> step = parse_step(arguments[i]);
    if (!step) throw std::runtime_error("no step: " + arguments[i]);
    if (rank >= step->ranks) continue;
    session.begin_test("Rank", std::to_string(i - 4));
    bool failed = false;
    try {
      guarded(host_subject(), [&] {
        doing("starting CUDA");
        if (devices.empty()) ensure(read_cuda_inventory(devices));
        if (devices.empty()) {
          fail_and_end(Finding(finding::no_devices, host_subject(),
                               fmt::format("the process of rank {} sees no GPU", rank)));
        }
        take_part(*step, devices[0], rank, cliques);
      });
    } catch (const TestEnded&) {
      failed = true;
      code = kExitFailed;
    }
    session.end_test(false, failed);
  }
  end_all(cliques);
  session.end_journal(code);
  return code;
}

}  // namespace conformance::nccl
