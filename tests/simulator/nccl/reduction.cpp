#include "tests/simulator/nccl/reduction.h"

#include <array>
#include <cstring>
#include <type_traits>

namespace conformance::sim::nccl {
namespace {

/// Elements as arithmetic sees them: integers without overflow, narrow floats as float.
template <typename T>
auto wide(T element) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<std::make_unsigned_t<T>>(element);
  } else if constexpr (std::is_same_v<T, double>) {
    return element;
  } else {
    return static_cast<float>(element);
  }
}

template <typename T>
T sum(T a, T b) {
  return static_cast<T>(wide(a) + wide(b));
}
template <typename T>
T product(T a, T b) {
  return static_cast<T>(wide(a) * wide(b));
}
template <typename T>
bool less(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return a < b;
  } else {
    return wide(a) < wide(b);
  }
}

/// `before(element, rank)` is what counts of a rank's element.
template <typename T, typename Combine, typename Before>
void fold(const std::vector<const char*>& inputs, std::size_t count, T* result,
          const Combine& combine, const Before& before) {
  for (std::size_t rank = 0; rank < inputs.size(); ++rank) {
    const auto* const input = reinterpret_cast<const T*>(inputs[rank]);
    for (std::size_t i = 0; i < count; ++i) {
      const T own = before(input[i], rank);
      result[i] = rank == 0 ? own : combine(result[i], own);
    }
  }
}

template <typename T>
void reduce_as(ncclRedOp_t operation, const std::vector<std::uint64_t>& scalars,
               const std::vector<const char*>& inputs, std::size_t count, T* result) {
  const auto as_it_is = [](T element, std::size_t) { return element; };
  const auto combine_by = [&](const auto& combine) {
    fold(inputs, count, result, combine, as_it_is);
  };
  if (operation == ncclProd) return combine_by([](T a, T b) { return product(a, b); });
  if (operation == ncclMax) return combine_by([](T a, T b) { return less(a, b) ? b : a; });
  if (operation == ncclMin) return combine_by([](T a, T b) { return less(b, a) ? b : a; });

  std::vector<T> factors(scalars.size());
  for (std::size_t rank = 0; rank < scalars.size(); ++rank) {
    std::memcpy(static_cast<void*>(&factors[rank]), &scalars[rank], sizeof(T));
  }
  // An average of integers is a sum that is divided at the end, others are sums of parts.
  const auto ranks = static_cast<double>(inputs.size());
  if (operation == ncclAvg && !std::is_integral_v<T>) {
    if constexpr (std::is_same_v<T, double>) {
      factors.assign(inputs.size(), 1 / ranks);
    } else {
      factors.assign(inputs.size(), static_cast<T>(static_cast<float>(1 / ranks)));
    }
  }
  if (factors.empty()) {
    combine_by([](T a, T b) { return sum(a, b); });
  } else {
    fold(
        inputs, count, result, [](T a, T b) { return sum(a, b); },
        [&](T element, std::size_t rank) { return product(element, factors[rank]); });
  }
  if constexpr (std::is_integral_v<T>) {
    if (operation != ncclAvg) return;
    const auto divisor =
        static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(
            inputs.size());
    for (std::size_t i = 0; i < count; ++i) result[i] = static_cast<T>(result[i] / divisor);
  }
}

}  // namespace

std::size_t bytes_of(ncclDataType_t type) {
  constexpr std::array<std::size_t, ncclNumTypes> kBytes{1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return type < 0 || type >= ncclNumTypes ? 0 : kBytes[static_cast<std::size_t>(type)];
}

void reduce(ncclDataType_t type, ncclRedOp_t operation, const std::vector<std::uint64_t>& scalars,
            const std::vector<const char*>& inputs, std::size_t count, char* result) {
  const auto as = [&](auto element) {
    reduce_as(operation, scalars, inputs, count, reinterpret_cast<decltype(element)*>(result));
  };
  switch (type) {
    case ncclInt8:
      return as(std::int8_t{});
    case ncclUint8:
      return as(std::uint8_t{});
    case ncclInt32:
      return as(std::int32_t{});
    case ncclUint32:
      return as(std::uint32_t{});
    case ncclInt64:
      return as(std::int64_t{});
    case ncclUint64:
      return as(std::uint64_t{});
    case ncclFloat16:
      return as(__half{});
    case ncclFloat64:
      return as(double{});
    case ncclBfloat16:
      return as(__nv_bfloat16{});
    case ncclFloat8e4m3:
      return as(__nv_fp8_e4m3{});
    case ncclFloat8e5m2:
      return as(__nv_fp8_e5m2{});
    default:
      return as(float{});
  }
}

}  // namespace conformance::sim::nccl
