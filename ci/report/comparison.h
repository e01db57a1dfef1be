#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ci/report/journals.h"

namespace conformance::report {

/// What a difference between two runs means for their host.
enum class Effect { worse, better, changed, expected };

struct Difference {
  Effect effect = Effect::changed;
  std::string part;           ///< "GPUs", "Tests", "Figures", …
  std::string what;           ///< that differs
  std::string before, after;  ///< an empty one: not there
  std::string note;
};

/// What two runs have in common and where they differ; see ci/COMPARE.md.
struct Comparison {
  struct Side {
    std::string file, run, level, verdict;
    double started = 0;
  };
  Side before, after;
  bool simulated = false;
  std::uint64_t nodes = 0;                                    ///< of jobs, compared one by one
  std::uint64_t gpus = 0, tests = 0, figures = 0, facts = 0;  ///< compared
  std::vector<Difference> differences;                        ///< the worse ones first

  bool has(Effect effect) const;
  /// "worse", "better" or "same".
  std::string verdict() const;
};

/// How far apart the medians of a figure must be, in units of the spread of the difference of two
/// samples: three standard deviations, if the samples were normally distributed. Beside it, they
/// must differ by more than the share that kind_of says.
inline constexpr double kSpreads = 3;

/// Compares two runs as load_checked_results reads them; the files name them. Throws CannotRun if
/// they cannot be compared: one simulated and the other not, or nothing in common.
Comparison compare(const Json& before, const std::string& before_file, const Json& after,
                   const std::string& after_file);

/// Compares two merged reports, each node with what it was before, known by its name, and the job's
/// own tests. Throws CannotRun if one of them is of a single host, or no node is in both.
Comparison compare_jobs(const Json& before, const std::string& before_file, const Json& after,
                        const std::string& after_file);

/// For a terminal.
std::string comparison_text(const Comparison& comparison, bool colours);
/// JUnit's XML: a test for each part, which fails if something in it got worse.
std::string comparison_junit(const Comparison& comparison);
/// A page without references to other files.
std::string comparison_html(const Comparison& comparison);

}  // namespace conformance::report
