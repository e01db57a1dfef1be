#include "ci/report/table.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ci/report/results.h"
#include "ci/report/text.h"
#include "fixtures/figure.h"

namespace conformance::report {
namespace {

constexpr std::size_t kWidth = 120;
/// Of findings, skips and warnings: what does not fit is in the files.
constexpr std::size_t kMostLines = 20;

std::string words(const Json& value) {
  if (value.is_null()) return "";
  return printable(value.is_string() ? value.get<std::string>()
                                     : value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

class Table {
 public:
  explicit Table(bool colours) : colours_(colours) {}

  void line(std::string_view text) { text_ += shorten(text, kWidth) + '\n'; }
  void blank() { text_ += '\n'; }
  void coloured(std::string_view text, bool good) {
    const std::string cut = shorten(text, kWidth);
    text_ += colours_ ? fmt::format("\x1b[1;{}m{}\x1b[0m\n", good ? 32 : 31, cut) : cut + '\n';
  }
  /// "  Cause:   text", with further lines under the first.
  void labelled(std::string_view label, std::string_view text) {
    constexpr std::size_t kIndent = 12;
    std::string head = fmt::format("  {:<{}}", label, kIndent - 2);
    for (const std::string& piece : wrap(text, kWidth - kIndent)) {
      line(head + piece);
      head.assign(kIndent, ' ');
    }
  }
  void listed(std::string_view text) {
    std::string head = "  ";
    for (const std::string& piece : wrap(text, kWidth - 4)) {
      line(head + piece);
      head = "    ";
    }
  }
  std::string take() { return std::move(text_); }

 private:
  bool colours_;
  std::string text_;
};

std::string counts_in_words(const std::map<std::string, int>& counts) {
  std::string text;
  for (const char* outcome :
       {"passed", "failed", "slow", "crashed", "timed-out", "error", "blocked", "skipped"}) {
    const auto found = counts.find(outcome);
    if (found == counts.end() || found->second == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", found->second, outcome);
  }
  return text.empty() ? "no tests" : text;
}

void add_verdict(Table& table, const Json& results) {
  const bool conformant = results.at("verdict") == "conformant";
  std::map<std::string, int> counts;
  for (const auto& [outcome, count] : results.at("counts").items()) {
    counts[outcome] = count.get<int>();
  }
  table.coloured(fmt::format("{}: {} ({})", words(results.at("title")),
                             conformant ? "CONFORMANT" : "NOT CONFORMANT", counts_in_words(counts)),
                 conformant);
  for (const Json& fact : results.at("facts")) {
    if (fact.at("name") == "driver.verdict") table.labelled("Versions:", words(fact.at("value")));
  }
}

void add_first_finding(Table& table, const Json& finding) {
  if (finding.is_null()) return;
  table.line(fmt::format("First finding: {} ({})", words(finding.at("code")),
                         words(finding.at("severity"))));
  table.labelled("Subject:", words(finding.at("subject").at("name")));
  table.labelled("Seen:", words(finding.at("detail")));
  table.labelled("Cause:", words(finding.at("cause")));
  table.labelled("Remedy:", words(finding.at("remedy")));
  if (!finding.at("test").is_null()) table.labelled("Test:", words(finding.at("test")));
  if (finding.at("evidence").contains("output")) {
    const std::string output = finding.at("evidence").at("output").get<std::string>();
    // The last lines of the output are where a crash or a loader's complaint shows.
    std::vector<std::string> lines;
    for (std::size_t start = 0; start < output.size();) {
      const std::size_t end = std::min(output.find('\n', start), output.size());
      if (end > start) lines.push_back(printable(output.substr(start, end - start)));
      start = end + 1;
    }
    const std::size_t first = lines.size() > 5 ? lines.size() - 5 : 0;
    for (std::size_t i = first; i < lines.size(); ++i) {
      table.line(fmt::format("  {:<10}{}", i == first ? "Output:" : "", lines[i]));
    }
  }
}

/// The findings after the first, those of one code together.
void add_other_findings(Table& table, const Json& results) {
  const Json& findings = results.at("findings");
  const std::size_t first = results.at("first_finding").is_null() ? 0 : 1;
  std::vector<std::string> codes;
  std::map<std::string, std::vector<const Json*>> by_code;
  for (std::size_t i = first; i < findings.size(); ++i) {
    const std::string code = words(findings[i].at("code"));
    if (by_code[code].empty()) codes.push_back(code);
    by_code[code].push_back(&findings[i]);
  }
  if (codes.empty()) return;
  table.blank();
  table.line("Other findings");
  for (std::size_t i = 0; i < codes.size() && i < kMostLines; ++i) {
    const std::vector<const Json*>& group = by_code[codes[i]];
    const Json& sample = *group.front();
    const std::string more =
        group.size() > 1 ? fmt::format(" (and {} more)", group.size() - 1) : "";
    table.listed(fmt::format("{}: {}: {}{}", codes[i], words(sample.at("subject").at("name")),
                             words(sample.at("detail")), more));
  }
  if (codes.size() > kMostLines) {
    table.line(fmt::format("  and {} more kinds", codes.size() - kMostLines));
  }
}

void add_entries(Table& table, const Json& results) {
  std::size_t width = 0;
  std::size_t not_selected = 0;
  for (const Json& entry : results.at("entries")) {
    if (entry.at("selected").get<bool>()) {
      width = std::max(width, length(words(entry.at("name"))));
    } else {
      ++not_selected;
    }
  }
  width = std::min<std::size_t>(width, 50);
  table.blank();
  table.line("Entries");
  for (const Json& entry : results.at("entries")) {
    if (!entry.at("selected").get<bool>()) continue;
    std::map<std::string, int> counts;
    std::string blocked_by;
    for (const Json& test : results.at("tests")) {
      if (test.at("entry") != entry.at("name")) continue;
      ++counts[words(test.at("outcome"))];
      if (blocked_by.empty()) blocked_by = words(test.at("blocked_by"));
    }
    table.line(fmt::format("  {:<{}}  {:>8.1f} s  {}{}", shorten(words(entry.at("name")), width),
                           width, entry.at("seconds").get<double>(), counts_in_words(counts),
                           blocked_by.empty() ? "" : fmt::format(" by {}", blocked_by)));
  }
  if (not_selected > 0) table.line(fmt::format("  {} not selected", not_selected));
}

void add_figures(Table& table, const Json& results) {
  std::vector<std::pair<std::string, std::string>> names;  // with unit, in order of appearance
  std::map<std::pair<std::string, std::string>, std::vector<double>> values;
  for (const Json& test : results.at("tests")) {
    for (const Json& figure : test.at("figures")) {
      if (!figure.at("value").is_number()) continue;
      const std::pair key{words(figure.at("name")), words(figure.at("unit"))};
      if (!values.contains(key)) names.push_back(key);
      values[key].push_back(figure.at("value").get<double>());
    }
  }
  if (names.empty()) return;
  table.blank();
  table.line(
      fmt::format("{:<46}{:>14}{:>14}{:>14}", figures_title(results), "least", "median", "most"));
  for (const auto& key : names) {
    const std::vector<double>& all = values.at(key);
    const auto [least, most] = std::ranges::minmax(all);
    table.line(fmt::format("  {:<44}{:>14.5g}{:>14.5g}{:>14.5g} {}{}", shorten(key.first, 44),
                           least, median(all), most, key.second,
                           all.size() > 1 ? fmt::format("  of {}", all.size()) : ""));
  }
}

void add_skips(Table& table, const Json& results) {
  std::vector<std::string> lines;
  for (const Json& test : results.at("tests")) {
    if (test.at("outcome") != "skipped") continue;
    const std::string reason = words(test.at("skip_reason"));
    lines.push_back(
        fmt::format("{}: {}", words(test.at("name")), reason.empty() ? "no reason given" : reason));
  }
  if (lines.empty()) return;
  table.blank();
  table.line("Skipped");
  for (std::size_t i = 0; i < lines.size() && i < kMostLines; ++i) table.listed(lines[i]);
  if (lines.size() > kMostLines) {
    table.line(fmt::format("  and {} more", lines.size() - kMostLines));
  }
}

void add_warnings(Table& table, const Json& results) {
  const Json& warnings = results.at("warnings");
  if (warnings.empty()) return;
  table.blank();
  table.line("Warnings");
  for (std::size_t i = 0; i < warnings.size() && i < kMostLines; ++i) {
    table.listed(words(warnings[i]));
  }
  if (warnings.size() > kMostLines) {
    table.line(fmt::format("  and {} more", warnings.size() - kMostLines));
  }
}

}  // namespace

std::string table(const Json& results, const std::string& where, bool colours) {
  Table table(colours);
  add_verdict(table, results);
  add_first_finding(table, results.at("first_finding"));
  add_other_findings(table, results);
  add_entries(table, results);
  add_figures(table, results);
  add_skips(table, results);
  add_warnings(table, results);
  table.blank();
  table.labelled("Report:", printable(where));
  return table.take();
}

}  // namespace conformance::report
