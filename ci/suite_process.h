#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ci/launch_journal.h"
#include "ci/report/folder.h"
#include "fixtures/child.h"

namespace conformance {

/// Writes to stdout. A reader who left or a full disk there must not end a suite: the journal is
/// what counts, and its own errors are not forgiven.
void pass_on(std::string_view piece);

/// A test suite of a process, which is a CTest entry too.
struct Member {
  std::string suite;
  std::chrono::seconds limit{60};
};

/// What a suite's process is started with.
struct SuiteCommand {
  report::Folder folder;
  std::string run, layer;
  std::vector<std::string> command;  ///< the executable and its arguments, without a filter
};

/// One process of a layer's executable that runs one or more test suites one after another. What
/// becomes of each is recorded as if it had a process of its own: a suite that does not end in
/// order takes those after it along, which then have no record and can be run again.
class SuiteProcess {
 public:
  /// `members` begins with the suite of the entry that CTest asks for.
  SuiteProcess(SuiteCommand command, const std::vector<Member>& members);

  /// Runs the process to its end, which it meets at the limit of the suite it is in, or once
  /// `asked_to_end` says so. Records the end of every suite that started; that of the first member
  /// also if the process ended before any did.
  void run(const std::function<bool()>& asked_to_end);

 private:
  using Clock = std::chrono::steady_clock;
  struct Suite {
    Suite(const SuiteCommand& command, const Member& member);

    Member member;
    LaunchJournal record;
    std::filesystem::path journal;
    std::uintmax_t journal_size = 0;  ///< when it was last looked at
    bool started = false, finished = false, recorded = false;
    Clock::time_point start;
    double seconds = 0;      ///< once it is finished
    double finish_time = 0;  ///< Unix time
    int exit_code = 0;
    bool spoke = false;
    std::string output;
    bool output_cut = false;
  };

  void start(Suite& suite);
  void take_output(std::string_view piece);
  void observe();
  bool is_over_limit() const;
  void end(Suite& suite, EntryEnd how);
  void end_all(const ChildResult& result);

  SuiteCommand command_;
  std::vector<Suite> suites_;
  Clock::time_point last_event_;
  Suite* speaking_ = nullptr;  ///< whose output comes
  std::string line_;           ///< what has come of it so far
};

}  // namespace conformance
