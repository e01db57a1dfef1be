#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ci/report/journals.h"

namespace conformance::report {

/// A GPU as the facts of a run tell of it.
struct ReportedGpu {
  std::size_t ordinal = 0;  ///< CUDA's
  std::string model, uuid, bus_id;
  std::string capability;  ///< such as "9.0"
  std::uint64_t multiprocessors = 0, memory_mib = 0;
  std::optional<std::uint64_t> nvlinks;  ///< those that are up
};

/// The host that a run tested, as its results.json tells of it.
struct ReportedHost {
  std::vector<ReportedGpu> gpus;  ///< in the order of their addresses on the PCI bus
  /// For each GPU in that order whether it has access to the memory of each: '1', '0' or '-' for
  /// itself, as in "-1". Nothing if the run did not tell.
  std::optional<std::vector<std::string>> access;
  /// In the same way how each GPU reaches each: "NV18", "PIX", … and "-".
  std::optional<std::vector<std::vector<std::string>>> paths;
};

/// Throws CannotRun, naming `file`, for facts that no run of this suite tells.
ReportedHost host_of(const Json& results, const std::string& file);

/// The value of a fact; null if the run did not tell it.
const Json& fact(const Json& results, std::string_view name);

/// How good a path is, by its mark: more NVLinks before fewer, then fewer hops; 0 if unknown.
int rank_of_path(std::string_view mark);

/// Of versions such as "580.159.04" and "13.0": the numbers between the dots decide, and what is
/// missing counts as 0. Nothing if one of them is something else.
std::optional<std::strong_ordering> compare_versions(std::string_view one, std::string_view other);

/// The parts of a text between separators; one of an empty text.
std::vector<std::string> split(std::string_view text, std::string_view separator);

}  // namespace conformance::report
