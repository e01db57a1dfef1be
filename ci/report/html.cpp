#include "ci/report/html.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ci/report/charts.h"
#include "ci/report/page.h"
#include "ci/report/results.h"
#include "ci/report/text.h"
#include "fixtures/figure.h"

namespace conformance::report {
namespace {

/// A machine with more GPUs than this gets lists instead of matrices.
constexpr std::size_t kMatrixGpus = 32;
/// In percent: smaller differences are drawn as small as they are.
constexpr double kLeastSpread = 1;
/// The figure whose matrix stands open.
constexpr std::string_view kMainPairFigure = "peer-copy-write-bandwidth";

bool is_good(std::string_view outcome) {
  return outcome == "passed" || outcome == "skipped" || outcome == "not-selected";
}

std::string seconds_text(double seconds) {
  return seconds < 100 ? fmt::format("{:.2f} s", seconds) : fmt::format("{:.0f} s", seconds);
}

/// Text in which `commands` stand between backticks.
std::string prose(std::string_view text) {
  std::string result;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t open = text.find('`', start);
    const std::size_t close = open == text.npos ? open : text.find('`', open + 1);
    if (close == text.npos) return result + escape_xml(text.substr(start));
    result += escape_xml(text.substr(start, open - start)) + "<code>" +
              escape_xml(text.substr(open + 1, close - open - 1)) + "</code>";
    start = close + 1;
  }
  return result;
}

std::string paragraph(std::string_view name, const Json& value) {
  return fmt::format("<p><b>{}:</b> {}</p>\n", name, prose(words(value)));
}

// --- the top

std::string counts(const Json& results) {
  std::string text;
  for (const auto& [outcome, count] : results.at("counts").items()) {
    if (count != 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", words(count), escape_xml(outcome));
    }
  }
  return text.empty() ? "no tests" : text;
}

std::string first_cause(const Json& results) {
  const Json& finding = results.at("first_finding");
  if (finding.is_null()) return "";
  return fmt::format(
      "<div class=\"cause\"><h2>First cause: {}</h2>\n{}{}{}{}{}</div>\n",
      escape_xml(words(finding.at("code"))), paragraph("What is wrong", finding.at("cause")),
      paragraph("What to do", finding.at("remedy")),
      paragraph("Where", finding.at("subject").at("name")), paragraph("Seen", finding.at("detail")),
      paragraph("Whose turn", finding.at("severity")));
}

/// The facts that a reader looks for first.
std::string key_facts(const Json& results) {
  std::string items;
  for (const Json& fact : results.at("facts")) {
    const std::string name = words(fact.at("name"));
    const bool gpu = name.starts_with("devices.gpu-");
    if (gpu || name == "driver.verdict" || name == "host.os" || name == "nccl.version") {
      items += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_xml(name),
                           escape_xml(words(fact.at("value"))));
    }
  }
  return items.empty() ? "" : "<dl>" + items + "</dl>\n";
}

std::string header(const Json& results) {
  const Json& run = results.at("run");
  std::string text = fmt::format("<header><h1>{}</h1>\n<p class=\"verdict\">{}</p>\n<p>{}</p>\n",
                                 escape_xml(words(results.at("title"))),
                                 outcome_badge(words(results.at("verdict"))), counts(results));
  if (results.at("simulated").get<bool>()) {
    text +=
        "<p class=\"note\"><b>Simulated GPUs.</b> Figures come of a model of time and say nothing "
        "about this host.</p>\n";
  }
  text += first_cause(results);
  text += fmt::format("<p class=\"soft\">Run {}, {}, {} long; level {}, CUDA origin {}.</p>\n",
                      escape_xml(words(run.at("id"))), utc(run.at("started").get<double>()),
                      seconds_text(run.at("ended").get<double>() - run.at("started").get<double>()),
                      escape_xml(words(run.at("level"))), escape_xml(words(run.at("cuda_origin"))));
  return text + key_facts(results) + "</header>\n";
}

// --- findings

std::string evidence(const Json& finding) {
  std::string items;
  std::string output;
  for (const auto& [name, value] : finding.at("evidence").items()) {
    const std::string text = words(value);
    if (text.find('\n') != std::string::npos) {
      output += folded(escape_xml(name), "<pre>" + escape_xml(text) + "</pre>");
    } else {
      items += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_xml(name), escape_xml(text));
    }
  }
  return (items.empty() ? "" : "<dl>" + items + "</dl>\n") + output;
}

std::string occurrence(const Json& finding) {
  return fmt::format(
      "<p><b>{}:</b> {}<br><small class=\"soft\">{} {}</small></p>\n{}",
      escape_xml(words(finding.at("subject").at("name"))), escape_xml(words(finding.at("detail"))),
      breakable(words(finding.at("test"))),
      finding.at("outcome").is_null() ? "" : outcome_badge(words(finding["outcome"])),
      evidence(finding));
}

/// Findings of one code, which have cause and remedy in common.
std::string finding_group(const std::vector<const Json*>& group, bool remark) {
  const Json& first = *group.front();
  std::string more;
  for (std::size_t i = 1; i < group.size(); ++i) more += occurrence(*group[i]);
  return fmt::format(
      "<article class=\"finding{}\"><h3>{} <small class=\"soft\">{}</small></h3>\n{}{}{}{}"
      "</article>\n",
      remark ? " remark" : "", escape_xml(words(first.at("code"))),
      escape_xml(words(first.at("severity"))), paragraph("Cause", first.at("cause")),
      paragraph("Remedy", first.at("remedy")), occurrence(first),
      more.empty() ? "" : folded(fmt::format("{} more", group.size() - 1), more));
}

std::string findings(const Json& results, bool remarks) {
  std::vector<std::vector<const Json*>> groups;
  for (const Json& finding : results.at("findings")) {
    const Json& outcome = finding.at("outcome");
    if ((!outcome.is_null() && is_good(words(outcome))) != remarks) continue;
    const auto known = std::ranges::find_if(groups, [&](const std::vector<const Json*>& group) {
      return group.front()->at("code") == finding.at("code") &&
             group.front()->at("remedy") == finding.at("remedy");
    });
    if (known == groups.end()) {
      groups.push_back({&finding});
    } else {
      known->push_back(&finding);
    }
  }
  std::string text;
  for (const auto& group : groups) text += finding_group(group, remarks);
  return text;
}

// --- layers

std::string why(const Json& test) {
  if (!test.at("blocked_by").is_null()) {
    return "<br>blocked by " + breakable(words(test.at("blocked_by")));
  }
  return test.at("skip_reason").is_null() ? "" : "<br>" + escape_xml(words(test.at("skip_reason")));
}

std::string test_row(const Json& test, const std::string& entry) {
  const std::string name = words(test.at("name"));
  std::string verified;
  for (const Json& item : test.at("verified")) {
    verified += fmt::format("{}{} {}", verified.empty() ? "" : "<br>", words(item.at("count")),
                            escape_xml(words(item.at("what"))));
  }
  std::string codes;
  for (const Json& code : test.at("findings")) {
    codes += fmt::format("<br><code>{}</code>", escape_xml(words(code)));
  }
  std::string messages;
  for (const Json& message : test.at("messages")) {
    messages += "<pre>" + escape_xml(words(message)) + "</pre>\n";
  }
  return fmt::format(
      "<tr>{}<td>{}{}{}</td><td class=\"wide\">{}<br><small class=\"soft\">{}</small>{}</td>"
      "<td>{}</td>{}</tr>\n",
      row_heading(name.starts_with(entry + ".") ? name.substr(entry.size() + 1) : name),
      outcome_badge(words(test.at("outcome"))), why(test), codes,
      escape_xml(words(test.at("claim"))), escape_xml(words(test.at("source"))),
      messages.empty() ? "" : folded("Messages", messages), verified,
      number_cell(seconds_text(test.at("seconds").get<double>())));
}

std::string layer(const Json& results, const Json& layer) {
  std::string rows;
  std::map<std::string, int> outcomes;
  for (const Json& entry : results.at("entries")) {
    if (entry.at("layer") != layer.at("name") || !entry.at("selected").get<bool>()) continue;
    const std::string name = words(entry.at("name"));
    if (!rows.empty()) rows += "</tbody><tbody>";
    rows += fmt::format(
        "<tr><th class=\"group\" scope=\"rowgroup\" colspan=\"5\">{} {} <small class=\"soft\">{}"
        "</small></th></tr>\n",
        escape_xml(name), outcome_badge(words(entry.at("outcome"))),
        seconds_text(entry.at("seconds").get<double>()));
    for (const Json& test : results.at("tests")) {
      if (test.at("entry") != name) continue;
      rows += test_row(test, name);
      ++outcomes[words(test.at("outcome"))];
    }
  }
  std::string summary =
      fmt::format("<b>{}</b> {} <small class=\"soft\">", escape_xml(words(layer.at("name"))),
                  outcome_badge(words(layer.at("outcome"))));
  std::string separator;
  for (const auto& [outcome, count] : outcomes) {
    summary += fmt::format("{}{} {}", separator, count, escape_xml(outcome));
    separator = ", ";
  }
  summary += "</small>";
  const bool open = !is_good(words(layer.at("outcome"))) && layer.at("outcome") != "blocked";
  return folded(summary,
                table("Claims of the layer " + words(layer.at("name")),
                      {"Test", "Outcome", "Claim and its source", "Verified", "Time"}, rows),
                open);
}

std::string layers(const Json& results) {
  std::string text;
  for (const Json& each : results.at("layers")) text += layer(results, each);
  return text;
}

// --- figures

struct ShownFigure {
  std::string subject;
  double value = 0;  ///< NaN if nothing was measured
  std::optional<double> floor, limit;
  const Json* json = nullptr;
};

/// Figures of one name, unit and kind of subject, of one test.
struct FigureGroup {
  std::string name, unit, kind, test;
  std::vector<ShownFigure> figures;

  std::vector<double> values() const {
    std::vector<double> all;
    for (const ShownFigure& figure : figures) {
      if (std::isfinite(figure.value)) all.push_back(figure.value);
    }
    return all;
  }
};

double number_or_nan(const Json& value) {
  return value.is_number() ? value.get<double>() : std::nan("");
}

std::optional<double> bound(const Json& figure, const char* name) {
  if (!figure.contains(name)) return std::nullopt;
  return figure.at(name).at("value").get<double>();
}

/// The numbers in a text, and a "0" before it if it has none: "GPU 10" comes after "GPU 9".
std::vector<unsigned long> numbers_in(std::string_view text) {
  std::vector<unsigned long> numbers;
  for (std::size_t i = 0; i < text.size();) {
    unsigned long number = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), number);
    if (error == std::errc() && end != text.data() + i) {
      numbers.push_back(number);
      i = static_cast<std::size_t>(end - text.data());
    } else {
      ++i;
    }
  }
  return numbers;
}

bool comes_before(const ShownFigure& a, const ShownFigure& b) {
  return std::pair(numbers_in(short_name(a.subject)), a.subject) <
         std::pair(numbers_in(short_name(b.subject)), b.subject);
}

std::vector<FigureGroup> figure_groups(const Json& results) {
  std::vector<FigureGroup> groups;
  std::map<std::tuple<std::string, std::string, std::string, std::string>, std::size_t> places;
  for (const Json& test : results.at("tests")) {
    for (const Json& figure : test.at("figures")) {
      FigureGroup group{words(figure.at("name")),
                        words(figure.at("unit")),
                        words(figure.at("subject").at("kind")),
                        words(test.at("name")),
                        {}};
      const auto [place, fresh] =
          places.emplace(std::tuple(group.name, group.unit, group.kind, group.test), groups.size());
      if (fresh) groups.push_back(std::move(group));
      groups[place->second].figures.push_back(
          {words(figure.at("subject").at("name")), number_or_nan(figure.at("value")),
           bound(figure, "floor"), bound(figure, "limit"), &figure});
    }
  }
  for (FigureGroup& group : groups) std::ranges::stable_sort(group.figures, comes_before);
  return groups;
}

std::string value_text(double value) {
  return std::isfinite(value) ? four_digits(value) : "no number";
}

std::string bound_text(std::optional<double> value) { return value ? four_digits(*value) : ""; }

bool below_floor(const ShownFigure& figure) {
  return figure.floor && !(figure.value >= *figure.floor);
}

std::string below_floor_sign(const ShownFigure& figure) {
  return below_floor(figure) ? " <b class=\"failed\">▼ below its floor</b>" : "";
}

/// "limit 478.1, floor 358.6 to 360", of those that have one.
std::string bounds_of(const FigureGroup& group) {
  std::string text;
  for (const auto& [name, member] :
       {std::pair{"limit", &ShownFigure::limit}, std::pair{"floor", &ShownFigure::floor}}) {
    std::optional<double> least, most;
    for (const ShownFigure& figure : group.figures) {
      const std::optional<double> value = figure.*member;
      if (!value) continue;
      least = std::min(*value, least.value_or(*value));
      most = std::max(*value, most.value_or(*value));
    }
    if (!least) continue;
    text += fmt::format("; {} {}", name, four_digits(*least));
    if (four_digits(*least) != four_digits(*most)) text += " to " + four_digits(*most);
  }
  return text;
}

std::string figure_row(const ShownFigure& figure) {
  const Json& samples = figure.json->at("samples");
  double least = std::nan("");
  double most = least;
  for (const Json& sample : samples) {
    least = std::fmin(least, number_or_nan(sample));
    most = std::fmax(most, number_or_nan(sample));
  }
  return fmt::format(
      "<tr>{}{}{}{}{}<td class=\"chart\">{}{}</td></tr>\n", row_heading(figure.subject),
      number_cell(value_text(figure.value)),
      number_cell(samples.size() < 2 ? "1 sample"
                                     : fmt::format("{} to {}, {} samples", value_text(least),
                                                   value_text(most), samples.size())),
      number_cell(bound_text(figure.floor)), number_cell(bound_text(figure.limit)),
      figure.floor || figure.limit ? value_bar(figure.value, figure.floor, figure.limit) : "",
      below_floor_sign(figure));
}

/// Where the numbers of a group come from: each formula, floor and limit once.
std::string origins(const FigureGroup& group) {
  std::string text;
  std::set<std::string> known;
  const auto say = [&](std::string_view what, const Json& value) {
    std::string line = paragraph(what, value);
    if (known.insert(line).second) text += line;
  };
  for (const ShownFigure& figure : group.figures) {
    say("Formula", figure.json->at("formula"));
    if (figure.limit) say("Limit", figure.json->at("limit").at("source"));
    if (figure.floor) say("Floor", figure.json->at("floor").at("reason"));
  }
  return text;
}

std::string all_of(const FigureGroup& group) {
  std::string rows;
  for (const ShownFigure& figure : group.figures) rows += figure_row(figure);
  return folded(
      fmt::format("{} <small class=\"soft\">{}, of {}</small>", escape_xml(group.name),
                  escape_xml(group.unit), breakable(group.test)),
      origins(group) + table(fmt::format("{}, {}", group.name, group.unit),
                             {"Subject", "Median", "Samples", "Floor", "Limit", "Against them"},
                             rows));
}

std::string with_subject(const ShownFigure& figure) {
  return fmt::format("{} <small class=\"soft\">{}</small>", value_text(figure.value),
                     escape_xml(short_name(figure.subject)));
}

/// One row of the overview: the group's median against its bounds, and how its subjects differ.
std::string overview_row(const FigureGroup& group) {
  const std::vector<double> values = group.values();
  std::string row = fmt::format("<tr><th scope=\"row\">{}<br><small class=\"soft\">{}</small></th>",
                                escape_xml(group.name), breakable(group.test));
  row += cell(group.figures.size() == 1 ? std::string(short_name(group.figures[0].subject))
                                        : fmt::format("{} {}s", group.figures.size(), group.kind));
  if (values.empty()) return row + "<td colspan=\"4\">no number</td></tr>\n";
  const auto by_value = [](const ShownFigure& a, const ShownFigure& b) {
    return a.value < b.value;
  };
  const auto [least, most] =
      std::minmax_element(group.figures.begin(), group.figures.end(), by_value);
  const double middle = median(values);
  row += number_cell(fmt::format("{} {}", four_digits(middle), group.unit));
  row += group.figures.size() == 1 ? "<td></td>"
                                   : fmt::format("<td class=\"number\">{}<br>{}</td>",
                                                 with_subject(*least), with_subject(*most));
  // The strictest bounds, so that the bar shows the closest call.
  std::optional<double> floor, limit;
  bool below = false;
  for (const ShownFigure& figure : group.figures) {
    if (figure.floor) floor = std::max(*figure.floor, floor.value_or(*figure.floor));
    if (figure.limit) limit = std::min(*figure.limit, limit.value_or(*figure.limit));
    below = below || below_floor(figure);
  }
  row += fmt::format("<td class=\"chart\">{}{}{}</td>",
                     floor || limit ? value_bar(middle, floor, limit) : "",
                     limit ? fmt::format("<small class=\"soft\">{:.0f} % of the limit</small>",
                                         100 * middle / *limit)
                           : "",
                     below ? " <b class=\"failed\">▼ one is below its floor</b>" : "");
  row += fmt::format(
      "<td class=\"chart\">{}</td></tr>\n",
      values.size() < 2 ? "" : dots(values, std::max(kLeastSpread, greatest_deviation(values))));
  return row;
}

// --- pairs

/// The GPUs of "GPU 0 -> GPU 1 (...)".
std::optional<std::pair<unsigned long, unsigned long>> gpus_of_pair(std::string_view subject) {
  const std::string_view name = short_name(subject);
  const std::vector<unsigned long> numbers = numbers_in(name);
  if (numbers.size() != 2 || name != fmt::format("GPU {} -> GPU {}", numbers[0], numbers[1])) {
    return std::nullopt;
  }
  return std::pair(numbers[0], numbers[1]);
}

/// With as many decimals as give the greatest number of a matrix its four digits.
std::string aligned(double value, double greatest) {
  if (!std::isfinite(value) || greatest >= 1e15) return value_text(value);
  const int before_point = greatest < 1 ? 1 : static_cast<int>(std::log10(greatest)) + 1;
  return fmt::format("{:.{}f}", value, std::max(0, 4 - before_point));
}

/// A figure of ordered pairs as a matrix; nothing if its subjects are not the pairs of some GPUs.
std::string matrix(const FigureGroup& group) {
  std::map<std::pair<unsigned long, unsigned long>, const ShownFigure*> cells;
  std::set<unsigned long> gpus;
  double greatest = 0;
  for (const ShownFigure& figure : group.figures) {
    const auto pair = gpus_of_pair(figure.subject);
    if (!pair || !cells.emplace(*pair, &figure).second) return "";
    gpus.insert({pair->first, pair->second});
    if (std::isfinite(figure.value)) greatest = std::max(greatest, figure.value);
  }
  if (gpus.empty() || gpus.size() > kMatrixGpus) return "";
  std::string head = "<th scope=\"col\">from \\ to</th>";
  std::string rows;
  for (const unsigned long from : gpus) {
    head += fmt::format("<th scope=\"col\">GPU {}</th>", from);
    rows += fmt::format("<tr><th scope=\"row\">GPU {}</th>", from);
    for (const unsigned long to : gpus) {
      const auto found = cells.find({from, to});
      if (found == cells.end()) {
        rows += "<td class=\"soft\">–</td>";
        continue;
      }
      const ShownFigure& figure = *found->second;
      rows += fmt::format("<td style=\"--share:{:.0f}%\">{}{}</td>",
                          100 * share(figure.value, greatest), aligned(figure.value, greatest),
                          below_floor(figure)
                              ? "<b class=\"failed\"> ▼<span class=\"hidden\"> below its floor"
                                "</span></b>"
                              : "");
    }
    rows += "</tr>\n";
  }
  const std::string caption =
      fmt::format("{}, {}, from the GPU of the row to the GPU of the column{}", group.name,
                  group.unit, bounds_of(group));
  return fmt::format(
      "<div class=\"scroll matrix\" role=\"region\" tabindex=\"0\" aria-label=\"{0}\"><table>"
      "<caption>{0}</caption><thead><tr>{1}</tr></thead><tbody>{2}</tbody></table></div>\n",
      escape_xml(caption), head, rows);
}

// --- curves

/// A text that ends in a size, such as "bus-bandwidth-64KiB" or "communicator of 8 GPUs, 64 MiB".
struct SizedText {
  std::string text;  ///< without the size
  double size = 0;
};

std::optional<SizedText> sized(std::string_view text, std::string_view separator) {
  for (const auto& [unit, factor] : std::initializer_list<std::pair<std::string_view, double>>{
           {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"B", 1}}) {
    if (!text.ends_with(unit)) continue;
    std::string_view rest = text.substr(0, text.size() - unit.size());
    if (rest.ends_with(' ')) rest.remove_suffix(1);
    const std::size_t at = rest.rfind(separator);
    if (at == rest.npos) return std::nullopt;
    const std::string_view digits = rest.substr(at + separator.size());
    unsigned number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number == 0) {
      return std::nullopt;
    }
    return SizedText{std::string(rest.substr(0, at)), number * factor};
  }
  return std::nullopt;
}

/// A figure over the size: the points of one subject.
struct Series {
  std::string name, unit, subject;
  std::map<double, ShownFigure> points;
};

/// "8: 12.5 us, 16: 12.6 us", a fact that holds the times of many sizes, as bytes over time.
Series series_of_times(const std::string& name, std::string_view text) {
  Series series{name + ": bytes / time", "GB/s", "", {}};
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto skip = [&](std::string_view word) {
    const bool there = std::string_view(at, static_cast<std::size_t>(end - at)).starts_with(word);
    at += there ? word.size() : 0;
    return there;
  };
  do {
    double bytes = 0;
    double microseconds = 0;
    const auto read = [&](double& number) {
      const auto [next, error] = std::from_chars(at, end, number);
      at = next;
      return error == std::errc() && number > 0 && std::isfinite(number);
    };
    if (!read(bytes) || !skip(": ") || !read(microseconds) || !skip(" us")) return {};
    series.points[bytes].value = bytes / microseconds * 1e-3;
  } while (skip(", "));
  return at == end ? series : Series{};
}

std::vector<Series> series_of(const std::vector<FigureGroup>& groups, const Json& facts) {
  std::vector<Series> all;
  for (const Json& fact : facts) {
    if (!fact.at("value").is_string()) continue;
    all.push_back(series_of_times(words(fact.at("name")), words(fact.at("value"))));
  }
  for (const FigureGroup& group : groups) {
    for (const ShownFigure& figure : group.figures) {
      const auto by_name = sized(group.name, "-");
      const auto by_subject = sized(figure.subject, ", ");
      if (!by_name && !by_subject) continue;
      const std::string& name = by_name ? by_name->text : group.name;
      const std::string& subject = by_name ? figure.subject : by_subject->text;
      auto place = std::ranges::find_if(all, [&](const Series& series) {
        return series.name == name && series.unit == group.unit && series.subject == subject;
      });
      if (place == all.end()) place = all.insert(all.end(), {name, group.unit, subject, {}});
      place->points[by_name ? by_name->size : by_subject->size] = figure;
    }
  }
  std::erase_if(all, [](const Series& series) { return series.points.size() < 3; });
  return all;
}

/// Whether a group's figures are points of a curve, so that the overview need not list them.
bool is_in_curve(const FigureGroup& group, const std::vector<Series>& curves) {
  const auto by_name = sized(group.name, "-");
  return std::ranges::any_of(curves, [&](const Series& series) {
    return series.unit == group.unit &&
           (series.name == group.name || (by_name && series.name == by_name->text));
  });
}

std::string curves(const std::vector<Series>& all) {
  std::string text;
  for (const Series& series : all) {
    std::vector<CurvePoint> points;
    std::string rows;
    for (const auto& [size, figure] : series.points) {
      rows +=
          fmt::format("<tr>{}{}{}{}<td>{}</td></tr>\n", row_heading(size_text(size)),
                      number_cell(value_text(figure.value)), number_cell(bound_text(figure.floor)),
                      number_cell(bound_text(figure.limit)), below_floor_sign(figure));
      if (std::isfinite(figure.value)) points.push_back({size, figure.value});
    }
    const std::string title =
        series.subject.empty() ? series.name : fmt::format("{} of {}", series.name, series.subject);
    text += fmt::format("<h3>{}</h3>\n", escape_xml(title));
    if (!points.empty()) {
      const auto most = std::ranges::max_element(points, {}, &CurvePoint::value);
      text += curve(
          fmt::format("curve-{}", &series - all.data()), title,
          fmt::format("{} sizes from {} to {}; the greatest value is {} {} at {}.", points.size(),
                      size_text(points.front().size), size_text(points.back().size),
                      four_digits(most->value), series.unit, size_text(most->size)),
          series.unit, points);
    }
    text += folded("The numbers", table(fmt::format("{}, {}", title, series.unit),
                                        {"Size", "Median", "Floor", "Limit", ""}, rows));
  }
  return text;
}

std::string pairs(const std::vector<FigureGroup>& groups) {
  std::string text;
  for (const FigureGroup& group : groups) {
    if (group.kind != "pair") continue;
    const std::string drawn = matrix(group);
    if (drawn.empty()) continue;
    const bool open = group.name == kMainPairFigure;
    text.insert(open ? 0 : text.size(),
                folded(fmt::format("<b>{}</b>", escape_xml(group.name)), drawn, open));
  }
  return text;
}

std::string overview(const std::vector<FigureGroup>& groups, const std::vector<Series>& curves) {
  std::string rows;
  std::string all;
  for (const FigureGroup& group : groups) {
    if (!is_in_curve(group, curves)) rows += overview_row(group);
    all += all_of(group);
  }
  if (all.empty()) return "";
  return "<p>Bars: the median; the floor is the dashed mark, the limit the solid one. Dots: one "
         "for "
         "each subject, by its distance from the median.</p>\n" +
         table("Figures",
               {"Figure", "Of", "Median", "Lowest, highest", "Against its bounds", "Spread"},
               rows) +
         folded("Every figure with its samples, formula, floor and limit", all);
}

// --- the rest

std::string timeline(const Json& results) {
  std::vector<std::pair<double, const Json*>> ran;
  const double start = results.at("run").at("started").get<double>();
  double whole = 0;
  for (const Json& entry : results.at("entries")) {
    if (!entry.contains("started") || entry["started"].is_null()) continue;
    const double from = entry["started"].get<double>() - start;
    ran.emplace_back(from, &entry);
    whole = std::max(whole, from + entry.at("seconds").get<double>());
  }
  if (ran.empty()) return "";
  std::ranges::stable_sort(ran, {}, &std::pair<double, const Json*>::first);
  std::string rows;
  for (const auto& [from, entry] : ran) {
    const double seconds = entry->at("seconds").get<double>();
    const std::string outcome = words(entry->at("outcome"));
    rows += fmt::format("<tr>{}<td>{}</td>{}{}<td class=\"chart wide\">{}</td></tr>\n",
                        row_heading(words(entry->at("name"))), outcome_badge(outcome),
                        number_cell(seconds_text(from)), number_cell(seconds_text(seconds)),
                        span_bar(from, from + seconds, whole, !is_good(outcome)));
  }
  return table("When each entry ran, from the start of the run",
               {"Entry", "Outcome", "Began after", "Took", "Timeline"}, rows);
}

std::string facts(const Json& results) {
  std::string rows;
  for (const Json& fact : results.at("facts")) {
    rows += fmt::format("<tr>{}<td class=\"value\">{}</td>{}</tr>\n",
                        row_heading(words(fact.at("name"))), escape_xml(words(fact.at("value"))),
                        cell(fact.at("entry")));
  }
  if (rows.empty()) return "";
  return folded(fmt::format("{} facts", results.at("facts").size()),
                table("What the suites found on this host", {"Fact", "Value", "Said by"}, rows));
}

/// The nodes of a job, each in a row; empty for one host.
std::string nodes(const Json& results) {
  if (!results.contains("nodes")) return "";
  std::string rows;
  for (const Json& node : results.at("nodes")) {
    std::string counted;
    if (node.contains("counts")) counted = counts(node);
    const bool in_full = node.value("in_full", true) && node.contains("counts");
    rows +=
        fmt::format("<tr>{}<td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    row_heading(words(node.at("name"))), outcome_badge(words(node.at("verdict"))),
                    counted, in_full ? "on this page" : "in its own report");
  }
  return table("The nodes of the job", {"Node", "Verdict", "Tests", "Everything about it"}, rows);
}

std::string warnings(const Json& results) {
  std::string items;
  for (const Json& warning : results.at("warnings")) {
    items += fmt::format("<li>{}</li>\n", escape_xml(words(warning)));
  }
  return items.empty() ? "" : "<ul>" + items + "</ul>\n";
}

}  // namespace

std::string html(const Json& results) {
  const std::vector<FigureGroup> groups = figure_groups(results);
  const std::vector<Series> over_size = series_of(groups, results.at("facts"));
  const std::string found = findings(results, false);
  std::string contents;
  std::string sections;
  const auto add = [&](std::string_view id, std::string_view heading, const std::string& body) {
    if (body.empty()) return;
    contents += fmt::format("<li><a href=\"#{}\">{}</a></li>", id, escape_xml(heading));
    sections += section(id, heading, body);
  };
  add("findings", "Findings", found.empty() ? "<p>None.</p>\n" : found);
  add("remarks", "Remarks of tests that passed", findings(results, true));
  add("nodes", "Nodes", nodes(results));
  add("layers", "Layers", layers(results));
  add("pairs", "Between GPUs", pairs(groups));
  add("curves", "Figures over the size", curves(over_size));
  add("figures", figures_title(results), overview(groups, over_size));
  add("timeline", "Timeline", timeline(results));
  add("host", "Host", facts(results));
  add("warnings", "Warnings", warnings(results));
  return page(fmt::format("{}: {}", words(results.at("title")), words(results.at("verdict"))),
              "<a class=\"skip\" href=\"#findings\">To the findings</a>\n" + header(results) +
                  "<nav aria-label=\"Contents\"><ul>" + contents + "</ul></nav>\n<main>\n" +
                  sections + "</main>\n");
}

}  // namespace conformance::report
