#include "ci/report/charts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "ci/report/text.h"
#include "fixtures/figure.h"

namespace conformance::report {
namespace {

/// The next of 1, 2, 5, 10, ... that is not smaller.
double round_up(double value) {
  if (!(value > 0) || !std::isfinite(value)) return 1;
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

std::string mark(std::string_view kind, double x) {
  return fmt::format("<path class=\"mark {0}\" stroke=\"currentColor\" d=\"M{1:.2f} 0V10\"/>", kind,
                     x);
}

}  // namespace

double share(double part, double whole) {
  const double quotient = part / whole;
  return std::isfinite(quotient) ? std::clamp(quotient, 0.0, 1.0) : 0;
}

std::string value_bar(double value, std::optional<double> floor, std::optional<double> limit) {
  const double whole = std::max({value, floor.value_or(0), limit.value_or(0)});
  const auto at = [&](double x) { return 1 + 98 * share(x, whole); };
  return fmt::format(
      "<svg class=\"bar\" width=\"150\" height=\"13\" viewBox=\"0 0 100 10\" "
      "preserveAspectRatio=\"none\" aria-hidden=\"true\">"
      "<rect class=\"scale\" x=\"1\" width=\"98\" height=\"10\" fill=\"#eee\"/>"
      "<rect class=\"{}\" x=\"1\" y=\"2\" width=\"{:.2f}\" height=\"6\"/>{}{}</svg>",
      floor && value < *floor ? "bad" : "value", at(value) - 1,
      floor ? mark("floor", at(*floor)) : "", limit ? mark("limit", at(*limit)) : "");
}

std::string span_bar(double start, double end, double whole, bool bad) {
  const double from = 1000 * share(start, whole);
  const double to = 1000 * share(end, whole);
  return fmt::format(
      "<svg class=\"bar\" width=\"300\" height=\"13\" viewBox=\"0 0 1000 10\" "
      "preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\"><rect class=\"scale\" width=\"1000\" height=\"10\" fill=\"#eee\"/>"
      "<rect class=\"{}\" x=\"{:.1f}\" width=\"{:.1f}\" height=\"10\"/></svg>",
      bad ? "bad" : "value", std::min(from, 996.0), std::max(to - from, 4.0));
}

double greatest_deviation(std::span<const double> values) {
  const double middle = median(values);
  double greatest = 0;
  for (const double value : values) {
    const double percent = 100 * std::abs(value / middle - 1);
    if (std::isfinite(percent)) greatest = std::max(greatest, percent);
  }
  return greatest;
}

std::string dots(std::span<const double> values, double percent) {
  const double middle = median(values);
  std::string circles;
  for (const double value : values) {
    const double deviation = 100 * (value / middle - 1) / round_up(percent);
    if (!std::isfinite(deviation)) continue;
    circles += fmt::format("<circle cx=\"{:.1f}\" cy=\"8\" r=\"4\"/>",
                           96 + 88 * std::clamp(deviation, -1.0, 1.0));
  }
  return fmt::format(
      "<svg class=\"dots\" width=\"192\" height=\"16\" viewBox=\"0 0 192 16\" aria-hidden=\"true\">"
      "<path class=\"axis\" stroke=\"#888\" d=\"M8 8H184M96 1V15M8 4V12M184 4V12\"/>{}</svg>"
      "<small class=\"soft\">± {} %</small>",
      circles, four_digits(round_up(percent)));
}

std::string size_text(double bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", four_digits(bytes), kUnits[unit]);
}

std::string curve(std::string_view id, std::string_view title, std::string_view description,
                  std::string_view unit, const std::vector<CurvePoint>& points) {
  constexpr double kLeft = 70, kRight = 620, kTop = 30, kBottom = 270;
  double least = points.front().size, most = least, highest = 0;
  for (const CurvePoint& point : points) {
    least = std::min(least, point.size);
    most = std::max(most, point.size);
    highest = std::max(highest, point.value);
  }
  const double top = round_up(highest);
  const auto x_of = [&](double size) {
    return kLeft + (kRight - kLeft) * share(std::log2(size / least), std::log2(most / least));
  };
  const auto y_of = [&](double value) { return kBottom - (kBottom - kTop) * share(value, top); };
  std::string drawing;
  constexpr int kLines = 5;
  for (int i = 0; i <= kLines; ++i) {
    const double value = top * i / kLines;
    drawing += fmt::format(
        "<path class=\"grid\" stroke=\"#ccc\" d=\"M{0} {1:.1f}H{2}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, y_of(value), kRight, kLeft - 8, y_of(value) + 4, four_digits(value));
  }
  const int octaves = std::max(1, static_cast<int>(std::log2(most / least)));
  constexpr int kMostLabels = 8;
  for (int i = 0; i <= octaves; i += octaves / kMostLabels + 1) {
    const double size = least * std::exp2(i);
    drawing += fmt::format(
        "<path class=\"axis\" stroke=\"#888\" d=\"M{0:.1f} {1}v5\"/>"
        "<text x=\"{0:.1f}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>\n",
        x_of(size), kBottom, kBottom + 20, size_text(size));
  }
  std::string line;
  std::string circles;
  for (const CurvePoint& point : points) {
    line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? "M" : "L", x_of(point.size),
                        y_of(point.value));
    circles += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", x_of(point.size),
                           y_of(point.value));
  }
  return fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{1}\">"
      "<svg class=\"curve\" viewBox=\"0 0 640 320\" width=\"640\" role=\"img\" "
      "aria-labelledby=\"{0}-title {0}-text\"><title id=\"{0}-title\">{1}</title>"
      "<desc id=\"{0}-text\">{2}</desc>\n<text x=\"8\" y=\"18\">{3}</text>\n{4}"
      "<path class=\"line\" fill=\"none\" stroke=\"#36c\" d=\"{5}\"/>{6}"
      "<text x=\"{7}\" y=\"312\" text-anchor=\"end\">bytes, logarithmic</text></svg></div>\n",
      escape_xml(id), escape_xml(title), escape_xml(description), escape_xml(unit), drawing, line,
      circles, kRight);
}

}  // namespace conformance::report
