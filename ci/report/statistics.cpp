#include "ci/report/statistics.h"

#include <cmath>
#include <vector>

#include "fixtures/figure.h"

namespace conformance::report {

double spread(std::span<const double> samples) {
  const double middle = median(samples);
  std::vector<double> distances;
  distances.reserve(samples.size());
  for (const double sample : samples) distances.push_back(std::abs(sample - middle));
  return 1.4826 * median(distances);
}

FigureKind kind_of(std::string_view name, std::string_view unit) {
  // Arithmetic follows the clocks, and these follow power and temperature.
  if (unit.ends_with("FLOP/s")) return {Better::more, 0.2, 0.25};
  if (unit.ends_with("/s")) return {Better::more, 0.1, 0.2};
  // Other shares, such as what verification takes of the time, are better the less they are, or
  // not.
  if (unit == "%" && (name.ends_with("-coverage") || name.ends_with("-rate"))) {
    return {Better::more, 0.1, 0.15};
  }
  for (const std::string_view duration : {"ns", "us", "ms", "s"}) {
    if (unit == duration) return {Better::less, 0.5, 1.0};
  }
  return {Better::neither, 0.25, 0};
}

}  // namespace conformance::report
