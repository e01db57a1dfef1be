#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ci/report/journals.h"

namespace conformance::report {

/// What a site expects of its hosts: ci/report/policy.schema.json, told in ci/POLICY.md. What it
/// does not speak of is not judged.
struct Policy {
  struct Gpus {
    std::string model;
    std::uint64_t count = 0;
  };
  /// Versions from `least` to `most`, both included; an empty one is no bound.
  struct Range {
    std::string least, most;
  };
  struct Bound {
    std::string name, unit;
    std::optional<double> least, most;
    std::uint64_t subjects = 1;        ///< of at least so many it must be measured
    std::optional<double> worst_seen;  ///< what the bound was made of; not judged
  };
  /// Patterns, in which * stands for any text.
  struct Skip {
    std::string test, reason;
  };

  std::string file;  ///< where it was read
  std::string note;
  bool simulated = false;
  std::string level;
  std::vector<Gpus> gpus;
  // Of the GPUs in the order of their addresses on the PCI bus; see ReportedHost.
  std::vector<std::string> access;
  std::vector<std::vector<std::string>> paths;
  std::vector<std::uint64_t> nvlinks;
  Range driver, toolkit;
  std::optional<std::vector<std::string>> nccl_settings;
  std::vector<Bound> figures;
  std::vector<Skip> skips;
  std::vector<std::string> tests;  ///< full names of those that must be there
};

/// Reads a policy; throws CannotRun with the place of what is wrong in it.
Policy load_policy(const std::filesystem::path& path);

/// The policy that a conformant run keeps. Throws CannotRun for results that do not tell enough.
Policy record_policy(const Json& results, const std::string& file);
Json to_json(const Policy& policy);

/// The results with the policy's expectations as tests of the entry gate.Policy, their findings,
/// and the verdict that follows from all. Findings of an expectation come after those of the layer
/// that it is about.
Json enforce(const Policy& policy, Json results);

/// 0 for quick, 1 for standard, 2 for stress; -1 for anything else.
int rank_of_level(std::string_view level);

/// Whether `text` is what `pattern` says, in which * stands for any text, also for none.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace conformance::report
