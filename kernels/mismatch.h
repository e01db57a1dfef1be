#pragma once

namespace conformance::kernels {

/// What comparisons found; device memory that starts as {}.
struct Mismatch {
  unsigned long long count = 0;            ///< items that differ
  unsigned long long first_index = ~0ull;  ///< lowest index that differs; ~0 if none
};

}  // namespace conformance::kernels
