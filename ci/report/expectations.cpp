// What a policy is made of and held against: the results of a run.

#include <algorithm>
#include <compare>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ci/report/findings.h"
#include "ci/report/host.h"
#include "ci/report/policy.h"
#include "ci/report/statistics.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

constexpr const char* kEntry = "gate.Policy";
/// Of names in a finding's evidence.
constexpr std::size_t kMostNames = 10;

/// The variables that change what NCCL does; what it prints, and the label of NVIDIA's images, are
/// none. A value may hold spaces.
std::vector<std::string> nccl_settings(const Json& environment) {
  std::vector<std::string> settings;
  if (!environment.is_string() || environment == "none") return settings;
  for (const std::string& word : split(environment.get<std::string>(), " ")) {
    if (word.starts_with("NCCL_") || settings.empty()) {
      settings.push_back(word);
    } else {
      settings.back() += ' ' + word;
    }
  }
  std::erase_if(settings, [](const std::string& setting) {
    return setting.starts_with("NCCL_DEBUG") || setting.starts_with("NCCL_VERSION=");
  });
  return settings;
}

struct Measured {
  double value = 0;
  std::string subject, test, layer;
};

/// The figures of a run by name and unit.
std::map<std::pair<std::string, std::string>, std::vector<Measured>> measured(const Json& results) {
  std::map<std::pair<std::string, std::string>, std::vector<Measured>> figures;
  for (const Json& test : results.at("tests")) {
    for (const Json& figure : test.at("figures")) {
      if (!figure.at("value").is_number()) continue;
      figures[{figure.at("name").get<std::string>(), figure.at("unit").get<std::string>()}]
          .push_back({figure.at("value").get<double>(),
                      figure.at("subject").at("name").get<std::string>(),
                      test.at("name").get<std::string>(), test.at("layer").get<std::string>()});
    }
  }
  return figures;
}

std::size_t count_subjects(const std::vector<Measured>& figures) {
  std::set<std::string_view> subjects;
  for (const Measured& figure : figures) subjects.insert(figure.subject);
  return subjects.size();
}

/// With four digits, so that a person can read the file.
double rounded(double value) { return std::stod(fmt::format("{:.4g}", value)); }

std::string gpu_name(const ReportedGpu& gpu) {
  return fmt::format("GPU {} ({}, {})", gpu.ordinal, gpu.uuid, gpu.bus_id);
}

std::string pair_name(const ReportedGpu& from, const ReportedGpu& to) {
  return fmt::format("GPU {} -> GPU {} ({} -> {})", from.ordinal, to.ordinal, from.bus_id,
                     to.bus_id);
}

/// One expectation, as a test of the entry gate.Policy.
struct Expectation {
  std::string name, claim, what;
  std::uint64_t verified = 0;
  std::vector<std::pair<std::string, Json>> findings;  ///< with the layer that each is about
  bool is_cause = false;  ///< of what may be found in that layer, so that it comes first
  std::string blocked_by;
};

class Enforcer {
 public:
  Enforcer(const Policy& policy, Json results)
      : policy_(policy), results_(std::move(results)), host_(host_of(results_, "the run")) {}

  Json run() {
    judge_run();
    if (!policy_.tests.empty()) judge_tests();
    judge_gpus();
    judge_versions();
    if (!policy_.access.empty()) judge_access();
    if (!policy_.nvlinks.empty() || !policy_.paths.empty()) judge_links();
    if (policy_.nccl_settings) judge_settings();
    judge_skips();
    if (!policy_.figures.empty()) judge_figures();
    return conclude();
  }

 private:
  Expectation& expect(const char* name, const char* claim, const char* what) {
    return expectations_.emplace_back(
        Expectation{std::string(kEntry) + "." + name, claim, what, 0, {}, false, ""});
  }

  void add(Expectation& expectation, const char* layer, const FindingKind& kind,
           const Subject& subject, const std::string& detail, Json evidence) {
    expectation.findings.emplace_back(
        layer, Json{{"code", kind.code},
                    {"severity", to_string(kind.severity)},
                    {"layer", "gate"},
                    {"entry", kEntry},
                    {"test", expectation.name},
                    {"outcome", "failed"},
                    {"subject", {{"kind", subject.kind}, {"name", subject.name}}},
                    {"detail", detail},
                    {"cause", kind.cause},
                    {"remedy", kind.remedy},
                    {"evidence", std::move(evidence)},
                    {"time", results_.at("run").at("ended")}});
  }

  void judge_run() {
    Expectation& expectation =
        expect("TheRunIsOfTheKindThatThePolicyIsFor",
               "The run used real or simulated GPUs, and reached the level, as the policy says",
               "properties");
    const bool simulated = results_.at("simulated").get<bool>();
    const std::string level = results_.at("run").at("level").get<std::string>();
    const auto kind = [](bool is) { return is ? "simulated" : "real"; };
    ++expectation.verified;
    if (simulated != policy_.simulated) {
      add(expectation, "environment", other_run, host_subject(),
          fmt::format("the run used {} GPUs, the policy is for {} ones", kind(simulated),
                      kind(policy_.simulated)),
          {{"policy", policy_.file}});
    }
    if (policy_.level.empty()) return;
    ++expectation.verified;
    if (rank_of_level(level) < rank_of_level(policy_.level)) {
      add(expectation, "environment", other_run, host_subject(),
          fmt::format("the run's level was {}, the policy is for {}", level, policy_.level),
          {{"expected", policy_.level}, {"found", level}});
    }
  }

  /// Whether what the run did not tell is clear from the tests that it left out: one finding, not
  /// many.
  bool left_out(Expectation& expectation) const {
    expectation.blocked_by = tests_test_;
    return !tests_test_.empty();
  }

  void judge_gpus() {
    if (policy_.gpus.empty()) return;
    Expectation& expectation = expect(
        "TheGpusAreThere", "The host has as many GPUs of each model as the policy names", "GPUs");
    std::map<std::string, std::uint64_t> expected;
    for (const Policy::Gpus& gpus : policy_.gpus) expected[gpus.model] += gpus.count;
    for (const auto& [model, count] : expected) {
      const auto found =
          static_cast<std::uint64_t>(std::ranges::count(host_.gpus, model, &ReportedGpu::model));
      expectation.verified += std::max<std::uint64_t>(1, std::min(count, found));
      if (found >= count) continue;
      Json evidence{{"model", model}, {"expected", count}, {"found", found}};
      std::string others;
      for (const ReportedGpu& gpu : host_.gpus) {
        if (gpu.model != model) others += (others.empty() ? "" : ", ") + gpu.model;
      }
      if (!others.empty()) evidence["other_models"] = others;
      std::string why;
      const Json& visible = fact(results_, "devices.visible-list");
      if (visible.is_string() && visible != "not set") {
        evidence["CUDA_VISIBLE_DEVICES"] = visible;
        why = fmt::format("; CUDA_VISIBLE_DEVICES is {}", visible.get<std::string>());
      }
      add(expectation, "devices", gpu_missing, {"host", "this host"},
          fmt::format("{} of {} {}{}", found, count, model, why), evidence);
    }
    // What is missing is not asked for again, and with another number of GPUs their places say
    // nothing.
    std::uint64_t all = 0;
    for (const Policy::Gpus& gpus : policy_.gpus) all += gpus.count;
    same_gpus_ = expectation.findings.empty() && all == host_.gpus.size();
    if (!expectation.findings.empty()) gpus_test_ = expectation.name;
  }

  void judge_versions() {
    const auto bounded = [](const Policy::Range& range) {
      return !range.least.empty() || !range.most.empty();
    };
    if (!bounded(policy_.driver) && !bounded(policy_.toolkit)) return;
    Expectation& expectation = expect(
        "VersionsAreInTheirRange",
        "The versions of driver and toolkit are within the ranges of the policy", "versions");
    const auto judge = [&](const char* layer, const char* name, const Policy::Range& range) {
      if (!bounded(range)) return;
      ++expectation.verified;
      const Json& value = fact(results_, name);
      if (!value.is_string() && left_out(expectation)) return;
      const std::string found = value.is_string() ? value.get<std::string>() : "unknown";
      const auto order = [&](const std::string& bound) { return compare_versions(found, bound); };
      const bool above =
          range.least.empty() || (order(range.least) && std::is_gteq(*order(range.least)));
      const bool below =
          range.most.empty() || (order(range.most) && std::is_lteq(*order(range.most)));
      if (above && below) return;
      const std::string allowed = range.most.empty() ? fmt::format("at least {}", range.least)
                                  : range.least.empty()
                                      ? fmt::format("at most {}", range.most)
                                      : fmt::format("from {} to {}", range.least, range.most);
      add(expectation, layer, version_unexpected, host_subject(),
          fmt::format("{} is {}, the policy allows {}", name, found, allowed),
          {{"expected", allowed}, {"found", found}});
    };
    judge("environment", "toolkit.version", policy_.toolkit);
    judge("driver", "driver.version", policy_.driver);
  }

  /// Whether places of GPUs mean the same as in the policy; otherwise the expectation is blocked,
  /// or if there are more GPUs than expected, fails.
  bool places_are_known(Expectation& expectation, const char* layer, const FindingKind& kind) {
    if (same_gpus_) return true;
    if (!gpus_test_.empty()) {
      expectation.blocked_by = gpus_test_;
    } else {
      add(expectation, layer, kind, host_subject(),
          fmt::format("the host has {} GPUs, other ones than the policy's, so their places are not "
                      "those of its matrix",
                      host_.gpus.size()),
          {{"found", host_.gpus.size()}});
    }
    return false;
  }

  void judge_access() {
    Expectation& expectation =
        expect("PeersHaveAccess",
               "Every GPU has access to the memory of each GPU that the policy says", "pairs");
    if (!places_are_known(expectation, "peer", peer_access_missing)) return;
    if (!host_.access && left_out(expectation)) return;
    for_each_pair([&](std::size_t from, std::size_t to) {
      if (policy_.access[from][to] != '1') return;
      ++expectation.verified;
      if (host_.access && (*host_.access)[from][to] == '1') return;
      add(expectation, "peer", peer_access_missing,
          {"pair", pair_name(host_.gpus[from], host_.gpus[to])},
          host_.access ? "no access" : "the run did not tell whether there is access",
          {{"expected", true}, {"found", host_.access ? Json(false) : Json(nullptr)}});
    });
  }

  void judge_links() {
    Expectation& expectation =
        expect("LinksAreUp",
               "NVLinks are as many, and ways between GPUs as short, as the policy says", "links");
    if (!places_are_known(expectation, "devices", link_missing)) return;
    for (std::size_t gpu = 0; gpu < policy_.nvlinks.size(); ++gpu) {
      ++expectation.verified;
      const auto found = host_.gpus[gpu].nvlinks;
      if (found.value_or(0) >= policy_.nvlinks[gpu]) continue;
      if (!found && left_out(expectation)) continue;
      add(expectation, "devices", link_missing, {"device", gpu_name(host_.gpus[gpu])},
          found ? fmt::format("{} of {} NVLinks are up", *found, policy_.nvlinks[gpu])
                : "the run did not tell how many NVLinks are up",
          {{"expected", policy_.nvlinks[gpu]}, {"found", found ? Json(*found) : Json(nullptr)}});
    }
    if (policy_.paths.empty() || (!host_.paths && left_out(expectation))) return;
    for_each_pair([&](std::size_t from, std::size_t to) {
      const std::string& expected = policy_.paths[from][to];
      if (expected == "?") return;
      ++expectation.verified;
      const std::string found = host_.paths ? (*host_.paths)[from][to] : "not told";
      if (rank_of_path(found) >= rank_of_path(expected)) return;
      add(expectation, "peer", link_missing, {"pair", pair_name(host_.gpus[from], host_.gpus[to])},
          fmt::format("{}, the policy says {}", found, expected),
          {{"expected", expected}, {"found", found}});
    });
  }

  void judge_settings() {
    Expectation& expectation =
        expect("SettingsOfNcclAreThePolicys",
               "The variables that change what NCCL does are set as the policy says", "settings");
    const Json& environment = fact(results_, "nccl.environment");
    ++expectation.verified;
    if (!environment.is_string()) {
      if (left_out(expectation)) return;
      add(expectation, "nccl", setting_unexpected, host_subject(),
          "the run did not tell which variables of NCCL are set", Json::object());
      return;
    }
    expectation.is_cause = true;
    const std::vector<std::string> found = nccl_settings(environment);
    const auto add_each = [&](const std::vector<std::string>& wanted,
                              const std::vector<std::string>& in, const char* what) {
      for (const std::string& setting : wanted) {
        ++expectation.verified;
        if (std::ranges::find(in, setting) != in.end()) continue;
        add(expectation, "nccl", setting_unexpected,
            {"variable", setting.substr(0, setting.find('='))}, fmt::format("{} {}", setting, what),
            {{"expected", fmt::format("{}", fmt::join(*policy_.nccl_settings, " "))},
             {"found", fmt::format("{}", fmt::join(found, " "))}});
      }
    };
    add_each(found, *policy_.nccl_settings, "is set, the policy does not have it");
    add_each(*policy_.nccl_settings, found, "is not set");
  }

  void judge_tests() {
    Expectation& expectation = expect(
        "ExpectedTestsWereRun", "Every test that the policy names was part of the run", "tests");
    std::set<std::string_view> there;
    for (const Json& test : results_.at("tests")) {
      there.insert(test.at("name").get_ref<const std::string&>());
    }
    std::map<std::string, std::vector<std::string>> missing;  // by entry
    for (const std::string& test : policy_.tests) {
      ++expectation.verified;
      if (!there.contains(test)) missing[test.substr(0, test.rfind('.'))].push_back(test);
    }
    for (const auto& [entry, tests] : missing) {
      const bool known = std::ranges::any_of(results_.at("entries"), [&](const Json& item) {
        return item.at("name") == entry && item.at("selected") == false;
      });
      add_names(expectation, entry.substr(0, entry.find('.')), test_missing, entry, tests,
                known ? "not selected" : "not there");
    }
    if (!missing.empty()) tests_test_ = expectation.name;
  }

  void judge_skips() {
    Expectation& expectation =
        expect("SkipsAreAllowed",
               "Every test that was skipped is one that the policy allows to skip", "tests");
    std::vector<std::pair<std::string, std::string>> order;  // layer and reason
    std::map<std::pair<std::string, std::string>, std::vector<std::string>> skipped;
    for (const Json& test : results_.at("tests")) {
      ++expectation.verified;
      if (test.at("outcome") != "skipped") continue;
      const auto name = test.at("name").get<std::string>();
      const Json& why = test.at("skip_reason");
      const std::string reason = why.is_string() ? why.get<std::string>() : "";
      if (std::ranges::any_of(policy_.skips, [&](const Policy::Skip& skip) {
            return matches(skip.test, name) && matches(skip.reason, reason);
          })) {
        continue;
      }
      const std::pair key{test.at("layer").get<std::string>(), reason};
      if (skipped[key].empty()) order.push_back(key);
      skipped[key].push_back(name);
    }
    for (const auto& key : order) {
      add_names(expectation, key.first, skip_not_allowed, key.first, skipped.at(key),
                key.second.empty() ? "skipped without a reason" : "skipped: " + key.second);
    }
  }

  void add_names(Expectation& expectation, const std::string& layer, const FindingKind& kind,
                 const std::string& about, std::vector<std::string> tests,
                 const std::string& what) {
    const std::size_t count = tests.size();
    if (count > kMostNames) tests.resize(kMostNames);
    add(expectation, layer.c_str(), kind, {"test", count == 1 ? tests.front() : about},
        fmt::format("{}{}", count == 1 ? "" : fmt::format("{} tests ", count), what),
        {{"count", count}, {"tests", fmt::format("{}", fmt::join(tests, " "))}});
  }

  void judge_figures() {
    Expectation& expectation = expect(
        "FiguresAreWithinTheirBounds",
        "Every figure that the policy has a bound for was measured and is within it", "figures");
    const auto figures = measured(results_);
    for (const Policy::Bound& bound : policy_.figures) {
      const auto found = figures.find({bound.name, bound.unit});
      const std::size_t subjects = found == figures.end() ? 0 : count_subjects(found->second);
      ++expectation.verified;
      // With GPUs missing it is clear why there are fewer.
      const bool untold = found == figures.end() && left_out(expectation);
      if (gpus_test_.empty() && !untold && subjects < bound.subjects) {
        add(expectation, "", figure_missing, {"figure", bound.name},
            fmt::format("measured of {}, the policy expects {}", subjects, bound.subjects),
            {{"expected", bound.subjects}, {"found", subjects}});
      }
      if (found == figures.end()) continue;
      for (const Measured& figure : found->second) {
        ++expectation.verified;
        const bool low = bound.least && figure.value < *bound.least;
        const bool high = bound.most && figure.value > *bound.most;
        if (!low && !high) continue;
        const double limit = low ? *bound.least : *bound.most;
        Json evidence{{"test", figure.test},
                      {low ? "least" : "most", limit},
                      {"found", figure.value},
                      {"unit", bound.unit}};
        if (bound.worst_seen) evidence["worst_seen_when_recorded"] = *bound.worst_seen;
        add(expectation, figure.layer.c_str(), figure_out_of_bounds, {"figure", figure.subject},
            fmt::format("{} is {:.4g} {}, the policy allows {} {:.4g}", bound.name, figure.value,
                        bound.unit, low ? "no less than" : "no more than", limit),
            std::move(evidence));
      }
    }
  }

  void for_each_pair(const std::function<void(std::size_t, std::size_t)>& use) const {
    for (std::size_t from = 0; from < host_.gpus.size(); ++from) {
      for (std::size_t to = 0; to < host_.gpus.size(); ++to) {
        if (from != to) use(from, to);
      }
    }
  }

  /// Adds the expectations to the results as a layer of one entry.
  Json conclude() {
    bool good = true;
    bool any_failed = false;
    for (const Expectation& expectation : expectations_) {
      const std::string outcome = !expectation.findings.empty()     ? "failed"
                                  : !expectation.blocked_by.empty() ? "blocked"
                                                                    : "passed";
      good = good && outcome == "passed";
      any_failed = any_failed || outcome == "failed";
      Json codes = Json::array();
      for (const auto& [layer, finding] : expectation.findings) codes.push_back(finding["code"]);
      Json& count = results_.at("counts").at(outcome);
      count = count.get<int>() + 1;
      results_.at("tests").push_back(
          {{"name", expectation.name},
           {"entry", kEntry},
           {"layer", "gate"},
           {"outcome", outcome},
           {"claim", expectation.claim},
           {"source", policy_.file},
           {"blocked_by",
            expectation.blocked_by.empty() ? Json(nullptr) : Json(expectation.blocked_by)},
           {"skip_reason", nullptr},
           {"seconds", 0.0},
           {"verified",
            Json::array({{{"count", expectation.verified}, {"what", expectation.what}}})},
           {"figures", Json::array()},
           {"messages", Json::array()},
           {"findings", codes}});
    }
    const char* outcome = any_failed ? "failed" : good ? "passed" : "blocked";
    results_.at("entries").push_back({{"name", kEntry},
                                      {"layer", "gate"},
                                      {"level", "quick"},
                                      {"gate", false},
                                      {"selected", true},
                                      {"outcome", outcome},
                                      {"started", nullptr},
                                      {"seconds", 0.0},
                                      {"process", nullptr}});
    add_findings();
    results_.at("layers").push_back(
        {{"name", "gate"}, {"requires", Json::array()}, {"outcome", outcome}});
    if (!good) results_.at("verdict") = "not-conformant";
    const Json& findings = results_.at("findings");
    const bool conformant = results_.at("verdict") == "conformant";
    results_.at("first_finding") =
        conformant || findings.empty() ? Json(nullptr) : findings.front();
    return std::move(results_);
  }

  void add_findings() {
    // Even numbers, so that there is a place before and behind a layer's own findings.
    const auto rank_of = [&](const Json& layer) {
      int rank = 0;
      for (const Json& item : results_.at("layers")) {
        if (item.at("name") == layer) return rank;
        rank += 2;
      }
      return layer.is_null() ? -2 : rank;
    };
    std::vector<std::pair<int, Json>> bad;
    Json remarks = Json::array();
    for (Json& finding : results_.at("findings")) {
      const Json& outcome = finding.at("outcome");
      if (outcome == "passed" || outcome == "skipped") {
        remarks.push_back(std::move(finding));
      } else {
        const int rank = rank_of(finding.at("layer"));
        bad.emplace_back(rank, std::move(finding));
      }
    }
    for (const Expectation& expectation : expectations_) {
      for (const auto& [layer, finding] : expectation.findings) {
        bad.emplace_back(rank_of(layer) + (expectation.is_cause ? -1 : 1), finding);
      }
    }
    std::ranges::stable_sort(bad, {}, &std::pair<int, Json>::first);
    Json findings = Json::array();
    for (auto& [rank, finding] : bad) findings.push_back(std::move(finding));
    for (Json& finding : remarks) findings.push_back(std::move(finding));
    results_.at("findings") = std::move(findings);
  }

  const Policy& policy_;
  Json results_;
  ReportedHost host_;
  std::vector<Expectation> expectations_;
  bool same_gpus_ = false;
  std::string gpus_test_;   ///< the test of the GPUs, if some are missing
  std::string tests_test_;  ///< the test of the tests, if some are missing
};

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  const std::vector<std::string> parts = split(pattern, "*");
  if (parts.size() == 1) return pattern == text;
  if (!text.starts_with(parts.front())) return false;
  text.remove_prefix(parts.front().size());
  for (std::size_t i = 1; i + 1 < parts.size(); ++i) {
    const std::size_t found = text.find(parts[i]);
    if (found == std::string_view::npos) return false;
    text.remove_prefix(found + parts[i].size());
  }
  return text.ends_with(parts.back());
}

Policy record_policy(const Json& results, const std::string& file) {
  const ReportedHost host = host_of(results, file);
  if (host.gpus.empty()) {
    throw CannotRun(
        fmt::format("{} tells of no GPU: a policy needs a run with the layer devices", file));
  }
  Policy policy;
  const Json& run = results.at("run");
  policy.note = fmt::format(
      "Recorded from run {} of {}. Bounds of figures: the worst value seen, less 20 % for rates, "
      "25 % for FLOP/s, 15 % for shares; twice the worst for durations. See ci/POLICY.md.",
      run.at("id").get<std::string>(), utc(run.at("started").get<double>()));
  policy.simulated = results.at("simulated").get<bool>();
  policy.level = run.at("level").get<std::string>();
  for (const ReportedGpu& gpu : host.gpus) {
    const auto model = std::ranges::find(policy.gpus, gpu.model, &Policy::Gpus::model);
    if (model == policy.gpus.end()) {
      policy.gpus.push_back({gpu.model, 1});
    } else {
      ++model->count;
    }
  }
  policy.access = host.access.value_or(policy.access);
  policy.paths = host.paths.value_or(policy.paths);
  if (std::ranges::all_of(host.gpus,
                          [](const ReportedGpu& gpu) { return gpu.nvlinks.has_value(); })) {
    for (const ReportedGpu& gpu : host.gpus) policy.nvlinks.push_back(*gpu.nvlinks);
  }
  for (const auto& [range, name] : {std::pair{&policy.driver, "driver.version"},
                                    std::pair{&policy.toolkit, "toolkit.version"}}) {
    const Json& version = fact(results, name);
    if (version.is_string() && compare_versions(version.get<std::string>(), "0")) {
      range->least = version.get<std::string>();
    }
  }
  if (const Json& environment = fact(results, "nccl.environment"); environment.is_string()) {
    policy.nccl_settings = nccl_settings(environment);
  }
  for (const auto& [key, figures] : measured(results)) {
    const FigureKind kind = kind_of(key.first, key.second);
    if (kind.better == Better::neither) continue;
    const auto [least, most] = std::ranges::minmax(figures, {}, &Measured::value);
    Policy::Bound bound{key.first, key.second, {}, {}, count_subjects(figures), {}};
    if (kind.better == Better::more) {
      bound.least = rounded(least.value * (1 - kind.margin));
      bound.worst_seen = rounded(least.value);
    } else {
      bound.most = rounded(most.value * (1 + kind.margin));
      bound.worst_seen = rounded(most.value);
    }
    policy.figures.push_back(std::move(bound));
  }
  for (const Json& test : results.at("tests")) {
    if (test.at("entry") == kEntry) continue;
    const auto name = test.at("name").get<std::string>();
    policy.tests.push_back(name);
    if (test.at("outcome") != "skipped") continue;
    const std::string reason = test.at("skip_reason").get<std::string>();
    policy.skips.push_back({name, reason.empty() ? "*" : reason});
  }
  return policy;
}

Json enforce(const Policy& policy, Json results) {
  return Enforcer(policy, std::move(results)).run();
}

}  // namespace conformance::report
