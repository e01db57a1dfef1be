#pragma once

#include <optional>
#include <string_view>

#include "fixtures/figure.h"

namespace conformance::cublas {

/// Ways in which GPUs multiply, as their published rates tell them apart.
enum class Arithmetic { fp64, fp32, tf32, fp16, bf16, int8, fp8 };

struct OperationRate {
  double per_clock;  ///< multiplications and additions of one multiprocessor in one clock cycle
  std::string_view source;
};

/// What GPUs of a compute capability do at most, for dense matrices; nothing where NVIDIA has not
/// published it.
std::optional<OperationRate> operation_rate(int major, int minor, Arithmetic arithmetic);

/// The share of the limit that products were measured to reach.
struct ReachedShare {
  double share;
  std::string_view source;
};
/// On GPUs of a compute capability; nothing where nobody published it.
std::optional<ReachedShare> reached_share(int major, int minor, Arithmetic arithmetic);

/// The limit in TFLOP/s of a GPU with so many multiprocessors and this highest clock.
std::optional<Limit> throughput_limit(int major, int minor, Arithmetic arithmetic,
                                      int multiprocessors, int clock_mhz);

}  // namespace conformance::cublas
