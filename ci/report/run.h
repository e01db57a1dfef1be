#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ci/report/folder.h"
#include "ci/report/process.h"

namespace conformance::report {

/// A CTest entry that the run was asked for.
struct SelectedEntry {
  std::string name, layer, level;
};

/// What run.json says: what was asked for when the run began.
struct Run {
  std::string id;
  double started = 0;  ///< Unix time in seconds
  std::string level, cuda_origin;
  bool simulated = false;
  /// Nothing if CTest could not be asked: then every entry up to `level` counts as asked for.
  std::optional<std::vector<SelectedEntry>> selection;
  /// The CTest that the run belongs to, if CTest began it.
  std::optional<ProcessId> ctest;
};

/// Makes the folder ready and writes run.json. `source` is the project's folder, in which CTest's
/// presets are; `select_nothing` says that no entry was asked for. Throws CannotRun, also when
/// another CTest is still writing to the folder.
Run begin_run(const Folder& folder, const std::filesystem::path& source, bool select_nothing);

/// Reads run.json; throws CannotRun.
Run load_run(const Folder& folder);

/// Whether a CTest was started to feed a dashboard, such as CDash.
bool feeds_dashboard(const ProcessId& ctest);

/// Throws CannotRun if this program is part of another CTest than the one that began the run: its
/// records would be mixed with those of somebody else.
void ensure_same_ctest(const Run& run);

/// Unix time in seconds.
double unix_time();

}  // namespace conformance::report
