#include "ci/report/merge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ci/report/findings.h"
#include "ci/report/manifest.h"
#include "ci/report/results.h"
#include "ci/report/statistics.h"
#include "fixtures/figure.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;

/// What must be the same on all nodes of a job; beside these, the GPUs.
constexpr std::array<std::string_view, 11> kAlike{
    "driver.version", "driver.cuda-version", "driver.kernel-module.open", "toolkit.version",
    "toolkit.nccl",   "toolkit.cublas",      "runtime.version",           "runtime.device-count",
    "cublas.version", "nccl.version",        "nccl.environment"};

/// Rates and times; a share says too little without what it is of.
bool is_compared(std::string_view name, std::string_view unit) {
  return unit != "%" && kind_of(name, unit).better != Better::neither;
}

/// Names and values that must be the same on all nodes.
std::map<std::string, std::string> properties(const Json& results) {
  std::map<std::string, std::string> found;
  std::map<std::string, int> models;
  for (const Json& fact : results.at("facts")) {
    const std::string name = fact.at("name");
    const std::string value = words(fact.at("value"));
    if (std::ranges::find(kAlike, name) != kAlike.end()) found[name] = value;
    if (name.starts_with("devices.gpu-")) ++models[value.substr(0, value.find(','))];
  }
  std::vector<std::string> gpus;
  gpus.reserve(models.size());
  for (const auto& [model, count] : models) gpus.push_back(fmt::format("{} x {}", count, model));
  if (!gpus.empty()) found["devices.models"] = fmt::format("{}", fmt::join(gpus, ", "));
  return found;
}

/// A figure by its test, name and unit; a node's value is the median over its subjects.
struct FigureKey {
  std::string test, name, unit;
  auto operator<=>(const FigureKey&) const = default;
};
std::map<FigureKey, double> figures(const Json& results) {
  std::map<FigureKey, std::vector<double>> values;
  for (const Json& test : results.at("tests")) {
    for (const Json& figure : test.at("figures")) {
      if (!figure.at("value").is_number()) continue;
      const FigureKey key{test.at("name"), figure.at("name"), figure.at("unit")};
      if (is_compared(key.name, key.unit)) values[key].push_back(figure.at("value"));
    }
  }
  std::map<FigureKey, double> medians;
  for (const auto& [key, all] : values) medians[key] = median(all);
  return medians;
}

class Merger {
 public:
  Merger(const std::vector<NodeReport>& nodes, const std::optional<std::vector<RankReport>>& ranks,
         std::vector<std::string> warnings)
      : nodes_(nodes), ranks_(ranks), warnings_(std::move(warnings)) {}

  Json run() {
    for (const NodeReport& node : nodes_) add_node(node);
    std::ranges::stable_sort(of_nodes_, {}, [](const Json& finding) {
      const auto place = std::ranges::find(kLayerOrder, words(finding.at("layer")));
      return place - kLayerOrder.begin();
    });
    if (ranks_) add_ranks();
    judge_job();
    return results();
  }

 private:
  Json test(const std::string& name, const std::string& entry, const std::string& claim) {
    return {{"name", name},
            {"entry", entry},
            {"layer", "job"},
            {"outcome", "passed"},
            {"claim", claim},
            {"source", "ci/README.md: Many hosts"},
            {"blocked_by", nullptr},
            {"skip_reason", nullptr},
            {"seconds", 0.0},
            {"verified", Json::array()},
            {"figures", Json::array()},
            {"messages", Json::array()},
            {"findings", Json::array()}};
  }

  /// A finding of the job's own about a node.
  Json finding(const FindingKind& kind, Json& test, const std::string& node, std::string detail,
               Json evidence = Json::object()) {
    test["outcome"] = "failed";
    test["findings"].push_back(kind.code);
    return {{"code", kind.code},
            {"severity", to_string(kind.severity)},
            {"layer", "job"},
            {"entry", test.at("entry")},
            {"test", test.at("name")},
            {"outcome", "failed"},
            {"subject", {{"kind", "host"}, {"name", node}}},
            {"detail", std::move(detail)},
            {"cause", kind.cause},
            {"remedy", kind.remedy},
            {"evidence", std::move(evidence)},
            {"time", ended_}};
  }

  void add_entry(const std::string& name, const std::string& outcome, double seconds) {
    entries_.push_back({{"name", name},
                        {"layer", "job"},
                        {"level", level_},
                        {"gate", false},
                        {"selected", true},
                        {"outcome", outcome},
                        {"seconds", seconds},
                        {"process", nullptr}});
  }

  void add_node(const NodeReport& node) {
    if (!node.results) return;
    const Json& results = *node.results;
    const Json& run = results.at("run");
    simulated_ = simulated_ || results.at("simulated").get<bool>();
    level_ = run.at("level");
    cuda_origin_ = run.at("cuda_origin");
    const double started = run.at("started");
    const double ended = run.at("ended");
    started_ = started_ == 0 ? started : std::min(started_, started);
    ended_ = std::max(ended_, ended);
    all_good_ = all_good_ && results.at("verdict") == "conformant";
    add_entry(node.name, results.at("verdict") == "conformant" ? "passed" : "failed",
              ended - started);
    const auto of_node = [&](const Json& name) {
      return name.is_null() ? name : Json(node.name + "." + words(name));
    };
    for (Json test : results.at("tests")) {
      test["name"] = of_node(test.at("name"));
      test["entry"] = node.name;
      test["blocked_by"] = of_node(test.at("blocked_by"));
      tests_.push_back(std::move(test));
    }
    for (Json one : results.at("findings")) {
      const std::string outcome = words(one.at("outcome"));
      one["test"] = of_node(one.at("test"));
      one["entry"] = node.name;
      one["subject"]["name"] = node.name + ": " + words(one.at("subject").at("name"));
      (outcome == "passed" || outcome == "skipped" ? remarks_ : of_nodes_)
          .push_back(std::move(one));
    }
    for (Json fact : results.at("facts")) {
      fact["name"] = of_node(fact.at("name"));
      fact["entry"] = node.name;
      facts_.push_back(std::move(fact));
    }
    for (const Json& warning : results.at("warnings")) {
      warnings_.push_back(fmt::format("{}: {}", node.name, words(warning)));
    }
  }

  void add_ranks() {
    bool good = true;
    double seconds = 0;
    for (const RankReport& rank : *ranks_) {
      std::string number = rank.name, doing;
      for (const Json& fact : rank.record.facts) {
        if (fact.at("name") == "rank.number") number = "rank-" + words(fact.at("value"));
        if (fact.at("name") == "rank.doing") doing = words(fact.at("value"));
      }
      simulated_ = simulated_ || rank.record.simulated;
      for (const TestRecord& record : rank.record.tests) {
        Json one = test("ranks." + number, "ranks", record.claim);
        one["source"] = record.source;
        one["outcome"] = record.outcome.value_or("crashed");
        one["seconds"] = record.seconds;
        seconds = std::max(seconds, record.seconds);
        for (const VerifiedCount& each : record.verified) {
          one["verified"].push_back({{"count", each.count}, {"what", each.what}});
        }
        for (const ReportedFinding& found : record.findings) {
          one["findings"].push_back(found.code);
          const std::string about = rank.name + ": " + words(found.subject.at("name"));
          of_nodes_.push_back({{"code", found.code},
                               {"severity", found.severity},
                               {"layer", "nccl"},
                               {"entry", "ranks"},
                               {"test", one["name"]},
                               {"outcome", one["outcome"]},
                               {"subject", {{"kind", found.subject.at("kind")}, {"name", about}}},
                               {"detail", found.detail},
                               {"cause", found.cause},
                               {"remedy", found.remedy},
                               {"evidence", found.evidence},
                               {"time", found.time}});
        }
        if (!record.outcome) {
          of_nodes_.push_back(
              finding(crashed, one, rank.name, fmt::format("{} ended in \"{}\"", number, doing)));
          one["outcome"] = "crashed";
        }
        good = good && one["outcome"] == "passed";
        tests_.push_back(std::move(one));
      }
    }
    all_good_ = all_good_ && good;
    add_entry("ranks", good ? "passed" : "failed", seconds);
  }

  void judge_job() {
    Json reported = test("job.EveryNodeReported", "job", "Each node of the job left a report");
    for (const NodeReport& node : nodes_) {
      if (!node.results) {
        first_.push_back(finding(no_report, reported, node.name, node.problem));
      }
    }
    if (ranks_ && ranks_->empty()) {
      first_.push_back(finding(no_report, reported, "all nodes",
                               "there is no journal of a rank of the communicator over all nodes"));
    }
    verify(reported, nodes_.size(), "nodes");
    Json alike = test("job.NodesAreAlike", "job",
                      "All nodes have the same GPUs, driver, CUDA, NCCL and variables of NCCL");
    compare_properties(alike);
    Json fast = test("job.NoNodeIsAnOutlier", "job",
                     "No node's figure is off the median of all nodes' to its disadvantage");
    compare_figures(fast);
    const bool good = reported["outcome"] == "passed" && alike["outcome"] != "failed" &&
                      fast["outcome"] != "failed";
    all_good_ = all_good_ && good;
    add_entry("job", good ? "passed" : "failed", ended_ - started_);
    for (Json* const one : {&reported, &alike, &fast}) tests_.push_back(std::move(*one));
  }

  static void verify(Json& test, std::size_t count, const char* what) {
    if (count > 0) test["verified"].push_back({{"count", count}, {"what", what}});
  }
  static void skip(Json& test, const std::string& reason) {
    test["outcome"] = "skipped";
    test["skip_reason"] = reason;
  }

  void compare_properties(Json& alike) {
    std::map<std::string, std::map<std::string, std::vector<std::string>>> by_value;
    std::size_t compared = 0;
    for (const NodeReport& node : nodes_) {
      if (!node.results) continue;
      for (const auto& [name, value] : properties(*node.results)) {
        by_value[name][value].push_back(node.name);
      }
    }
    for (const auto& [name, values] : by_value) {
      std::size_t most = 0, of = 0;
      for (const auto& [value, having] : values) most = std::max(most, having.size());
      for (const auto& [value, having] : values) of += having.size();
      if (of > 1) compared += of;
      if (values.size() < 2) continue;
      const auto usual = std::ranges::find_if(
          values, [most](const auto& item) { return item.second.size() == most; });
      const bool majority = 2 * most > of;
      for (const auto& [value, having] : values) {
        if (majority && &value == &usual->first) continue;
        for (const std::string& node : having) {
          first_.push_back(finding(
              version_mix, alike, node,
              majority ? fmt::format("{} is {}; on {} of {} nodes it is {}", name, value, most, of,
                                     usual->first)
                       : fmt::format("{} is {}; the nodes have {} different values, none of them "
                                     "on most",
                                     name, value, values.size()),
              {{"fact", name}, {"value", value}, {"usual", majority ? usual->first : ""}}));
        }
      }
    }
    verify(alike, compared, "facts");
    if (compared == 0) skip(alike, "no fact is known of two nodes");
  }

  void compare_figures(Json& fast) {
    std::map<FigureKey, std::vector<std::pair<std::string, double>>> by_figure;
    for (const NodeReport& node : nodes_) {
      if (!node.results) continue;
      for (const auto& [key, value] : figures(*node.results)) {
        by_figure[key].emplace_back(node.name, value);
      }
    }
    std::size_t compared = 0;
    for (const auto& [key, of_nodes] : by_figure) {
      if (of_nodes.size() < kFewestNodes) continue;
      compared += of_nodes.size();
      std::vector<double> values;
      for (const auto& [node, value] : of_nodes) values.push_back(value);
      const double middle = median(values);
      for (const std::size_t at : outliers(values, kind_of(key.name, key.unit))) {
        const auto& [node, value] = of_nodes[at];
        last_.push_back(finding(
            outlier, fast, node,
            fmt::format("{} is {:.4g} {}, {:.0f} % {} the median of {} nodes, {:.4g} {} ({})",
                        key.name, value, key.unit, 100 * std::abs(value - middle) / middle,
                        value < middle ? "under" : "over", values.size(), middle, key.unit,
                        key.test),
            {{"figure", key.name},
             {"test", key.test},
             {"value", value},
             {"median", middle},
             {"nodes", values.size()}}));
      }
    }
    verify(fast, compared, "figures");
    if (compared == 0) {
      skip(fast,
           fmt::format("no figure is known of {} nodes, which it takes to tell", kFewestNodes));
    }
  }

  Json node_list() const {
    Json list = Json::array();
    for (const NodeReport& node : nodes_) {
      if (!node.results) {
        list.push_back({{"name", node.name}, {"verdict", "no-report"}});
        continue;
      }
      const Json& results = *node.results;
      Json outcomes = Json::object();
      for (const Json& one : results.at("tests")) {
        Json& count = outcomes[words(one.at("outcome"))];
        count = count.is_null() ? 1 : count.get<int>() + 1;
      }
      list.push_back({{"name", node.name},
                      {"verdict", results.at("verdict")},
                      {"run", results.at("run")},
                      {"counts", outcomes}});
    }
    return list;
  }

  Json results() {
    Json findings = Json::array();
    for (std::vector<Json>* const part : {&first_, &of_nodes_, &last_, &remarks_}) {
      for (Json& one : *part) findings.push_back(std::move(one));
    }
    Json counts = Json::object();
    for (const char* outcome :
         {"crashed", "timed-out", "error", "failed", "blocked", "slow", "passed", "skipped"}) {
      counts[outcome] = 0;
    }
    for (const Json& one : tests_) {
      Json& count = counts[words(one.at("outcome"))];
      count = count.get<int>() + 1;
    }
    return {{"schema", "cuda-conformance/results"},
            {"schema_version", 1},
            {"title", fmt::format("{}CUDA conformance of {} nodes", simulated_ ? "simulated: " : "",
                                  nodes_.size())},
            {"verdict", all_good_ ? "conformant" : "not-conformant"},
            {"simulated", simulated_},
            {"run",
             {{"id", fmt::format("job-{:.0f}", started_)},
              {"started", started_},
              {"ended", ended_},
              {"level", level_},
              {"cuda_origin", cuda_origin_},
              {"selection", "level"}}},
            {"counts", counts},
            {"first_finding", all_good_ || findings.empty() ? Json(nullptr) : findings.front()},
            {"findings", findings},
            {"facts", facts_},
            {"layers", Json::array({{{"name", "job"},
                                     {"requires", Json::array()},
                                     {"outcome", all_good_ ? "passed" : "failed"}}})},
            {"entries", entries_},
            {"nodes", node_list()},
            {"tests", tests_},
            {"warnings", warnings_}};
  }

  const std::vector<NodeReport>& nodes_;
  const std::optional<std::vector<RankReport>>& ranks_;
  std::vector<std::string> warnings_;
  bool simulated_ = false, all_good_ = true;
  std::string level_ = "standard", cuda_origin_ = "any";
  double started_ = 0, ended_ = 0;
  Json entries_ = Json::array(), tests_ = Json::array(), facts_ = Json::array();
  /// Findings: what may be the cause of others, those of the nodes, and what may be their effect.
  std::vector<Json> first_, of_nodes_, last_, remarks_;
};

}  // namespace

NodeReport read_node(const fs::path& folder) {
  NodeReport node;
  node.name = fs::absolute(folder).lexically_normal().filename().native();
  // A path that ends in a slash.
  if (node.name.empty()) node.name = fs::absolute(folder).parent_path().filename().native();
  try {
    node.results = load_results(folder / "results.json");
  } catch (const CannotRun& error) {
    node.problem = error.what();
  }
  return node;
}

std::vector<RankReport> read_ranks(const fs::path& folder, std::vector<std::string>& warnings) {
  std::vector<RankReport> ranks;
  std::error_code error;
  for (fs::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    if (item->path().extension() != ".jsonl") continue;
    const std::string text = read_file(item->path());
    RankReport rank;
    rank.name = item->path().stem().native();
    const Json first = Json::parse(text.substr(0, text.find('\n')), nullptr, false);
    const std::string run =
        first.is_object() && first.contains("run") ? words(first.at("run")) : "";
    read_suite_journal(text, "nccl.Rank", run, item->path().filename().native(), rank.record,
                       warnings);
    ranks.push_back(std::move(rank));
  }
  if (error) {
    throw CannotRun(fmt::format("cannot read the folder {}: {}", folder.native(), error.message()));
  }
  std::ranges::sort(ranks, {}, &RankReport::name);
  return ranks;
}

std::vector<std::size_t> outliers(std::span<const double> values, const FigureKind& kind) {
  std::vector<std::size_t> found;
  if (values.size() < kFewestNodes) return found;
  const double middle = median(values);
  const double allowed = std::max(kOutlierSpreads * spread(values), kind.noise * std::abs(middle));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double worse = kind.better == Better::less ? values[i] - middle : middle - values[i];
    if (worse > allowed) found.push_back(i);
  }
  return found;
}

Json merge(const std::vector<NodeReport>& nodes,
           const std::optional<std::vector<RankReport>>& ranks, std::vector<std::string> warnings) {
  return Merger(nodes, ranks, std::move(warnings)).run();
}

bool is_of_job(const Json& results) { return results.contains("nodes"); }

std::map<std::string, Json> results_of_nodes(const Json& merged) {
  std::map<std::string, Json> nodes;
  for (const Json& node : merged.at("nodes")) {
    if (!node.contains("run")) continue;
    nodes[words(node.at("name"))] = {
        {"verdict", node.at("verdict")}, {"simulated", merged.at("simulated")},
        {"run", node.at("run")},         {"facts", Json::array()},
        {"entries", Json::array()},      {"tests", Json::array()}};
  }
  // What is a node's own has its name before it, and stands under it.
  const auto add = [&nodes](const char* kind, Json one) {
    const auto node = nodes.find(words(one.at("entry")));
    const std::string name = words(one.at("name"));
    if (node == nodes.end() || !name.starts_with(node->first + ".")) return;
    one["name"] = name.substr(node->first.size() + 1);
    node->second[kind].push_back(std::move(one));
  };
  for (const Json& fact : merged.at("facts")) add("facts", fact);
  for (const Json& test : merged.at("tests")) add("tests", test);
  for (auto& [name, results] : nodes) {
    std::set<std::string> entries;
    for (Json& test : results["tests"]) {
      const std::string full = words(test.at("name"));
      test["entry"] = full.substr(0, full.rfind('.'));
      if (!entries.insert(words(test["entry"])).second) continue;
      results["entries"].push_back({{"name", test["entry"]}, {"selected", true}});
    }
  }
  return nodes;
}

Json for_page(Json results) {
  if (!is_of_job(results)) return results;
  std::set<std::string> named;
  for (const Json& finding : results.at("findings")) {
    const std::string outcome = words(finding.at("outcome"));
    if (outcome == "passed" || outcome == "skipped") continue;
    named.insert(words(finding.at("entry")));
    named.insert(words(finding.at("subject").at("name")));
  }
  std::set<std::string> left_out;
  std::size_t in_full = 0;
  bool one_of_the_others = false;
  for (Json& node : results["nodes"]) {
    const std::string name = words(node.at("name"));
    bool shown = node.at("verdict") != "conformant" || named.contains(name);
    if (!shown && !one_of_the_others) shown = one_of_the_others = true;
    shown = shown && in_full < kNodesInFull;
    in_full += shown ? 1 : 0;
    if (!shown) left_out.insert(name);
    node["in_full"] = shown;
  }
  for (const char* kind : {"facts", "tests"}) {
    Json kept = Json::array();
    for (Json& one : results[kind]) {
      if (!left_out.contains(words(one.at("entry")))) kept.push_back(std::move(one));
    }
    results[kind] = std::move(kept);
  }
  Json entries = Json::array();
  for (Json& entry : results["entries"]) {
    if (!left_out.contains(words(entry.at("name")))) entries.push_back(std::move(entry));
  }
  results["entries"] = std::move(entries);
  return results;
}

}  // namespace conformance::report
