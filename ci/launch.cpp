// Runs one CTest entry: gives the suite its journal and its limit, and records how the suite ended,
// which a suite that crashes or hangs cannot do itself. Entries that may share a process do: the
// first that CTest starts runs the suites of all that were asked for, and the others say how theirs
// ended. To start CUDA costs 0.2 s for each GPU, and the driver lets one process at a time do it.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <fmt/format.h>

#include "ci/launch_journal.h"
#include "ci/report/folder.h"
#include "ci/report/journals.h"
#include "ci/report/metrics.h"
#include "ci/report/process.h"
#include "ci/report/run.h"
#include "ci/suite_process.h"
#include "fixtures/child.h"
#include "fixtures/command_line.h"
#include "fixtures/descriptor.h"
#include "fixtures/program.h"
#include "fixtures/session.h"

namespace conformance {
namespace {

using report::CannotRun;

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

/// Held while an entry's process may run other entries' suites too.
class Lock {
 public:
  explicit Lock(const std::filesystem::path& path)
      : path_(path),
        file_(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644)) {
    if (file_.get() < 0) fail();
  }
  /// Whether it has it now.
  bool try_lock() {
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) fail();
    return false;
  }

 private:
  void fail() const {
    throw CannotRun(fmt::format("cannot lock {}: {}", path_.native(), std::strerror(errno)));
  }

  std::filesystem::path path_;
  Descriptor file_;
};

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
  /// Suites of the layer that may run in one process with this one, and their limits in seconds.
  std::vector<std::pair<std::string, std::int64_t>> companions;
  std::vector<std::string> command;
};

/// The suites of a process that this entry starts: its own, and those of the others that CTest will
/// ask for and nobody has started.
std::vector<Member> members_of_process(const Request& request, const std::string& layer,
                                       const report::Folder& folder, const report::Run& run) {
  std::vector<Member> members{
      {request.entry.substr(layer.size() + 1), std::chrono::seconds(request.limit_seconds)}};
  if (!run.selection) return members;
  for (const auto& [suite, limit] : request.companions) {
    const std::string entry = fmt::format("{}.{}", layer, suite);
    if (entry == request.entry || LaunchJournal(folder, run.id, entry).has_started()) continue;
    const bool selected = std::ranges::any_of(
        *run.selection, [&](const report::SelectedEntry& item) { return item.name == entry; });
    if (selected) members.push_back({suite, std::chrono::seconds(limit)});
  }
  return members;
}

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
  const auto asked_to_end = [&end_requests] { return end_requests.received().has_value(); };
  report::adopt_orphans();

  const std::string layer = request.entry.substr(0, request.entry.find('.'));
  std::optional<Lock> lock;
  if (!request.companions.empty()) {
    lock.emplace(folder.process_lock(layer));
    while (!lock->try_lock()) {
      if (asked_to_end()) return kExitFailed;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  const auto own_record = [&] { return LaunchJournal(folder, run.id, request.entry); };
  LaunchJournal record = own_record();
  if (record.can_be_collected()) {
    pass_on(record.end()->output);
    record.write_collected();
  } else {
    do {
      SuiteProcess process({folder, run.id, layer, request.command},
                           members_of_process(request, layer, folder, run));
      process.run(asked_to_end);
      // A suite before ours may have ended the process.
      record = own_record();
    } while (!record.end() && !asked_to_end());
  }
  tell_dashboard(folder.suite_journal(request.entry), request.entry, run.id);
  if (!record.end()) return kExitFailed;
  const int code = record.end()->exit_code();
  if (record.end()->end != "exited" || code != record.end()->code) {
    fmt::print(stderr, "conformance-launch: {}: the suite {}\n", request.entry,
               record.end()->describe());
  }
  return code;
}

/// "Copy:60" as the build passes it.
std::pair<std::string, std::int64_t> parse_companion(const std::string& text) {
  const std::size_t colon = text.find(':');
  std::int64_t limit = 0;
  const char* end = text.data() + text.size();
  if (colon == std::string::npos ||
      std::from_chars(text.data() + colon + 1, end, limit).ptr != end || limit <= 0) {
    throw CannotRun(fmt::format("--companion is <Suite>:<limit in seconds>, not \"{}\"", text));
  }
  return {text.substr(0, colon), limit};
}

int run(int argc, char** argv) {
  Request request;
  CommandLine app{
      "Runs one group of conformance tests with a time limit, and records how it ended."};
  app.option("--entry", request.entry, "The CTest entry, <layer>.<Suite>").required();
  app.option("--timeout", request.limit_seconds, "Limit in seconds")
      .required()
      .between(1, 30 * 24 * 3600);
  std::vector<std::string> companions;
  app.option("--companion", companions,
             "<Suite>:<limit in seconds> of an entry that may share a process with this one");
  app.option("command", request.command, "After --: the suite and its arguments").required();
  app.arguments_last();
  if (const auto end = app.read(argc, argv)) return *end;
  for (const std::string& companion : companions) {
    request.companions.push_back(parse_companion(companion));
  }
  return launch(request);
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  return conformance::run_program("conformance-launch", conformance::run, argc, argv);
}
