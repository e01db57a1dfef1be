#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "ci/report/folder.h"

namespace conformance {

/// How a suite's process ended, as `entry-end` has it.
struct EntryEnd {
  std::string end;  ///< "exited", "signalled", "timed-out", "interrupted" or "not-started"
  int code = 0;     ///< exit code, signal or errno, by `end`
  double seconds = 0;
  std::string output;  ///< the end of it
  bool output_cut = false;

  /// "exited with code 3", "was ended at its limit after 60.0 s", …
  std::string describe() const;
  /// What the launcher answers CTest.
  int exit_code() const;
};

/// The launchers' journal of an entry. Only the entry's last run within one CTest run counts, as it
/// does for CTest (--repeat), so each run starts it afresh and says how many there were.
class LaunchJournal {
 public:
  LaunchJournal(const report::Folder& folder, std::string run, std::string entry);

  const std::string& entry() const { return entry_; }
  /// Whether this run has started the entry already.
  bool has_started() const { return attempt_ > 0; }
  /// How it ended; nothing if that is not said.
  const std::optional<EntryEnd>& end() const { return end_; }
  /// Whether it ended in a process of another entry's launcher, and CTest has not been told yet.
  bool can_be_collected() const { return hosted_ && !collected_ && end_; }

  /// `host` is the entry whose launcher runs this one too, if that is another. Throws CannotRun, as
  /// do the others, if the journal cannot be written.
  void write_start(const std::vector<std::string>& command, std::chrono::seconds limit,
                   const std::string& host);
  void write_end(EntryEnd end);
  void write_collected();

 private:
  void read();
  void write(nlohmann::ordered_json record, int flags);

  std::string path_, run_, entry_;
  std::int64_t attempt_ = 0;
  std::optional<EntryEnd> end_;
  bool hosted_ = false;
  bool collected_ = false;
};

}  // namespace conformance
