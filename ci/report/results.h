#pragma once

#include <map>
#include <string>
#include <vector>

#include "ci/report/journals.h"
#include "ci/report/manifest.h"
#include "ci/report/run.h"

namespace conformance::report {

/// Everything that is known about a run.
struct Records {
  Run run;
  std::vector<Manifest> manifests;  ///< in the order of order_by_need
  std::map<std::string, EntryRecord> entries;
  std::vector<std::string> warnings;
  double now = 0;  ///< Unix time in seconds at which the run is judged
};

/// Judges a run: results.json as ci/report/results.schema.json describes it. Every other report is
/// a view of it.
Json judge(const Records& records);

/// Reads results.json back; throws CannotRun for anything else.
Json load_results(const std::filesystem::path& path);

/// A value of results.json as text for a reader; nothing for null.
std::string words(const Json& value);

/// What the reports call the figures: "Figures", or "Figures, of modelled time" for simulated GPUs.
std::string figures_title(const Json& results);

}  // namespace conformance::report
