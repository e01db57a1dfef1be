#include "ci/report/html.h"

#include <initializer_list>
#include <string_view>

#include <fmt/format.h>

#include "ci/report/results.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

constexpr std::string_view kStyle =
    "body{font:15px/1.45 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 2rem}"
    "td,th{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid #ccc}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".passed,.conformant{color:#176f2c}.skipped,.blocked,.not-selected{color:#666}"
    ".failed,.crashed,.timed-out,.error,.slow,.not-conformant{color:#b3151c;font-weight:600}";

std::string words(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string cell(const Json& value) { return "<td>" + escape_xml(words(value)) + "</td>"; }

std::string outcome_cell(const Json& outcome) {
  const std::string name = escape_xml(words(outcome));
  return fmt::format("<td class=\"{0}\">{0}</td>", name);
}

std::string table(std::initializer_list<std::string_view> headings, const std::string& rows) {
  std::string head;
  for (const std::string_view heading : headings) head += fmt::format("<th>{}</th>", heading);
  return fmt::format("<table><tr>{}</tr>\n{}</table>\n", head, rows);
}

std::string findings(const Json& results) {
  std::string text;
  for (const Json& finding : results.at("findings")) {
    std::string evidence;
    for (const auto& [name, value] : finding.at("evidence").items()) {
      evidence += fmt::format("{}: {}\n", name, words(value));
    }
    text += fmt::format(
        "<h3>{} ({})</h3><p>{}: {}</p><p><b>Cause:</b> {}<br><b>Remedy:</b> {}<br><b>Test:</b> "
        "{}</p><pre>{}</pre>\n",
        escape_xml(words(finding.at("code"))), escape_xml(words(finding.at("severity"))),
        escape_xml(words(finding.at("subject").at("name"))),
        escape_xml(words(finding.at("detail"))), escape_xml(words(finding.at("cause"))),
        escape_xml(words(finding.at("remedy"))), escape_xml(words(finding.at("test"))),
        escape_xml(evidence));
  }
  return text.empty() ? "<p>None.</p>" : text;
}

}  // namespace

std::string html(const Json& results) {
  std::string entries;
  for (const Json& entry : results.at("entries")) {
    entries += fmt::format("<tr>{}{}{}<td>{:.2f}</td></tr>\n", cell(entry.at("name")),
                           outcome_cell(entry.at("outcome")), cell(entry.at("level")),
                           entry.at("seconds").get<double>());
  }
  std::string tests;
  std::string figures;
  for (const Json& test : results.at("tests")) {
    std::string why;
    if (!test.at("blocked_by").is_null()) why = "blocked by " + words(test.at("blocked_by"));
    if (!test.at("skip_reason").is_null()) why = words(test.at("skip_reason"));
    tests += fmt::format("<tr>{}{}{}{}{}</tr>\n", cell(test.at("name")),
                         outcome_cell(test.at("outcome")), cell(test.at("claim")),
                         cell(test.at("source")), cell(why));
    for (const Json& figure : test.at("figures")) {
      figures += fmt::format("<tr>{}{}{}{}{}{}</tr>\n", cell(figure.at("name")),
                             cell(figure.at("subject").at("name")), cell(figure.at("value")),
                             cell(figure.at("unit")),
                             cell(figure.contains("limit") ? figure["limit"].at("value") : Json()),
                             cell(figure.contains("floor") ? figure["floor"].at("value") : Json()));
    }
  }
  std::string facts;
  for (const Json& fact : results.at("facts")) {
    facts += fmt::format("<tr>{}{}</tr>\n", cell(fact.at("name")), cell(fact.at("value")));
  }
  std::string warnings;
  for (const Json& warning : results.at("warnings")) {
    warnings += fmt::format("<li>{}</li>\n", escape_xml(words(warning)));
  }
  const Json& run = results.at("run");
  const std::string title = escape_xml(words(results.at("title")));
  const std::string verdict = escape_xml(words(results.at("verdict")));
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}: {1}</title>"
      "<style>{2}</style></head><body>\n<h1>{0}: <span class=\"{1}\">{1}</span></h1>\n"
      "<p>Run {3}, {4}, level {5}, CUDA origin {6}.</p>\n"
      "<h2>Findings</h2>\n{7}<h2>Entries</h2>\n{8}<h2>Tests</h2>\n{9}<h2>{13}</h2>\n{10}"
      "<h2>Host</h2>\n{11}<h2>Warnings</h2>\n<ul>{12}</ul>\n</body></html>\n",
      title, verdict, kStyle, escape_xml(words(run.at("id"))), utc(run.at("started").get<double>()),
      escape_xml(words(run.at("level"))), escape_xml(words(run.at("cuda_origin"))),
      findings(results), table({"Entry", "Outcome", "Level", "Seconds"}, entries),
      table({"Test", "Outcome", "Claim", "Source", "Why"}, tests),
      table({"Figure", "Subject", "Value", "Unit", "Limit", "Floor"}, figures),
      table({"Fact", "Value"}, facts), warnings, figures_title(results));
}

}  // namespace conformance::report
