#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "suites/runtime/findings.h"

namespace conformance::runtime {

/// Every word must be `expected`; otherwise one finding says how many are not and which is the
/// first. `what` says what left them. Counts the words.
void expect_all(std::span<const std::uint64_t> words, std::uint64_t expected, std::string_view what,
                const Subject& subject, const FindingKind& kind = wrong_order);

}  // namespace conformance::runtime
