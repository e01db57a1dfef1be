#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace conformance::report {

// Drawings, as SVG inside a page. The small ones are hidden from readers of the text: the numbers
// stand in the cells beside them.

/// part / whole between 0 and 1; 0 for what has no sense.
double share(double part, double whole);

/// A value with the marks that it is judged by: the floor dashed, the limit solid. The bar's end is
/// the greatest of them.
std::string value_bar(double value, std::optional<double> floor, std::optional<double> limit);

/// From `start` to `end` of a whole: one row of a timeline.
std::string span_bar(double start, double end, double whole, bool bad);

/// How far values are from their median, in percent; the greatest of them.
double greatest_deviation(std::span<const double> values);
/// A dot for each value, by its distance from their median, on a scale of ± `percent`.
std::string dots(std::span<const double> values, double percent);

/// A point of a curve: bytes and a figure.
struct CurvePoint {
  double size = 0, value = 0;
};
/// "64 KiB".
std::string size_text(double bytes);
/// A figure over the size, whose axis is logarithmic. `id` is unique in the page; `title` and
/// `description` are what a reader gets who does not see it.
std::string curve(std::string_view id, std::string_view title, std::string_view description,
                  std::string_view unit, const std::vector<CurvePoint>& points);

}  // namespace conformance::report
