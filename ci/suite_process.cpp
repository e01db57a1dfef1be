#include "ci/suite_process.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ci/report/process.h"
#include "fixtures/descriptor.h"
#include "fixtures/session.h"

namespace conformance {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using report::CannotRun;

/// How much of a suite's output its record keeps: the end, where a crash shows.
constexpr std::size_t kOutputKept = 8192;

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Starts a suite's journal afresh; the suite appends to it.
void empty_journal(const fs::path& path) {
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (file.get() < 0) {
    throw CannotRun(
        fmt::format("cannot write the journal {}: {}", path.native(), std::strerror(errno)));
  }
}

/// The last record of a suite's journal, if that is the suite's end.
std::optional<nlohmann::json> last_record_if_end(const fs::path& path) {
  constexpr std::streamoff kTail = 65536;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(0, size - kTail));
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!text.ends_with('\n')) return std::nullopt;
  text.pop_back();
  // Not found is the line before the first: one less than 0.
  const nlohmann::json record =
      nlohmann::json::parse(text.substr(text.rfind('\n') + 1), nullptr, false);
  if (!record.is_object() || record.value("type", "") != "process-end") return std::nullopt;
  return record;
}

/// Whether GoogleTest says with this line that it begins a suite: "[----------] 3 tests from Copy".
bool begins_suite(std::string_view line, std::string_view suite) {
  return line.find("[----------]") != std::string_view::npos && line.ends_with(suite) &&
         line.substr(0, line.size() - suite.size()).ends_with(" from ");
}

std::string_view name_of(ChildResult::End end) {
  switch (end) {
    case ChildResult::End::exited:
      return "exited";
    case ChildResult::End::signalled:
      return "signalled";
    case ChildResult::End::timed_out:
      return "timed-out";
    case ChildResult::End::cancelled:
      return "interrupted";
    case ChildResult::End::not_started:
      break;
  }
  return "not-started";
}

}  // namespace

void pass_on(std::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    piece.remove_prefix(static_cast<std::size_t>(written));
  }
}

SuiteProcess::Suite::Suite(const SuiteCommand& command, const Member& which)
    : member(which),
      record(command.folder, command.run, fmt::format("{}.{}", command.layer, which.suite)),
      journal(command.folder.suite_journal(record.entry())) {
  empty_journal(journal);
}

SuiteProcess::SuiteProcess(SuiteCommand command, const std::vector<Member>& members)
    : command_(std::move(command)) {
  suites_.reserve(members.size());
  for (const Member& member : members) suites_.emplace_back(command_, member);
}

void SuiteProcess::start(Suite& suite) {
  // What comes before the first suite, above all the start of CUDA, is its part.
  const bool first = std::ranges::none_of(suites_, &Suite::started);
  suite.started = true;
  suite.start = first ? last_event_ : Clock::now();
  std::vector<std::string> command = command_.command;
  command.push_back(fmt::format("--gtest_filter={}.*", suite.member.suite));
  suite.record.write_start(command, suite.member.limit, suites_.front().record.entry());
}

void SuiteProcess::take_output(std::string_view piece) {
  pass_on(piece);
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    line_ += piece.substr(0, end);
    if (end == std::string_view::npos && line_.size() < kOutputKept) return;
    piece.remove_prefix(end == std::string_view::npos ? piece.size() : end + 1);
    for (Suite& suite : suites_) {
      if (!begins_suite(line_, suite.member.suite)) continue;
      speaking_ = &suite;
      suite.spoke = true;
    }
    if (end != std::string_view::npos) line_ += '\n';
    Suite& suite = speaking_ == nullptr ? suites_.front() : *speaking_;
    suite.output += std::exchange(line_, {});
    if (suite.output.size() > 2 * kOutputKept) {
      suite.output.erase(0, suite.output.size() - kOutputKept);
      suite.output_cut = true;
    }
  }
}

void SuiteProcess::observe() {
  for (Suite& suite : suites_) {
    // Asked every few milliseconds, also while figures are taken: only what is new is read.
    std::error_code error;
    const std::uintmax_t size = suite.finished ? 0 : fs::file_size(suite.journal, error);
    if (suite.finished || error || size == suite.journal_size) continue;
    suite.journal_size = size;
    if (!suite.started) {
      start(suite);
      last_event_ = Clock::now();
    }
    const std::optional<nlohmann::json> last = last_record_if_end(suite.journal);
    if (!last) continue;
    suite.finished = true;
    suite.exit_code = last->value("exit_code", static_cast<int>(EXIT_FAILURE));
    suite.finish_time = last->value("time", 0.0);
    last_event_ = Clock::now();
    suite.seconds = seconds_between(suite.start, last_event_);
  }
  // Not before its output is whole, which is when another suite speaks.
  for (Suite& suite : suites_) {
    if (suite.finished && !suite.recorded && suite.spoke && speaking_ != &suite) {
      end(suite, {"exited", suite.exit_code, suite.seconds, "", false});
    }
  }
}

bool SuiteProcess::is_over_limit() const {
  const auto current = std::ranges::find_if(
      suites_, [](const Suite& suite) { return suite.started && !suite.finished; });
  if (current != suites_.end()) return Clock::now() - current->start > current->member.limit;
  return Clock::now() - last_event_ > suites_.front().member.limit;
}

void SuiteProcess::end(Suite& suite, EntryEnd how) {
  if (!suite.started) start(suite);
  if (suite.output.size() > kOutputKept) {
    suite.output.erase(0, suite.output.size() - kOutputKept);
    suite.output_cut = true;
  }
  how.output = std::exchange(suite.output, {});
  how.output_cut = suite.output_cut;
  suite.record.write_end(std::move(how));
  suite.recorded = true;
}

void SuiteProcess::end_all(const ChildResult& result) {
  // The process's own end is that of the suite it was in; after the last one, of that; before the
  // first, of the entry that was asked for.
  const auto unfinished = std::ranges::find_if(
      suites_, [](const Suite& suite) { return suite.started && !suite.finished; });
  const auto last = std::ranges::max_element(suites_, {}, &Suite::finish_time);
  Suite& ended = unfinished != suites_.end() ? *unfinished
                 : last->finished            ? *last
                                             : suites_.front();
  for (Suite& suite : suites_) {
    if (suite.recorded) continue;
    if (&suite == &ended) {
      const double seconds =
          suite.started ? seconds_between(suite.start, Clock::now()) : result.seconds;
      // A process of several suites fails when one does; each has an end of its own.
      const bool in_order =
          suite.finished && result.end == ChildResult::End::exited &&
          (result.code == kExitPassed || result.code == kExitFailed || result.code == kExitSkipped);
      end(suite, {std::string(name_of(result.end)), in_order ? suite.exit_code : result.code,
                  seconds, "", false});
    } else if (suite.finished) {
      end(suite, {"exited", suite.exit_code, suite.seconds, "", false});
    }
  }
}

void SuiteProcess::run(const std::function<bool()>& asked_to_end) {
  std::string filter;
  std::chrono::seconds limits{0};
  for (const Suite& suite : suites_) {
    filter += fmt::format("{}{}.*", filter.empty() ? "" : ":", suite.member.suite);
    limits += suite.member.limit;
  }
  ChildOptions options;
  // The suite's children have process groups of their own, and a launcher that is killed outright
  // could not end them: they have a keeper.
  options.argv = {fs::path(own_executable()).replace_filename("conformance-keep").native(),
                  "--parent", std::to_string(::getpid()), "--tell", "--"};
  options.argv.insert(options.argv.end(), command_.command.begin(), command_.command.end());
  options.argv.insert(options.argv.end(),
                      {"--gtest_filter=" + filter, "--journals",
                       command_.folder.journals().native(), "--run", command_.run, "--die-with"});
  options.deadline = limits + 60s;  // each suite's own limit comes first
  options.output_limit = kOutputKept;
  options.merge_streams = true;
  options.on_output = [this](std::string_view piece) { take_output(piece); };
  bool over_limit = false;
  options.cancelled = [&] {
    observe();
    over_limit = is_over_limit();
    return over_limit || asked_to_end();
  };
  last_event_ = Clock::now();
  ChildResult result = run_child(options);
  report::end_children();
  observe();
  if (over_limit && result.end == ChildResult::End::cancelled) {
    result.end = ChildResult::End::timed_out;
  }
  if (!line_.empty()) {
    (speaking_ == nullptr ? suites_.front() : *speaking_).output += std::exchange(line_, {});
  }
  end_all(result);
}

}  // namespace conformance
