// The views of a comparison: text, JUnit's XML, a page.

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ci/report/comparison.h"
#include "ci/report/page.h"
#include "ci/report/text.h"

namespace conformance::report {
namespace {

constexpr std::size_t kWidth = 120;
/// Of each effect on a terminal; the page has them all.
constexpr std::size_t kMostLines = 40;

struct Group {
  Effect effect;
  std::string_view heading, id;
};
constexpr std::array<Group, 4> kGroups{{{Effect::worse, "Worse", "worse"},
                                        {Effect::better, "Better", "better"},
                                        {Effect::changed, "Changed", "changed"},
                                        {Effect::expected, "Changed as expected", "expected"}}};
/// The parts that every comparison looks at.
constexpr std::array<std::string_view, 7> kParts{
    "Nodes", "GPUs", "Peers and links", "Tests", "Figures", "Libraries", "Host"};
/// Those of this one: the first part is of jobs.
std::span<const std::string_view> parts_of(const Comparison& comparison) {
  return std::span(kParts).subspan(comparison.nodes > 0 ? 0 : 1);
}

std::string title(const Comparison& comparison) {
  return fmt::format("{}CUDA conformance, before and after",
                     comparison.simulated ? "simulated: " : "");
}

std::string summary(const Comparison& comparison) {
  return fmt::format("{}{} GPUs, {} tests, {} figures and {} facts compared",
                     comparison.nodes > 0 ? fmt::format("{} nodes, ", comparison.nodes) : "",
                     comparison.gpus, comparison.tests, comparison.figures, comparison.facts);
}

std::string describe(const Comparison::Side& side) {
  return fmt::format("run {} of {}, level {}, {}: {}", side.run, utc(side.started), side.level,
                     side.verdict, side.file);
}

std::string change(const Difference& difference) {
  const auto shown = [](const std::string& value) {
    return value.empty() ? std::string("–") : value;
  };
  return fmt::format("{} -> {}", shown(difference.before), shown(difference.after));
}

std::string describe(const Difference& difference) {
  return fmt::format("{}: {}{}", difference.what, change(difference),
                     difference.note.empty() ? "" : fmt::format(" ({})", difference.note));
}

std::vector<const Difference*> of_effect(const Comparison& comparison, Effect effect) {
  std::vector<const Difference*> found;
  for (const Difference& difference : comparison.differences) {
    if (difference.effect == effect) found.push_back(&difference);
  }
  return found;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return text;
}

}  // namespace

std::string comparison_text(const Comparison& comparison, bool colours) {
  std::string text;
  const auto add_wrapped = [&](std::string head, const std::string& words) {
    const std::string indent(head.size() + 2, ' ');
    for (const std::string& line : wrap(printable(words), kWidth - head.size())) {
      text += head + line + '\n';
      if (head != indent) head = indent;
    }
  };
  const std::string verdict = fmt::format("{}: {}", title(comparison), upper(comparison.verdict()));
  const bool good = !comparison.has(Effect::worse);
  text += colours ? fmt::format("\x1b[1;{}m{}\x1b[0m\n", good ? 32 : 31, verdict) : verdict + '\n';
  add_wrapped("  Before: ", describe(comparison.before));
  add_wrapped("  After:  ", describe(comparison.after));
  text += fmt::format("  {}\n", summary(comparison));
  for (const Group& group : kGroups) {
    const std::vector<const Difference*> found = of_effect(comparison, group.effect);
    if (found.empty()) continue;
    text += fmt::format("\n{}\n", group.heading);
    for (std::size_t i = 0; i < found.size() && i < kMostLines; ++i) {
      add_wrapped("  ", fmt::format("{}: {}", found[i]->part, describe(*found[i])));
    }
    if (found.size() > kMostLines) {
      text += fmt::format("  and {} more\n", found.size() - kMostLines);
    }
  }
  return text;
}

std::string comparison_junit(const Comparison& comparison) {
  std::string cases;
  std::size_t failures = 0;
  const std::string prefix = comparison.simulated ? "simulated: " : "";
  for (const std::string_view part : parts_of(comparison)) {
    std::string worse;
    std::string others;
    std::size_t count = 0;
    for (const Difference& difference : comparison.differences) {
      if (difference.part != part) continue;
      const bool bad = difference.effect == Effect::worse;
      (bad ? worse : others) += describe(difference) + '\n';
      count += bad ? 1 : 0;
    }
    cases += fmt::format("<testcase classname=\"{}comparison\" name=\"{}\" time=\"0.0\">\n", prefix,
                         escape_xml(part));
    if (count > 0) {
      ++failures;
      cases +=
          fmt::format("<failure type=\"comparison.worse\" message=\"{}{}\">{}</failure>\n",
                      escape_xml(worse.substr(0, worse.find('\n'))),
                      count > 1 ? fmt::format(", and {} more", count - 1) : "", escape_xml(worse));
    }
    if (!others.empty()) cases += fmt::format("<system-out>{}</system-out>\n", escape_xml(others));
    cases += "</testcase>\n";
  }
  const std::string totals = fmt::format("tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"0.0\"",
                                         parts_of(comparison).size(), failures);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{0}\" {1}>\n"
      "<testsuite name=\"{2}comparison\" {1} skipped=\"0\">\n<properties>\n"
      "<property name=\"before\" value=\"{3}\"/>\n<property name=\"after\" value=\"{4}\"/>\n"
      "<property name=\"compared\" value=\"{5}\"/>\n</properties>\n{6}</testsuite>\n"
      "</testsuites>\n",
      escape_xml(title(comparison)), totals, prefix, escape_xml(describe(comparison.before)),
      escape_xml(describe(comparison.after)), escape_xml(summary(comparison)), cases);
}

std::string comparison_html(const Comparison& comparison) {
  std::string html = fmt::format(
      "<h1>{}</h1>\n<p class=\"verdict\">{}</p>\n<p>Before: {}<br>After: {}<br>{}</p>\n",
      escape_xml(title(comparison)), outcome_badge(comparison.verdict()),
      escape_xml(describe(comparison.before)), escape_xml(describe(comparison.after)),
      escape_xml(summary(comparison)));
  for (const Group& group : kGroups) {
    const std::vector<const Difference*> found = of_effect(comparison, group.effect);
    if (found.empty()) continue;
    std::string rows;
    for (const Difference* difference : found) {
      rows += "<tr>" + cell(difference->part) + row_heading(difference->what) +
              cell(difference->before) + cell(difference->after) + cell(difference->note) +
              "</tr>\n";
    }
    html += section(group.id, fmt::format("{} ({})", group.heading, found.size()),
                    table("Before and after", {"Part", "What", "Before", "After", "Note"}, rows));
  }
  return page(fmt::format("{}: {}", title(comparison), comparison.verdict()), html);
}

}  // namespace conformance::report
