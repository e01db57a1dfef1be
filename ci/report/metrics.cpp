#include "ci/report/metrics.h"

#include <cmath>
#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "ci/report/results.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

using Labels = std::initializer_list<std::pair<std::string_view, std::string>>;

/// What stands between a label's quotes.
std::string label_value(std::string_view text) {
  std::string result;
  for (const char byte : printable(text)) {
    if (byte == '\\' || byte == '"') result += '\\';
    result += byte;
  }
  return result;
}

/// The families of metrics in their order, each with its samples together, as the format demands.
class Exposition {
 public:
  explicit Exposition(bool simulated) : simulated_(simulated) {}

  void begin(std::string_view name, std::string_view help) {
    end();
    name_ = name;
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n", name, help);
  }
  /// The last one of samples with the same labels counts: two would make the whole file invalid.
  void add(const Labels& labels, double value) {
    std::string text;
    for (const auto& [name, content] : labels) {
      text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, label_value(content));
    }
    if (simulated_) text += text.empty() ? "simulated=\"true\"" : ",simulated=\"true\"";
    samples_[text.empty() ? "" : "{" + text + "}"] = value;
  }
  std::string take() {
    end();
    return std::move(text_);
  }

 private:
  void end() {
    for (const auto& [labels, value] : samples_) {
      text_ += fmt::format("{}{} {}\n", name_, labels,
                           std::isnan(value) ? "NaN" : fmt::format("{}", value));
    }
    samples_.clear();
  }

  bool simulated_;
  std::string text_, name_;
  std::map<std::string, double> samples_;
};

void add_tests(Exposition& out, const Json& results) {
  std::map<std::pair<std::string, std::string>, int> counts;
  // All outcomes of all layers, so that a count that goes back to nothing is seen to.
  for (const Json& layer : results.at("layers")) {
    for (const auto& [outcome, count] : results.at("counts").items()) {
      counts[{words(layer.at("name")), outcome}] = 0;
    }
  }
  for (const Json& test : results.at("tests")) {
    ++counts[{words(test.at("layer")), words(test.at("outcome"))}];
  }
  out.begin("conformance_tests", "Tests of the last run by layer and outcome.");
  for (const auto& [key, count] : counts) {
    out.add({{"layer", key.first}, {"outcome", key.second}}, count);
  }
}

void add_findings(Exposition& out, const Json& results) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const Json& finding : results.at("findings")) {
    ++counts[{words(finding.at("code")), words(finding.at("severity"))}];
  }
  out.begin("conformance_findings", "Findings of the last run by code.");
  for (const auto& [key, count] : counts) {
    out.add({{"code", key.first}, {"severity", key.second}}, count);
  }
}

void add_entries(Exposition& out, const Json& results) {
  out.begin("conformance_entry_seconds", "How long the processes of the last run took.");
  for (const Json& entry : results.at("entries")) {
    if (entry.at("process").is_null()) continue;
    out.add({{"entry", words(entry.at("name"))}, {"layer", words(entry.at("layer"))}},
            entry.at("seconds").get<double>());
  }
}

/// What of each figure: its value, or one of its bounds if it has it.
void add_figures(Exposition& out, const Json& results, const char* bound) {
  for (const Json& test : results.at("tests")) {
    for (const Json& figure : test.at("figures")) {
      if (bound != nullptr && !figure.contains(bound)) continue;
      const Json& value = bound == nullptr ? figure.at("value") : figure.at(bound).at("value");
      out.add({{"name", words(figure.at("name"))},
               {"unit", words(figure.at("unit"))},
               {"kind", words(figure.at("subject").at("kind"))},
               {"subject", words(figure.at("subject").at("name"))},
               {"test", words(test.at("name"))}},
              value.is_number() ? value.get<double>() : std::nan(""));
    }
  }
}

}  // namespace

std::string metrics(const Json& results) {
  const Json& run = results.at("run");
  Exposition out(results.at("simulated").get<bool>());
  out.begin("conformance_conformant", "Whether the last run found this host conformant.");
  out.add({}, results.at("verdict") == "conformant" ? 1 : 0);
  out.begin("conformance_run_started_timestamp_seconds", "When the last run began.");
  out.add({}, run.at("started").get<double>());
  out.begin("conformance_run_ended_timestamp_seconds", "When the last run ended.");
  out.add({}, run.at("ended").get<double>());
  out.begin("conformance_run_info", "What the last run was asked for.");
  out.add({{"run", words(run.at("id"))},
           {"level", words(run.at("level"))},
           {"cuda_origin", words(run.at("cuda_origin"))}},
          1);
  add_tests(out, results);
  add_findings(out, results);
  add_entries(out, results);
  out.begin("conformance_figure", "What the last run measured, in the unit of its label.");
  add_figures(out, results, nullptr);
  out.begin("conformance_figure_floor", "What a figure must reach.");
  add_figures(out, results, "floor");
  out.begin("conformance_figure_limit", "What physics allows for a figure.");
  add_figures(out, results, "limit");
  return out.take();
}

std::string measurements(const EntryRecord& record) {
  std::string lines;
  for (const TestRecord& test : record.tests) {
    for (const Json& figure : test.figures) {
      if (!figure.at("value").is_number()) continue;
      // Without what is this host's own, so that a dashboard can compare hosts.
      const std::string name = fmt::format(
          "{} {} [{}], {}", test.name.substr(test.name.rfind('.') + 1), words(figure.at("name")),
          short_name(words(figure.at("subject").at("name"))), words(figure.at("unit")));
      lines += fmt::format(
          "<CTestMeasurement type=\"numeric/double\" name=\"{}\">{}</CTestMeasurement>\n",
          escape_xml(printable(name)), figure.at("value").get<double>());
    }
  }
  return lines;
}

}  // namespace conformance::report
