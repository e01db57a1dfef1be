#pragma once

#include <span>
#include <string_view>

namespace conformance::report {

/// How far samples lie from their median: the median of their distances to it, times 1.4826, by
/// which it is the standard deviation of a normal distribution (P. J. Rousseeuw and C. Croux,
/// "Alternatives to the Median Absolute Deviation", 1993). Up to half of the samples may be off
/// without moving it far. NaN for no samples.
double spread(std::span<const double> samples);

/// Which way a figure is better.
enum class Better { more, less, neither };

/// What a figure's name and unit say of it.
struct FigureKind {
  Better better = Better::neither;
  /// Healthy runs differ by less than this share of the value, from run to run and also from GPU to
  /// GPU of one model. The samples of one run do not show it: clocks, power and temperature stay
  /// what they are while they are taken.
  double noise = 0;
  /// How far off the worst value that a good host showed its policy puts the bound.
  double margin = 0;
};

/// Rates (GB/s, TFLOP/s, and whatever else is per second, or a share whose name ends with "-rate"),
/// coverage, durations (ns to s). Of anything else nothing is better.
FigureKind kind_of(std::string_view name, std::string_view unit);

}  // namespace conformance::report
