#include "suites/peer/schedule.h"

#include <algorithm>

#include <fmt/format.h>

namespace conformance::peer {
namespace {

/// What the pair reaches of what its path carries; the figure itself where that is not known.
double reached(const PairFigure& figure) {
  return figure.value() / (figure.path.gigabytes > 0 ? figure.path.gigabytes : 1);
}

bool alike(const PairFigure& one, const PairFigure& other) {
  return one.path == other.path && one.pair.from.name == other.pair.from.name &&
         one.pair.to.name == other.pair.to.name;
}

}  // namespace

std::string Schedule::text() const {
  if (rounds == 0) return "each pair alone";
  return fmt::format(
      "{} rounds of disjoint pairs, {} of them broken up; alone, pairs were faster by "
      "{:.1f} % at most",
      rounds, broken_up, 100 * largest_gain);
}

Schedule measure_rounds(std::vector<std::vector<PairFigure>>& rounds,
                        const MeasureAtOnce& measure) {
  Schedule schedule;
  const auto measure_alone = [&](PairFigure& figure) {
    measure({&figure, 1});
    figure.alone = true;
  };
  for (std::vector<PairFigure>& round : rounds) {
    if (round.size() == 1) {
      measure_alone(round.front());
      continue;
    }
    measure(round);
    ++schedule.rounds;
    PairFigure& least = *std::min_element(
        round.begin(), round.end(),
        [](const auto& one, const auto& other) { return reached(one) < reached(other); });
    const double together = least.value();
    measure_alone(least);
    const double gain = least.value() / together - 1;
    schedule.largest_gain = std::max(schedule.largest_gain, gain);
    if (gain <= kRoundTolerance) continue;
    ++schedule.broken_up;
    for (PairFigure& figure : round) {
      if (!figure.alone) measure_alone(figure);
    }
  }
  return schedule;
}

std::vector<double> like_figures(std::span<const PairFigure> figures, std::size_t which) {
  std::vector<double> others;
  if (figures[which].path.kind == Path::Kind::unknown) return others;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    if (i != which && alike(figures[i], figures[which])) others.push_back(figures[i].value());
  }
  return others;
}

std::optional<Floor> floor_of(std::span<const PairFigure> figures, std::size_t which,
                              int directions, double share_of_limit) {
  std::optional<Floor> floor;
  if (const std::optional<Limit> limit = figures[which].path.limit(directions);
      limit && share_of_limit > 0) {
    floor = Floor{share_of_limit * limit->value,
                  fmt::format("{} of what the path carries: {}", share_of_limit, limit->source)};
  }
  const std::vector<double> others = like_figures(figures, which);
  const double like = kShareOfLikePairs * median(others);
  if (!others.empty() && (!floor || like > floor->value)) {
    floor =
        Floor{like, fmt::format("{} of the median of the {} other pairs of such GPUs and such a "
                                "path",
                                kShareOfLikePairs, others.size())};
  }
  return floor;
}

}  // namespace conformance::peer
