#pragma once

#include <optional>

#include "fixtures/clock_watch.h"

namespace conformance::cublas {

/// Which finding a GPU is that reaches only `share` of its peers' throughput. A cap on power and
/// heat count as the cause only if at least half of what is missing is missing from the clock too:
/// many a healthy GPU runs at its power cap, as its peers do.
const FindingKind& why_slow(const Conditions& own, std::optional<double> peers_clock_mhz,
                            double share);

}  // namespace conformance::cublas
