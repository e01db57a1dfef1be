#pragma once

#include "fixtures/finding.h"

namespace conformance::memory {

inline constexpr FindingKind wrong_word{
    "memory.wrong-word", Severity::hardware,
    "A GPU's memory gave back another value than was written to it.",
    "Check `nvidia-smi -q -d ECC,ROW_REMAPPER` for that GPU; reset it, and replace it if the "
    "finding "
    "returns."};

}  // namespace conformance::memory
