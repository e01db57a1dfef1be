#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <string>

#include "ci/report/folder.h"

namespace conformance::report {

/// How far a run is, by its journals so far.
class Progress {
 public:
  /// Of the run `id` in the folder, or the next one if that is empty. Takes from the results that
  /// are there now, if any, how long its entries take. `stress_length` is that of a test of the
  /// level stress.
  Progress(Folder folder, std::string id, std::chrono::seconds stress_length);

  /// One line of at most `width` characters; empty as long as nothing runs. `now` is Unix time.
  std::string line(double now, std::size_t width);

 private:
  double left_in_all(double now) const;

  Folder folder_;
  std::string id_;
  double stress_length_;
  std::map<std::string, double> seconds_before_;  ///< of the entries of the run before
  double speed_up_before_ = 1;                    ///< those seconds, by how long that run took
  std::set<std::string> selected_, ended_;
  std::map<std::string, double> running_;  ///< since when
};

/// Passes what comes from `in` on to the terminal `out` until its end, with the line of progress
/// below it.
void pass_on_with_progress(int in, int out, Progress& progress);

}  // namespace conformance::report
