#include "ci/report/results.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "ci/report/findings.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

// What may become of a test, the worst first: an entry's or a layer's outcome is its worst test's.
constexpr std::array<std::string_view, 8> kOutcomes{"crashed", "timed-out", "error",  "failed",
                                                    "blocked", "slow",      "passed", "skipped"};

bool is_good(std::string_view outcome) { return outcome == "passed" || outcome == "skipped"; }

struct JudgedTest {
  TestRecord record;
  std::string outcome;
  std::string blocked_by;  ///< a test's full name
};

struct JudgedEntry {
  std::string name, layer, level;
  bool gate = false;
  bool selected = false;
  const EntryRecord* record = nullptr;  ///< null if the entry did not run
  std::vector<JudgedTest> tests;
};

struct JudgedLayer {
  std::string name;
  std::vector<std::string> needs;
  std::vector<JudgedEntry> entries;  ///< the gate first
};

template <typename Tests>
std::string worst(const Tests& tests, std::string_view of_none) {
  for (const std::string_view outcome : kOutcomes) {
    if (std::ranges::any_of(tests, [&](const auto& test) { return test.outcome == outcome; })) {
      return std::string(outcome);
    }
  }
  return std::string(of_none);
}

ReportedFinding own_finding(const FindingKind& kind, std::string detail, double time) {
  ReportedFinding finding;
  finding.code = kind.code;
  finding.severity = to_string(kind.severity);
  finding.detail = std::move(detail);
  finding.cause = kind.cause;
  finding.remedy = kind.remedy;
  const Subject host = host_subject();
  finding.subject = {{"kind", host.kind}, {"name", host.name}};
  finding.time = time;
  return finding;
}

/// How a process that did not end in order came to its end.
struct Fate {
  std::string outcome;  ///< of the test that it ended in
  const FindingKind* kind;
  std::string description;
};

Fate fate_of(const EntryRecord& record, double now) {
  if (record.end == "timed-out") {
    return {"timed-out", &timed_out,
            fmt::format("the process was ended at its limit of {:.0f} s", record.limit_seconds)};
  }
  if (record.end == "interrupted") {
    return {"error", &interrupted,
            fmt::format("ended from outside after {:.1f} s", record.seconds)};
  }
  if (record.end == "signalled") {
    return {
        "crashed", &crashed,
        fmt::format("the process was killed by signal {} ({})", record.code,
                    record.code > 0 && record.code < 65 ? ::strsignal(static_cast<int>(record.code))
                                                        : "unknown")};
  }
  if (record.end == "exited") {
    return {"crashed", &crashed, fmt::format("the process exited with code {}", record.code)};
  }
  // The launcher said nothing, so it was killed itself: by CTest, whose limit is behind the
  // launcher's, or by whoever ended the run.
  if (record.launched && record.limit_seconds > 0 && now - record.started >= record.limit_seconds) {
    return {"timed-out", &timed_out,
            fmt::format("the process could not be ended at its limit of {:.0f} s",
                        record.limit_seconds)};
  }
  return {"error", &interrupted, "the launcher was killed before it could say how the test ended"};
}

class Judge {
 public:
  explicit Judge(const Records& records) : records_(records), warnings_(records.warnings) {}

  Json run() {
    collect_layers();
    for (JudgedLayer& layer : layers_) {
      for (JudgedEntry& entry : layer.entries) {
        if (entry.selected) judge_entry(entry);
      }
    }
    return results();
  }

 private:
  bool is_selected(std::string_view entry, std::string_view level) const {
    // What ran was asked for, whatever run.json says.
    if (records_.entries.contains(std::string(entry))) return true;
    if (records_.run.selection) {
      return std::ranges::find(*records_.run.selection, entry, &SelectedEntry::name) !=
             records_.run.selection->end();
    }
    const auto rank = [](std::string_view name) {
      return name == "quick" ? 0 : name == "standard" ? 1 : 2;
    };
    return rank(level) <= rank(records_.run.level);
  }

  void collect_layers() {
    std::set<std::string> listed;
    for (const Manifest& manifest : records_.manifests) {
      JudgedLayer& layer = layers_.emplace_back();
      layer.name = manifest.layer;
      layer.needs = manifest.needs;
      for (const ListedEntry& item : manifest.entries) {
        add_entry(layer, item.name, item.level, item.gate, item.tests);
        listed.insert(item.name);
      }
    }
    // Entries without a manifest: a suite that was not built, or that was renamed since.
    const auto add_unlisted = [&](const std::string& name, const std::string& level) {
      if (!listed.insert(name).second) return;
      warnings_.push_back(fmt::format("{} is in no manifest: its tests are not known", name));
      const std::string layer = name.substr(0, name.find('.'));
      auto place = std::ranges::find(layers_, layer, &JudgedLayer::name);
      if (place == layers_.end()) {
        layers_.push_back({layer, {}, {}});
        place = layers_.end() - 1;
      }
      add_entry(*place, name, level, name == layer + ".Gate", {});
    };
    if (records_.run.selection) {
      for (const SelectedEntry& entry : *records_.run.selection) {
        add_unlisted(entry.name, entry.level);
      }
    }
    for (const auto& [name, record] : records_.entries) add_unlisted(name, "");
  }

  void add_entry(JudgedLayer& layer, const std::string& name, const std::string& level, bool gate,
                 const std::vector<std::string>& tests) {
    JudgedEntry entry;
    entry.name = name;
    entry.layer = layer.name;
    entry.level = level;
    entry.gate = gate;
    entry.selected = is_selected(name, level);
    if (const auto found = records_.entries.find(name); found != records_.entries.end()) {
      entry.record = &found->second;
    }
    std::set<std::string> known(tests.begin(), tests.end());
    for (const std::string& test : tests) entry.tests.emplace_back().record.name = test;
    if (entry.record != nullptr) {
      for (const TestRecord& test : entry.record->tests) {
        if (known.insert(test.name).second) {
          if (!tests.empty()) warnings_.push_back(fmt::format("{} is in no manifest", test.name));
          entry.tests.emplace_back().record.name = test.name;
        }
        std::ranges::find(entry.tests, test.name, [](const JudgedTest& item) {
          return item.record.name;
        })->record = test;
      }
    }
    // An entry of which no test is known still has to count.
    if (entry.tests.empty()) entry.tests.emplace_back().record.name = name;
    layer.entries.push_back(std::move(entry));
  }

  void judge_entry(JudgedEntry& entry) {
    if (entry.record == nullptr) {
      judge_entry_that_did_not_run(entry);
      return;
    }
    const EntryRecord& record = *entry.record;
    std::set<std::string> started;
    for (const TestRecord& test : record.tests) started.insert(test.name);
    for (JudgedTest& test : entry.tests) {
      if (test.record.outcome) test.outcome = *test.record.outcome;
      if (test.outcome == "passed" && test.record.verified_count == 0) {
        test.outcome = "failed";
        test.record.findings.push_back(own_finding(finding::nothing_verified,
                                                   "the journal holds nothing that it verified",
                                                   record.last_time));
      }
    }
    // Where the process came to its end, if not in order: in a test that started and did not end,
    // else before the first one that did not start.
    const auto ended_in = std::ranges::find_if(entry.tests, [&](const JudgedTest& test) {
      return !test.record.outcome && started.contains(test.record.name);
    });
    const auto not_started = std::ranges::find_if(
        entry.tests, [&](const JudgedTest& test) { return !started.contains(test.record.name); });
    std::string stopped_by;
    if (ended_in != entry.tests.end() && !(record.process_ended && record.abandoned.empty())) {
      const Fate fate = fate_of(record, records_.now);
      stop_at(*ended_in, record, fate.outcome, *fate.kind, fate.description);
      stopped_by = ended_in->record.name;
    } else if (!record.abandoned.empty() && !record.tests.empty()) {
      // The process ended itself after its last test, which says why.
      stopped_by = record.tests.back().name;
    } else if (not_started != entry.tests.end() && !record.process_ended) {
      stop_before(*not_started, record);
      stopped_by = not_started->record.name;
    }
    for (JudgedTest& test : entry.tests) {
      if (!test.outcome.empty()) continue;
      if (stopped_by.empty()) {
        add_no_record(test, record.last_time,
                      started.contains(test.record.name)
                          ? "the process ended in order, but the test's end is not in the journal"
                          : "the process ended in order without running it");
      } else {
        test.outcome = "blocked";
        test.blocked_by = stopped_by;
      }
    }
    judge_process_end(entry);
  }

  /// The process ended before `test` started.
  void stop_before(JudgedTest& test, const EntryRecord& record) {
    const bool any_test = !record.tests.empty();
    if (record.end == "not-started") {
      stop_at(test, record, "error", did_not_start,
              fmt::format("the process could not be started: {}",
                          std::strerror(static_cast<int>(record.code))));
    } else if (record.end == "exited" && !any_test) {
      stop_at(test, record, "error", did_not_start,
              fmt::format("the process exited with code {} before its first test", record.code));
    } else {
      const Fate fate = fate_of(record, records_.now);
      stop_at(test, record, fate.outcome, *fate.kind,
              fmt::format("{} {}", fate.description,
                          any_test ? "between two tests" : "before its first test"));
    }
  }

  static void stop_at(JudgedTest& test, const EntryRecord& record, const std::string& outcome,
                      const FindingKind& kind, const std::string& description) {
    test.outcome = outcome;
    ReportedFinding finding = own_finding(kind, description, record.last_time);
    finding.evidence["end"] = record.end.empty() ? "unknown" : record.end;
    if (record.end == "signalled") finding.evidence["signal"] = record.code;
    if (record.end == "exited") finding.evidence["exit_code"] = record.code;
    if (record.end == "not-started") finding.evidence["errno"] = record.code;
    finding.evidence["seconds"] = record.seconds;
    if (!record.output.empty()) finding.evidence["output"] = record.output;
    test.record.findings.push_back(std::move(finding));
  }

  static void add_no_record(JudgedTest& test, double time, const std::string& detail) {
    test.outcome = "error";
    test.record.findings.push_back(own_finding(no_record, detail, time));
  }

  /// A process whose tests all ended well must end well itself: a crash in the driver's exit
  /// handlers is a finding too.
  void judge_process_end(JudgedEntry& entry) const {
    const EntryRecord& record = *entry.record;
    const bool well =
        record.end == "exited" && (record.code == 0 || record.code == 77) && record.process_ended;
    if (well || !std::ranges::all_of(
                    entry.tests, [](const JudgedTest& test) { return is_good(test.outcome); })) {
      return;
    }
    const Fate fate = fate_of(record, records_.now);
    stop_at(entry.tests.back(), record, fate.outcome, *fate.kind,
            fmt::format("{}, after its last test had ended", fate.description));
  }

  void judge_entry_that_did_not_run(JudgedEntry& entry) {
    const std::string culprit = failed_gate(entry);
    for (JudgedTest& test : entry.tests) {
      if (culprit.empty()) {
        add_no_record(test, records_.run.started,
                      fmt::format("{} was asked for and did not run", entry.name));
      } else {
        test.outcome = "blocked";
        test.blocked_by = culprit;
      }
    }
  }

  /// The first test that did not pass in a gate which `entry` stands on, the lowest layer first;
  /// empty if there is none. CTest does not run what stands on a failed gate.
  std::string failed_gate(const JudgedEntry& entry) const {
    std::set<std::string> below = layers_below(entry.layer);
    if (!entry.gate) below.insert(entry.layer);
    for (const JudgedLayer& layer : layers_) {
      if (!below.contains(layer.name)) continue;
      for (const JudgedEntry& gate : layer.entries) {
        if (!gate.gate || !gate.selected) continue;
        for (const JudgedTest& test : gate.tests) {
          if (test.outcome.empty() || is_good(test.outcome)) continue;
          return test.outcome == "blocked" ? test.blocked_by : test.record.name;
        }
      }
    }
    return "";
  }

  std::set<std::string> layers_below(const std::string& name) const {
    std::set<std::string> below;
    std::vector<std::string> open{name};
    while (!open.empty()) {
      const std::string current = std::move(open.back());
      open.pop_back();
      const auto layer = std::ranges::find(layers_, current, &JudgedLayer::name);
      if (layer == layers_.end()) continue;
      for (const std::string& needed : layer->needs) {
        if (needed != name && below.insert(needed).second) open.push_back(needed);
      }
    }
    return below;
  }

  Json findings() const {
    // The layers are in order, so sorting each layer by time is all there is to do.
    Json good = Json::array();
    Json all = Json::array();
    for (const JudgedLayer& layer : layers_) {
      std::vector<std::pair<double, Json>> of_layer;
      for (const JudgedEntry& entry : layer.entries) {
        for (const JudgedTest& test : entry.tests) {
          for (const ReportedFinding& finding : test.record.findings) {
            of_layer.emplace_back(finding.time, Json{{"code", finding.code},
                                                     {"severity", finding.severity},
                                                     {"layer", layer.name},
                                                     {"entry", entry.name},
                                                     {"test", test.record.name},
                                                     {"outcome", test.outcome},
                                                     {"subject", finding.subject},
                                                     {"detail", finding.detail},
                                                     {"cause", finding.cause},
                                                     {"remedy", finding.remedy},
                                                     {"evidence", finding.evidence},
                                                     {"time", finding.time}});
          }
        }
      }
      std::ranges::stable_sort(of_layer, {}, &std::pair<double, Json>::first);
      for (auto& [time, finding] : of_layer) {
        // What a test remarked and passed in spite of comes after what made the host fail.
        (is_good(finding["outcome"].get<std::string>()) ? good : all).push_back(finding);
      }
    }
    for (Json& finding : good) all.push_back(std::move(finding));
    return all;
  }

  static Json test_json(const JudgedEntry& entry, const JudgedTest& test) {
    const TestRecord& record = test.record;
    Json codes = Json::array();
    for (const ReportedFinding& finding : record.findings) codes.push_back(finding.code);
    Json verified = Json::array();
    for (const VerifiedCount& each : record.verified) {
      verified.push_back({{"count", each.count}, {"what", each.what}});
    }
    return {{"name", record.name},
            {"entry", entry.name},
            {"layer", entry.layer},
            {"outcome", test.outcome},
            {"claim", record.claim},
            {"source", record.source},
            {"blocked_by", test.blocked_by.empty() ? Json(nullptr) : Json(test.blocked_by)},
            {"skip_reason", test.outcome == "skipped" ? Json(record.skip_reason) : Json(nullptr)},
            {"seconds", record.seconds},
            {"verified", verified},
            {"figures", record.figures},
            {"messages", record.messages},
            {"findings", codes}};
  }

  static Json entry_json(const JudgedEntry& entry) {
    const bool launched = entry.record != nullptr && entry.record->launched;
    Json json{{"name", entry.name},
              {"layer", entry.layer},
              {"level", entry.level},
              {"gate", entry.gate},
              {"selected", entry.selected},
              {"outcome", entry.selected ? worst(entry.tests, "error") : "not-selected"},
              {"started", launched ? Json(entry.record->started) : Json(nullptr)},
              {"seconds", entry.record ? entry.record->seconds : 0.0}};
    if (entry.record != nullptr) {
      const EntryRecord& record = *entry.record;
      json["process"] = {{"end", record.end.empty() ? "unknown" : record.end},
                         {"code", record.code},
                         {"attempts", record.attempts},
                         {"environment", record.environment},
                         {"abandoned", record.abandoned}};
    } else {
      json["process"] = nullptr;
    }
    return json;
  }

  Json facts() const {
    Json facts = Json::array();
    for (const JudgedLayer& layer : layers_) {
      for (const JudgedEntry& entry : layer.entries) {
        if (entry.record == nullptr) continue;
        for (const Json& fact : entry.record->facts) {
          const bool known = std::ranges::any_of(facts, [&](const Json& item) {
            return item["name"] == fact["name"] && item["value"] == fact["value"];
          });
          if (!known) {
            facts.push_back(
                {{"name", fact["name"]}, {"value", fact["value"]}, {"entry", entry.name}});
          }
        }
      }
    }
    return facts;
  }

  Json results() {
    Json counts = Json::object();
    for (const std::string_view outcome : kOutcomes) counts[std::string(outcome)] = 0;
    Json tests = Json::array();
    Json entries = Json::array();
    Json layers = Json::array();
    bool any_verified = false;
    bool all_good = true;
    bool simulated = records_.run.simulated;
    double ended = records_.run.started;
    for (const JudgedLayer& layer : layers_) {
      std::vector<JudgedTest> of_layer;
      for (const JudgedEntry& entry : layer.entries) {
        entries.push_back(entry_json(entry));
        if (entry.record != nullptr) {
          simulated = simulated || entry.record->simulated;
          ended = std::max(ended, entry.record->last_time);
        }
        if (!entry.selected) continue;
        for (const JudgedTest& test : entry.tests) {
          tests.push_back(test_json(entry, test));
          counts[test.outcome] = counts[test.outcome].get<int>() + 1;
          all_good = all_good && is_good(test.outcome);
          any_verified =
              any_verified || (test.outcome == "passed" && test.record.verified_count > 0);
          of_layer.push_back(test);
        }
      }
      layers.push_back({{"name", layer.name},
                        {"requires", layer.needs},
                        {"outcome", worst(of_layer, "not-selected")}});
    }
    if (simulated && !records_.run.simulated) {
      warnings_.emplace_back("a suite ran simulated although the run was not asked to");
    }
    Json found = findings();
    if (all_good && !any_verified) found.insert(found.begin(), nothing_ran_finding());
    const bool conformant = all_good && any_verified;
    return {{"schema", "cuda-conformance/results"},
            {"schema_version", 1},
            {"title", simulated ? "simulated: CUDA conformance" : "CUDA conformance"},
            {"verdict", conformant ? "conformant" : "not-conformant"},
            {"simulated", simulated},
            {"run",
             {{"id", records_.run.id},
              {"started", records_.run.started},
              {"ended", ended},
              {"level", records_.run.level},
              {"cuda_origin", records_.run.cuda_origin},
              {"selection", records_.run.selection ? "ctest" : "level"}}},
            {"counts", counts},
            {"first_finding", found.empty() || conformant ? Json(nullptr) : found.front()},
            {"findings", found},
            {"facts", facts()},
            {"layers", layers},
            {"entries", entries},
            {"tests", tests},
            {"warnings", warnings_}};
  }

  Json nothing_ran_finding() const {
    const ReportedFinding finding = own_finding(
        nothing_ran, "no selected test passed that verified anything", records_.run.started);
    return {{"code", finding.code},
            {"severity", finding.severity},
            {"layer", nullptr},
            {"entry", nullptr},
            {"test", nullptr},
            {"outcome", nullptr},
            {"subject", finding.subject},
            {"detail", finding.detail},
            {"cause", finding.cause},
            {"remedy", finding.remedy},
            {"evidence", Json::object()},
            {"time", finding.time}};
  }

  const Records& records_;
  std::vector<std::string> warnings_;
  std::vector<JudgedLayer> layers_;
};

}  // namespace

Json judge(const Records& records) { return Judge(records).run(); }

Json load_results(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    Json results = Json::parse(text);
    if (results.at("schema") != "cuda-conformance/results") {
      throw CannotRun(fmt::format("{} is no results.json of this suite", path.native()));
    }
    if (results.at("schema_version") != 1) {
      throw CannotRun(fmt::format("{} is of another version", path.native()));
    }
    return results;
  } catch (const Json::exception& error) {
    throw CannotRun(fmt::format("{} is damaged: {}", path.native(), error.what()));
  }
}

std::string words(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string figures_title(const Json& results) {
  return results.at("simulated").get<bool>() ? "Figures, of modelled time" : "Figures";
}

}  // namespace conformance::report
