#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/collective_check.h"
#include "kernels/collective_check_kernels.cuh"
#include "kernels/launch.h"

namespace conformance::kernels {
namespace {

/// What a type holds exactly.
struct Exact {
  int bits;       ///< every integer up to 2^bits, in a signed integer type 2^bits - 1
  int exponents;  ///< every power of two up to that of this exponent
  bool has_sign;
  bool is_float;
};

Exact exact_values(CollectiveType type) {
  // Significant bits of the formats are 24, 53, 11, 8, 4 and 3; 448 and 57344 are the greatest
  // values of the narrowest. Exponents are held in an integer of 64 bits, so 62 is the most.
  switch (type) {
    case CollectiveType::int8:
      return {7, 6, true, false};
    case CollectiveType::uint8:
      return {8, 7, false, false};
    case CollectiveType::int32:
      return {31, 30, true, false};
    case CollectiveType::uint32:
      return {32, 31, false, false};
    case CollectiveType::int64:
      return {63, 62, true, false};
    case CollectiveType::uint64:
      return {64, 63, false, false};
    case CollectiveType::float16:
      return {11, 15, true, true};
    case CollectiveType::float32:
      return {24, 62, true, true};
    case CollectiveType::float64:
      return {53, 62, true, true};
    case CollectiveType::bfloat16:
      return {8, 62, true, true};
    case CollectiveType::float8_e4m3:
      return {4, 8, true, true};
    case CollectiveType::float8_e5m2:
      return {3, 15, true, true};
  }
  return {};
}

/// The greatest power of two that is not greater, as an exponent; -1 for 0.
int floor_log2(std::uint64_t value) {
  int exponent = -1;
  for (; value != 0; value >>= 1) ++exponent;
  return exponent;
}

}  // namespace

std::optional<Contributions> contributions_for(CollectiveType type, Reduction reduction,
                                               unsigned ranks, std::uint64_t seed) {
  const Exact exact = exact_values(type);
  // Integers must stay under 2^bits.
  const std::uint64_t most = exact.bits == 64
                                 ? ~std::uint64_t{0}
                                 : (std::uint64_t{1} << exact.bits) - (exact.is_float ? 0 : 1);
  Contributions rules;
  rules.type = type;
  rules.reduction = reduction;
  rules.ranks = ranks;
  rules.has_sign = exact.has_sign;
  rules.seed = mix(seed);
  // So many ranks can contribute at an index at most; the others there contribute nothing.
  const auto share_among = [&](std::uint64_t total) {
    rules.stride = static_cast<unsigned>((ranks - 1) / total) + 1;
    return total / ((ranks + rules.stride - 1) / rules.stride);
  };
  switch (reduction) {
    case Reduction::none:
    case Reduction::max:
    case Reduction::min:
      rules.bits = exact.bits;
      break;
    case Reduction::sum:
      rules.bits = floor_log2(share_among(most));
      break;
    case Reduction::premul_sum:
      rules.bits = floor_log2(share_among(most / 3));
      break;
    case Reduction::prod:
      rules.bits = static_cast<int>(share_among(static_cast<std::uint64_t>(exact.exponents)));
      break;
    case Reduction::avg: {
      // Halves of what there is: ranks · magnitude, and the ranks' differences.
      rules.bits = std::max(floor_log2(most / 2 / ranks), 0);
      if (!exact.is_float && most < ranks) return std::nullopt;
      if (ranks > 1) rules.spread_bits = floor_log2(most / 2 / ranks / (ranks - 1));
      // NCCL multiplies floating-point contributions by 1/ranks before it adds them. Where ranks is
      // a power of two that is exact. Otherwise it rounds 1/ranks, each product and each sum: a
      // contribution goes through at most ranks + 1 roundings, each of which changes it by half
      // of its last place at most.
      const bool power_of_two = (ranks & (ranks - 1)) == 0;
      if (exact.is_float && (!power_of_two || most < ranks)) {
        rules.tolerance = std::expm1((ranks + 1) * std::log1p(std::ldexp(1.0, -exact.bits)));
      }
      break;
    }
  }
  return rules;
}

cudaError_t fill_contribution(void* values, std::size_t count, const Contributions& rules,
                              unsigned rank, cudaStream_t stream) {
  fill_contribution_kernel<<<blocks_for(count), kThreads, 0, stream>>>(values, count, rules, rank);
  return cudaGetLastError();
}

cudaError_t check_collective(const void* result, std::size_t received, const Origin& origin,
                             const Surroundings& around, const void* input, std::size_t sent,
                             const Contributions& rules, unsigned rank, CollectiveFaults* faults,
                             cudaStream_t stream) {
  const std::size_t most = std::max(received, input == nullptr ? 0 : sent);
  check_collective_kernel<<<blocks_for(most), kThreads, 0, stream>>>(
      result, received, origin, around, input, sent, rules, rank, faults);
  return cudaGetLastError();
}

double float_value(CollectiveType type, unsigned long long bits) {
  return with_element_of(type, [bits](auto element) {
    std::memcpy(static_cast<void*>(&element), &bits, sizeof(element));
    return static_cast<double>(value_of(element));
  });
}

unsigned long long element_bits(CollectiveType type, std::int64_t value) {
  return with_element_of(type, [value](auto element) {
    element = element_of<decltype(element)>(value);
    unsigned long long bits = 0;
    std::memcpy(&bits, &element, sizeof(element));
    return bits;
  });
}

}  // namespace conformance::kernels
