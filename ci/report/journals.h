#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "ci/report/folder.h"

namespace conformance::report {

using Json = nlohmann::ordered_json;

/// A finding as the reports show it; from a journal, or the report's own.
struct ReportedFinding {
  std::string code, severity, detail, cause, remedy;
  Json subject = Json::object();   ///< kind and name
  Json evidence = Json::object();  ///< names and JSON scalars
  double time = 0;                 ///< Unix time in seconds
};

/// How much of one thing a test verified.
struct VerifiedCount {
  std::uint64_t count = 0;
  std::string what;
};

/// What a suite wrote about one test.
struct TestRecord {
  std::string name;
  std::string claim, source;
  std::optional<std::string> outcome;  ///< nothing if the test did not end
  std::string skip_reason;
  double seconds = 0;
  std::vector<VerifiedCount> verified;  ///< one for each `what`, in the order of first records
  std::uint64_t verified_count = 0;     ///< of all together
  Json figures = Json::array();
  std::vector<std::string> messages;
  std::vector<ReportedFinding> findings;
};

/// What the journals of a CTest entry hold.
struct EntryRecord {
  // The launcher's.
  bool launched = false;
  std::int64_t attempts = 0;
  double started = 0;        ///< Unix time in seconds
  double limit_seconds = 0;  ///< 0 if unknown
  std::string host;          ///< the entry whose process ran this one too; empty if its own did
  bool collected = false;    ///< CTest was told how that ended
  /// "exited", "signalled", "timed-out", "interrupted" or "not-started"; empty if the launcher did
  /// not get to say.
  std::string end;
  std::int64_t code = 0;  ///< exit code, signal or errno, by `end`
  double seconds = 0;
  std::string output;
  bool output_cut = false;

  // The suite's.
  bool process_started = false;
  bool simulated = false;
  Json environment = Json::object();
  std::vector<TestRecord> tests;  ///< in the order in which they started
  bool process_ended = false;
  std::string abandoned;  ///< why the process ended before its remaining tests; empty if it did not
  Json facts = Json::array();  ///< {name, value}

  double last_time = 0;  ///< of any record
};

/// Reads the journals of a run. What is damaged, cut off or of another run is left out, and said in
/// `warnings`.
std::map<std::string, EntryRecord> read_journals(const Folder& folder, const std::string& run,
                                                 std::vector<std::string>& warnings);

/// Adds one suite's journal; `where` names it in warnings.
void read_suite_journal(const std::string& text, const std::string& entry, const std::string& run,
                        const std::string& where, EntryRecord& record,
                        std::vector<std::string>& warnings);

/// Adds one launcher's journal; `where` names it in warnings.
void read_launch_journal(const std::string& text, const std::string& entry, const std::string& run,
                         const std::string& where, EntryRecord& record,
                         std::vector<std::string>& warnings);

}  // namespace conformance::report
