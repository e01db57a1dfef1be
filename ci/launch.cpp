// Runs one CTest entry: gives the suite its journal and its limit, and records how the suite ended,
// which a suite that crashes or hangs cannot do itself.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ci/report/folder.h"
#include "ci/report/journals.h"
#include "ci/report/metrics.h"
#include "ci/report/process.h"
#include "ci/report/run.h"
#include "fixtures/child.h"
#include "fixtures/program.h"
#include "fixtures/session.h"

namespace conformance {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using report::CannotRun;

/// How much of a suite's output the journal keeps: the end, where a crash shows.
constexpr std::size_t kOutputKept = 8192;

/// SIGINT, SIGTERM and SIGHUP, taken as data instead of dying of them: the suite must be ended
/// first. SIGPIPE is held back too, so that a reader who left does not cost the run its record.
class EndRequests {
 public:
  EndRequests() {
    sigset_t asked;
    sigemptyset(&asked);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&asked, signal);
    descriptor_ = ::signalfd(-1, &asked, SFD_NONBLOCK | SFD_CLOEXEC);
    if (descriptor_ < 0) throw CannotRun(fmt::format("signalfd: {}", std::strerror(errno)));
    sigaddset(&asked, SIGPIPE);
    ::sigprocmask(SIG_BLOCK, &asked, nullptr);
  }
  EndRequests(const EndRequests&) = delete;
  EndRequests& operator=(const EndRequests&) = delete;
  ~EndRequests() { ::close(descriptor_); }

  /// The signal that asked us to end, if one has.
  std::optional<int> received() {
    signalfd_siginfo info{};
    if (!signal_ && ::read(descriptor_, &info, sizeof(info)) == sizeof(info)) {
      signal_ = static_cast<int>(info.ssi_signo);
    }
    return signal_;
  }

 private:
  int descriptor_ = -1;
  std::optional<int> signal_;
};

/// The launcher's own journal of an entry. Only the entry's last run within one CTest run counts,
/// as it does for CTest (--repeat), so each run starts it afresh and says how many there were.
class LaunchJournal {
 public:
  LaunchJournal(const report::Folder& folder, std::string run, std::string entry)
      : path_(folder.launch_journal(entry)), run_(std::move(run)), entry_(std::move(entry)) {
    attempt_ = attempts_before() + 1;
    descriptor_ = ::open(path_.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor_ < 0) {
      throw CannotRun(
          fmt::format("cannot write the journal {}: {}", path_.native(), std::strerror(errno)));
    }
  }
  LaunchJournal(const LaunchJournal&) = delete;
  LaunchJournal& operator=(const LaunchJournal&) = delete;
  ~LaunchJournal() { ::close(descriptor_); }

  void start(const std::vector<std::string>& command, std::chrono::seconds limit) {
    write({{"type", "entry-start"},
           {"journal_version", 1},
           {"run", run_},
           {"entry", entry_},
           {"attempt", attempt_},
           {"command", command},
           {"limit_seconds", limit.count()}});
  }

  void end(std::string_view how, const ChildResult& result) {
    write({{"type", "entry-end"},
           {"run", run_},
           {"entry", entry_},
           {"end", how},
           {"code", result.code},
           {"seconds", result.seconds},
           {"output", result.output},
           {"output_cut", result.output_cut}});
  }

 private:
  /// How often this run has started the entry already.
  std::int64_t attempts_before() const {
    std::error_code error;
    if (!std::filesystem::exists(path_, error)) return 0;
    const std::string text = report::read_file(path_);
    const Json first = Json::parse(text.substr(0, text.find('\n')), nullptr, false);
    if (!first.is_object() || !first.contains("run") || first["run"] != run_) return 0;
    return first.contains("attempt") && first["attempt"].is_number_integer()
               ? first["attempt"].get<std::int64_t>()
               : 0;
  }

  void write(Json record) {
    record["time"] = report::unix_time();
    const std::string line = record.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
    std::string_view left = line;
    while (!left.empty()) {
      const ssize_t written = ::write(descriptor_, left.data(), left.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        throw CannotRun(
            fmt::format("cannot write the journal {}: {}", path_.native(), std::strerror(errno)));
      }
      left.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  std::filesystem::path path_;
  std::string run_, entry_;
  std::int64_t attempt_ = 1;
  int descriptor_ = -1;
};

/// Starts the suite's journal afresh; the suite appends to it.
void empty_journal(const std::filesystem::path& path) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) {
    throw CannotRun(
        fmt::format("cannot write the journal {}: {}", path.native(), std::strerror(errno)));
  }
  ::close(descriptor);
}

/// Passes output on at once. A reader who left or a full disk there must not end the suite: the
/// journal is what counts, and its own errors are not forgiven.
void pass_on(std::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    piece.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Tells CTest the figures of an entry, if it feeds a dashboard; otherwise they are in the way of a
/// reader of the output.
void tell_dashboard(const std::filesystem::path& suite_journal, const std::string& entry,
                    const std::string& run) {
  const std::optional<report::ProcessId> ctest = report::parent_ctest();
  if (!ctest || !report::feeds_dashboard(*ctest)) return;
  report::EntryRecord record;
  std::vector<std::string> warnings;  // the report has them
  report::read_suite_journal(report::read_file(suite_journal), entry, run, "", record, warnings);
  pass_on(report::measurements(record));
}

struct Request {
  std::string entry;
  std::int64_t limit_seconds = 60;
  std::vector<std::string> command;
};

int launch(const Request& request) {
  const report::Folder folder = report::report_folder(report::home() / "report");
  if (!report::is_entry_name(request.entry)) {
    throw CannotRun(fmt::format("an entry is named <layer>.<Suite>, not \"{}\"", request.entry));
  }
  std::error_code error;
  if (!std::filesystem::exists(folder.run(), error)) {
    throw CannotRun(fmt::format("no run has begun in {}: `conformance-report begin` comes first",
                                folder.root.native()));
  }
  const report::Run run = report::load_run(folder);
  report::ensure_same_ctest(run);

  EndRequests end_requests;
  // CTest that is killed does not tell its tests; from now on the kernel asks us to end then.
  if (report::parent_ctest()) end_with_parent(::getppid(), SIGTERM);
  LaunchJournal journal(folder, run.id, request.entry);
  const std::filesystem::path suite_journal = folder.suite_journal(request.entry);
  empty_journal(suite_journal);
  report::adopt_orphans();

  // The suite's children have process groups of their own, and a launcher that is killed outright
  // could not end them: they have a keeper.
  ChildOptions options;
  options.argv = {fs::path(own_executable()).replace_filename("conformance-keep").native(),
                  "--parent", std::to_string(::getpid()), "--tell", "--"};
  options.argv.insert(options.argv.end(), request.command.begin(), request.command.end());
  options.argv.insert(options.argv.end(),
                      {"--journal", suite_journal.native(), "--run", run.id, "--die-with"});
  options.deadline = std::chrono::seconds(request.limit_seconds);
  options.output_limit = kOutputKept;
  options.merge_streams = true;
  options.on_output = pass_on;
  options.cancelled = [&end_requests] { return end_requests.received().has_value(); };
  journal.start(request.command, std::chrono::seconds(request.limit_seconds));
  const ChildResult result = run_child(options);
  report::end_children();
  tell_dashboard(suite_journal, request.entry, run.id);

  using End = ChildResult::End;
  switch (result.end) {
    case End::exited:
      journal.end("exited", result);
      if (result.code == kExitPassed || result.code == kExitFailed || result.code == kExitUsage ||
          result.code == kExitSkipped) {
        return result.code;
      }
      break;
    case End::signalled:
      journal.end("signalled", result);
      break;
    case End::timed_out:
      journal.end("timed-out", result);
      break;
    case End::cancelled:
      journal.end("interrupted", result);
      break;
    case End::not_started:
      journal.end("not-started", result);
      fmt::print(stderr, "conformance-launch: {}: {} {}\n", request.entry, request.command.front(),
                 result.describe());
      return kExitUsage;
  }
  fmt::print(stderr, "conformance-launch: {}: the suite {}\n", request.entry, result.describe());
  return kExitFailed;
}

int run(int argc, char** argv) {
  Request request;
  CLI::App app{"Runs one group of conformance tests with a time limit, and records how it ended."};
  app.add_option("--entry", request.entry, "The CTest entry, <layer>.<Suite>")->required();
  app.add_option("--timeout", request.limit_seconds, "Limit in seconds")
      ->required()
      ->check(CLI::Range(1, 30 * 24 * 3600));
  app.add_option("command", request.command, "After --: the suite and its arguments")->required();
  app.positionals_at_end();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitPassed : kExitUsage;
  }
  return launch(request);
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  return conformance::run_program("conformance-launch", conformance::run, argc, argv);
}
