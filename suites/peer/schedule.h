#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fixtures/figure.h"
#include "suites/peer/topology.h"

namespace conformance::peer {

/// How far a pair's figure may be under what the pair reaches alone while the figure of its round
/// still stands for it. Repeated samples of one pair differ by less than half of that.
inline constexpr double kRoundTolerance = 0.02;
/// What a figure must reach of the median of its like pairs. On one switch, or with the same number
/// of links, pairs differ by about 1 %.
inline constexpr double kShareOfLikePairs = 0.9;

/// What one pair reaches.
struct PairFigure {
  OrderedPair pair;
  Path path;
  std::vector<double> samples = {};  ///< GB/s
  bool alone = false;                ///< no other pair was measured at the same time

  double value() const { return median(samples); }
};

/// Takes the samples of these pairs, which share no GPU, all at once.
using MeasureAtOnce = std::function<void(std::span<PairFigure>)>;

/// How rounds of more than one pair went.
struct Schedule {
  std::size_t rounds = 0;
  std::size_t broken_up = 0;  ///< those whose pairs were measured alone instead
  double largest_gain = 0;    ///< how much faster than in its round a pair was alone, at most
  std::string text() const;
};

/// Measures every pair, the pairs of a round at once. Of each round the pair that reaches least of
/// what its path carries is measured alone too: if it is faster alone, by more than
/// kRoundTolerance, all pairs of that round are.
Schedule measure_rounds(std::vector<std::vector<PairFigure>>& rounds, const MeasureAtOnce& measure);

/// The values of the other pairs whose GPUs and path are like those of figures[which]; none if NVML
/// does not tell the path.
std::vector<double> like_figures(std::span<const PairFigure> figures, std::size_t which);

/// The floor of figures[which]: the larger one of `share_of_limit` of what the path carries in
/// `directions` at once, and of kShareOfLikePairs of the median of the other pairs whose GPUs and
/// path are alike. Nothing where neither is known. A share of 0 stands for none.
std::optional<Floor> floor_of(std::span<const PairFigure> figures, std::size_t which,
                              int directions, double share_of_limit);

}  // namespace conformance::peer
