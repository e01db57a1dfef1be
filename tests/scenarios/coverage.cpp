#include "tests/scenarios/coverage.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "ci/report/folder.h"
#include "tests/support/scratch.h"

namespace conformance::scenarios {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Names = std::map<std::string, std::vector<std::string>>;

/// A table of rows and the scenarios of each; rows without any go to `gaps`.
std::string table(const char* what, const std::set<std::string>& rows, Names& by_row,
                  std::vector<std::string>& gaps) {
  std::string text = fmt::format("| {} | scenarios |\n|---|---|\n", what);
  for (const std::string& row : rows) {
    const std::vector<std::string>& names = by_row[row];
    text += fmt::format("| {} | {} |\n", row, fmt::join(names, ", "));
    if (names.empty()) gaps.push_back(fmt::format("no scenario covers {} {}", what, row));
  }
  return text + '\n';
}

std::string field_table(const std::vector<FieldFault>& faults, const std::vector<Outcome>& outcomes,
                        std::vector<std::string>& gaps) {
  std::map<int, std::vector<std::string>> scenarios;
  for (const Outcome& outcome : outcomes) {
    for (const int id : outcome.covers) {
      scenarios[id].push_back(fmt::format(
          "{}: {}", outcome.name,
          outcome.first_finding.empty() ? "a fact, no finding" : outcome.first_finding));
    }
  }
  std::string text =
      "| fault seen in the field | layer | scenario: first finding |\n|---|---|---|\n";
  for (const FieldFault& fault : faults) {
    const std::vector<std::string> names = std::move(scenarios[fault.id]);
    scenarios.erase(fault.id);
    text += fmt::format("| {}. {} | {} | {} |\n", fault.id, fault.fault, fault.layer,
                        names.empty() ? "not injected: " + fault.not_injected
                                      : fmt::format("{}", fmt::join(names, "<br>")));
    if (names.empty() && fault.not_injected.empty()) {
      gaps.push_back(fmt::format("fault {} has neither a scenario nor a reason", fault.id));
    }
    if (!names.empty() && !fault.not_injected.empty()) {
      gaps.push_back(fmt::format("fault {} has a scenario, and a reason for none", fault.id));
    }
  }
  for (const auto& [id, names] : scenarios) {
    gaps.push_back(fmt::format("there is no fault {}, which {} covers", id, names.front()));
  }
  return text + '\n';
}

/// What the scenarios cost, the slowest first.
std::string cost_table(std::vector<Outcome> outcomes) {
  std::sort(outcomes.begin(), outcomes.end(),
            [](const Outcome& a, const Outcome& b) { return a.seconds > b.seconds; });
  double cpu_seconds = 0;
  for (const Outcome& outcome : outcomes) cpu_seconds += outcome.cpu_seconds;
  std::string text = fmt::format(
      "{} scenarios took {:.0f} s of processor time.\n\n"
      "| scenario | s | s of processor time | MiB of the largest process |\n|---|---|---|---|\n",
      outcomes.size(), cpu_seconds);
  for (const Outcome& outcome : outcomes) {
    text += fmt::format("| {} | {:.1f} | {:.1f} | {} |\n", outcome.name, outcome.seconds,
                        outcome.cpu_seconds, outcome.peak_mib);
  }
  return text;
}

}  // namespace

Catalogue read_catalogue(const fs::path& manifests) {
  Catalogue catalogue;
  for (const fs::directory_entry& entry : fs::directory_iterator(manifests)) {
    if (entry.path().extension() != ".json") continue;
    const Json manifest = Json::parse(report::read_file(entry.path()));
    catalogue.layers[manifest.at("layer").get<std::string>()] =
        manifest.at("requires").get<std::vector<std::string>>();
    for (const Json& group : manifest.at("entries")) {
      for (const Json& test : group.at("tests")) {
        catalogue.tests[test.get<std::string>()] = group.at("level").get<std::string>();
      }
    }
    for (const Json& finding : manifest.at("findings")) {
      catalogue.findings.insert(finding.at("code").get<std::string>());
    }
  }
  return catalogue;
}

std::set<std::string> Catalogue::with_below(const std::string& layer) const {
  std::set<std::string> all{layer};
  if (const auto found = layers.find(layer); found != layers.end()) {
    for (const std::string& below : found->second) all.merge(with_below(below));
  }
  return all;
}

std::vector<FieldFault> read_field_faults(const fs::path& file) {
  std::vector<FieldFault> faults;
  const Json document = Json::parse(report::read_file(file));
  for (const Json& row : document.at("faults")) {
    FieldFault fault{row.at("id").get<int>(), row.at("layer").get<std::string>(),
                     row.at("fault").get<std::string>(), row.value("not_injected", std::string())};
    if (!faults.empty() && faults.back().id >= fault.id) {
      throw std::runtime_error(
          fmt::format("{}: fault {} is out of order", file.native(), fault.id));
    }
    faults.push_back(std::move(fault));
  }
  return faults;
}

std::vector<std::string> write_coverage(const fs::path& file, const Catalogue& catalogue,
                                        const std::vector<FieldFault>& faults,
                                        std::vector<Outcome> outcomes) {
  std::sort(outcomes.begin(), outcomes.end(),
            [](const Outcome& a, const Outcome& b) { return a.name < b.name; });
  Names by_test, by_finding;
  for (const Outcome& outcome : outcomes) {
    for (const std::string& test : outcome.failed) by_test[test].push_back(outcome.name);
    for (const std::string& code : outcome.findings) by_finding[code].push_back(outcome.name);
  }
  std::vector<std::string> gaps;
  std::string text = "# Coverage\n\nWritten by the scenario driver; see README.md.\n\n";
  if (!faults.empty()) text += field_table(faults, outcomes, gaps);
  std::set<std::string> tests;
  for (const auto& [test, level] : catalogue.tests) tests.insert(test);
  text += table("test", tests, by_test, gaps);
  text += table("finding", catalogue.findings, by_finding, gaps);
  text += cost_table(std::move(outcomes));
  support::write_scratch(file, text);
  return gaps;
}

}  // namespace conformance::scenarios
