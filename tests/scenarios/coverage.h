#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace conformance::scenarios {

/// What came of a scenario.
struct Outcome {
  std::string name;
  std::vector<int> covers;  ///< faults seen in the field
  std::string first_finding;
  std::vector<std::string> problems;
  std::set<std::string> failed;    ///< tests this scenario failed, as expected and seen
  std::set<std::string> findings;  ///< codes it produced
  double seconds = 0;
  double cpu_seconds = 0;
  std::size_t peak_mib = 0;  ///< of its largest process
};

/// What the build holds: every test, by layer, and every finding code.
struct Catalogue {
  std::map<std::string, std::string> tests;  ///< each test's level
  std::set<std::string> findings;
  /// Each layer, and those that it stands on directly.
  std::map<std::string, std::vector<std::string>> layers;

  /// A layer and all that it stands on.
  std::set<std::string> with_below(const std::string& layer) const;
};
Catalogue read_catalogue(const std::filesystem::path& manifests);

/// A fault that users met on real hosts: field/faults.json.
struct FieldFault {
  int id = 0;
  std::string layer;
  std::string fault;
  std::string not_injected;  ///< why there is no scenario; empty if there must be one
};
std::vector<FieldFault> read_field_faults(const std::filesystem::path& file);

/// Writes which scenario fails which test, produces which finding and stands for which fault of the
/// field, and what each cost; yields what no scenario covers, or contradicts the catalogue.
std::vector<std::string> write_coverage(const std::filesystem::path& file,
                                        const Catalogue& catalogue,
                                        const std::vector<FieldFault>& faults,
                                        std::vector<Outcome> outcomes);

}  // namespace conformance::scenarios
