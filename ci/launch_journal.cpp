#include "ci/launch_journal.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ci/report/journals.h"
#include "ci/report/run.h"
#include "fixtures/descriptor.h"
#include "fixtures/session.h"

namespace conformance {
namespace {

using Json = nlohmann::ordered_json;
using report::CannotRun;

}  // namespace

std::string EntryEnd::describe() const {
  if (end == "exited") return fmt::format("exited with code {}", code);
  if (end == "signalled") {
    return fmt::format("was killed by signal {} ({})", code, ::strsignal(code));
  }
  if (end == "timed-out") return fmt::format("was ended at its limit after {:.1f} s", seconds);
  if (end == "not-started") return fmt::format("could not be started: {}", std::strerror(code));
  return fmt::format("was ended on request after {:.1f} s", seconds);
}

int EntryEnd::exit_code() const {
  if (end == "not-started") return kExitUsage;
  const bool known =
      code == kExitPassed || code == kExitFailed || code == kExitUsage || code == kExitSkipped;
  return end == "exited" && known ? code : kExitFailed;
}

LaunchJournal::LaunchJournal(const report::Folder& folder, std::string run, std::string entry)
    : path_(folder.launch_journal(entry)), run_(std::move(run)), entry_(std::move(entry)) {
  read();
}

void LaunchJournal::read() {
  std::error_code error;
  if (!std::filesystem::exists(path_, error)) return;
  report::EntryRecord record;
  std::vector<std::string> warnings;  // the report has them
  report::read_launch_journal(report::read_file(path_), entry_, run_, "", record, warnings);
  attempt_ = record.attempts;
  hosted_ = !record.host.empty();
  collected_ = record.collected;
  if (record.end.empty()) return;
  end_ = {record.end, static_cast<int>(record.code), record.seconds, record.output,
          record.output_cut};
}

void LaunchJournal::write_start(const std::vector<std::string>& command, std::chrono::seconds limit,
                                const std::string& host) {
  end_.reset();
  hosted_ = host != entry_;
  collected_ = false;
  Json record{{"type", "entry-start"},
              {"journal_version", 1},
              {"run", run_},
              {"entry", entry_},
              {"attempt", ++attempt_},
              {"command", command},
              {"limit_seconds", limit.count()}};
  if (hosted_) record["host"] = host;
  write(std::move(record), O_TRUNC);
}

void LaunchJournal::write_end(EntryEnd end) {
  write({{"type", "entry-end"},
         {"run", run_},
         {"entry", entry_},
         {"end", end.end},
         {"code", end.code},
         {"seconds", end.seconds},
         {"output", end.output},
         {"output_cut", end.output_cut}},
        0);
  end_ = std::move(end);
}

void LaunchJournal::write_collected() {
  write({{"type", "entry-collected"}, {"run", run_}, {"entry", entry_}}, 0);
  collected_ = true;
}

void LaunchJournal::write(Json record, int flags) {
  const auto fail = [this] {
    throw CannotRun(fmt::format("cannot write the journal {}: {}", path_, std::strerror(errno)));
  };
  const Descriptor file(
      ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0644));
  if (file.get() < 0) fail();
  record["time"] = report::unix_time();
  const std::string line = record.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t written = ::write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail();
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace conformance
