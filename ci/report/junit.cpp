#include "ci/report/junit.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ci/report/results.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

std::string property(std::string_view name, std::string_view value) {
  return fmt::format("<property name=\"{}\" value=\"{}\"/>\n", escape_xml(name), escape_xml(value));
}

std::string properties(const std::string& items) {
  return items.empty() ? "" : "<properties>\n" + items + "</properties>\n";
}

/// A figure's value or bound with its unit; "no number" for what could not be measured.
std::string quantity(const Json& value, const Json& figure) {
  return value.is_null() ? "no number"
                         : fmt::format("{} {}", words(value), words(figure.at("unit")));
}

std::string figure_name(const Json& figure) {
  return fmt::format("{} [{}]", words(figure.at("name")), words(figure.at("subject").at("name")));
}

std::string figure_properties(const Json& test, const std::string& case_name) {
  std::string items;
  for (const Json& figure : test.at("figures")) {
    items += property(fmt::format("figure.{}.{}", case_name, figure_name(figure)),
                      quantity(figure.at("value"), figure));
  }
  return items;
}

/// What the test proved, as its output: readers take properties of a whole suite only.
std::string test_output(const Json& test) {
  std::string text;
  if (const std::string claim = words(test.at("claim")); !claim.empty()) {
    text += fmt::format("claim: {}\nsource: {}\n", claim, words(test.at("source")));
  }
  for (const Json& verified : test.at("verified")) {
    text +=
        fmt::format("verified: {} {}\n", words(verified.at("count")), words(verified.at("what")));
  }
  for (const Json& figure : test.at("figures")) {
    text += fmt::format("{}: {}\n", figure_name(figure), quantity(figure.at("value"), figure));
    for (const auto& [bound, reason] :
         {std::pair{"limit", "source"}, std::pair{"floor", "reason"}}) {
      if (!figure.contains(bound)) continue;
      text += fmt::format("  {}: {} ({})\n", bound, quantity(figure[bound].at("value"), figure),
                          words(figure[bound].at(reason)));
    }
  }
  return text.empty() ? "" : fmt::format("<system-out>{}</system-out>\n", escape_xml(text));
}

std::vector<const Json*> findings_of(const Json& results, const Json& test) {
  std::vector<const Json*> found;
  for (const Json& finding : results.at("findings")) {
    if (finding.at("test") == test.at("name")) found.push_back(&finding);
  }
  return found;
}

std::string describe(const Json& finding) {
  std::string text = fmt::format(
      "{} ({})\nSubject: {}\nSeen: {}\nCause: {}\nRemedy: {}\n", words(finding.at("code")),
      words(finding.at("severity")), words(finding.at("subject").at("name")),
      words(finding.at("detail")), words(finding.at("cause")), words(finding.at("remedy")));
  for (const auto& [name, value] : finding.at("evidence").items()) {
    text += fmt::format("{}: {}\n", name, words(value));
  }
  return text;
}

/// The element that says how the test ended; nothing for a passed one.
std::string outcome_element(const Json& results, const Json& test) {
  const std::string outcome = words(test.at("outcome"));
  if (outcome == "passed") return "";
  if (outcome == "skipped") {
    return fmt::format("<skipped message=\"{}\"/>\n", escape_xml(words(test.at("skip_reason"))));
  }
  if (outcome == "blocked") {
    return fmt::format("<skipped message=\"blocked by {}\"/>\n",
                       escape_xml(words(test.at("blocked_by"))));
  }
  const std::vector<const Json*> found = findings_of(results, test);
  std::string type = outcome;
  std::string message = outcome;
  std::string body;
  if (!found.empty()) {
    const Json& first = *found.front();
    type = words(first.at("code"));
    message = fmt::format("{} Seen: {}. Remedy: {}", words(first.at("cause")),
                          words(first.at("detail")), words(first.at("remedy")));
  }
  for (const Json* finding : found) body += describe(*finding) + '\n';
  for (const Json& text : test.at("messages")) body += words(text) + '\n';
  const std::string_view element = outcome == "failed" || outcome == "slow" ? "failure" : "error";
  return fmt::format("<{0} type=\"{1}\" message=\"{2}\">{3}</{0}>\n", element, escape_xml(type),
                     escape_xml(message), escape_xml(body));
}

struct Totals {
  int tests = 0, failures = 0, errors = 0, skipped = 0;

  void add(const Json& test) {
    const std::string outcome = words(test.at("outcome"));
    ++tests;
    if (outcome == "failed" || outcome == "slow") {
      ++failures;
    } else if (outcome == "skipped" || outcome == "blocked") {
      ++skipped;
    } else if (outcome != "passed") {
      ++errors;
    }
  }
  std::string attributes() const {
    return fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\"", tests, failures, errors);
  }
};

std::string run_properties(const Json& results, const std::string& entry) {
  const Json& run = results.at("run");
  std::string items = property("run", words(run.at("id")));
  items += property("level", words(run.at("level")));
  items += property("cuda_origin", words(run.at("cuda_origin")));
  items += property("simulated", words(results.at("simulated")));
  if (results.at("simulated").get<bool>()) items += property("figures", "of modelled time");
  for (const Json& fact : results.at("facts")) {
    if (fact.at("entry") == entry) {
      items += property("fact." + words(fact.at("name")), words(fact.at("value")));
    }
  }
  return items;
}

/// Seconds as the readers' pattern has them: never negative, whatever a journal says.
std::string seconds_of(const Json& test_or_entry) {
  return fmt::format("{:.6f}", std::max(0.0, test_or_entry.at("seconds").get<double>()));
}

/// When an entry began, if that is known.
std::string timestamp(const Json& entry) {
  if (!entry.contains("started") || entry["started"].is_null()) return "";
  std::string time = utc(entry["started"].get<double>());  // "2026-01-31 12:00:00 UTC"
  if (time.size() < 19) return "";
  time.resize(19);
  time[10] = 'T';
  return fmt::format(" timestamp=\"{}\"", time);
}

/// A run that verified nothing has no test that says so, but a reader of JUnit must see it.
std::string run_suite(const Json& results, const std::string& prefix) {
  std::string cases;
  for (const Json& finding : results.at("findings")) {
    if (!finding.at("test").is_null()) continue;
    cases += fmt::format(
        "<testcase classname=\"{0}run\" name=\"VerifiesSomething\" time=\"0.0\">\n"
        "<error type=\"{1}\" message=\"{2}\">{3}</error>\n</testcase>\n",
        prefix, escape_xml(words(finding.at("code"))), escape_xml(words(finding.at("cause"))),
        escape_xml(describe(finding)));
  }
  return cases.empty() ? ""
                       : fmt::format(
                             "<testsuite name=\"{}run\" tests=\"1\" failures=\"0\" "
                             "errors=\"1\" skipped=\"0\" time=\"0.0\">\n{}</testsuite>\n",
                             prefix, cases);
}

}  // namespace

std::string junit(const Json& results) {
  const std::string prefix = results.at("simulated").get<bool>() ? "simulated: " : "";
  Totals all;
  double all_seconds = 0;
  std::string suites = run_suite(results, prefix);
  if (!suites.empty()) ++all.tests, ++all.errors;
  for (const Json& entry : results.at("entries")) {
    if (!entry.at("selected").get<bool>()) continue;
    const std::string name = words(entry.at("name"));
    Totals totals;
    std::string cases;
    std::string figures;
    for (const Json& test : results.at("tests")) {
      if (test.at("entry") != name) continue;
      totals.add(test);
      all.add(test);
      std::string case_name = words(test.at("name"));
      if (case_name.starts_with(name + ".")) case_name.erase(0, name.size() + 1);
      figures += figure_properties(test, case_name);
      cases += fmt::format(
          "<testcase classname=\"{}{}\" name=\"{}\" time=\"{}\">\n{}{}"
          "</testcase>\n",
          prefix, escape_xml(name), escape_xml(case_name), seconds_of(test),
          outcome_element(results, test), test_output(test));
    }
    all_seconds += std::max(0.0, entry.at("seconds").get<double>());
    suites +=
        fmt::format("<testsuite name=\"{}{}\" {} skipped=\"{}\"{} time=\"{}\">\n{}{}</testsuite>\n",
                    prefix, escape_xml(name), totals.attributes(), totals.skipped, timestamp(entry),
                    seconds_of(entry), properties(run_properties(results, name) + figures), cases);
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"{}\" {} time=\"{:.6f}\">\n{}</testsuites>\n",
      escape_xml(words(results.at("title"))), all.attributes(), all_seconds, suites);
}

}  // namespace conformance::report
