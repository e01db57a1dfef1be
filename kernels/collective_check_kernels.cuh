#pragma once

#include <type_traits>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/collective_check.h"
#include "kernels/grid.cuh"

namespace conformance::kernels {

/// What `work` makes of an element of the type's C++ type. For the host and for GPUs alike: `work`
/// is of the side that calls.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <typename Work>
inline __host__ __device__ auto with_element_of(CollectiveType type, const Work& work) {
  switch (type) {
    case CollectiveType::int8:
      return work(std::int8_t{});
    case CollectiveType::uint8:
      return work(std::uint8_t{});
    case CollectiveType::int32:
      return work(std::int32_t{});
    case CollectiveType::uint32:
      return work(std::uint32_t{});
    case CollectiveType::int64:
      return work(std::int64_t{});
    case CollectiveType::uint64:
      return work(std::uint64_t{});
    case CollectiveType::float16:
      return work(__half{});
    case CollectiveType::float32:
      break;
    case CollectiveType::float64:
      return work(double{});
    case CollectiveType::bfloat16:
      return work(__nv_bfloat16{});
    case CollectiveType::float8_e4m3:
      return work(__nv_fp8_e4m3{});
    case CollectiveType::float8_e5m2:
      return work(__nv_fp8_e5m2{});
  }
  return work(float{});
}

/// The element that is exactly `value`.
template <typename T>
inline __host__ __device__ T element_of(std::int64_t value) {
  if constexpr (std::is_integral_v<T> || std::is_same_v<T, double>) {
    return static_cast<T>(value);
  } else {
    return T(static_cast<float>(value));  // the narrow types hold no more bits than a float
  }
}
template <typename T>
inline __host__ __device__ double value_of(const T& element) {
  if constexpr (std::is_same_v<T, double>) {
    return element;
  } else {
    return static_cast<float>(element);
  }
}

template <typename T>
inline __device__ bool holds(const T& found, std::int64_t expected, double tolerance) {
  if constexpr (std::is_integral_v<T>) {
    return found == static_cast<T>(expected);
  } else {
    const double value = value_of(found);
    const auto wanted = static_cast<double>(expected);
    if (tolerance == 0) return value == wanted;
    const double off = value < wanted ? wanted - value : value - wanted;
    return off <= tolerance * wanted;  // false for a NaN; averages are positive
  }
}

template <typename T>
inline __device__ unsigned long long bits_of(const T& element) {
  unsigned long long bits = 0;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(&element);
  for (unsigned i = 0; i < sizeof(T); ++i) {
    bits |= static_cast<unsigned long long>(bytes[i]) << 8 * i;
  }
  return bits;
}

/// Yields how many places were noted before.
inline __device__ unsigned long long note_place(CollectiveFaults::Places& places,
                                                unsigned long long place) {
  atomicMax(&places.last_from_end, ~place);
  return atomicAdd(&places.count, 1ull);
}

__global__ void fill_contribution_kernel(void* values, std::size_t count, Contributions rules,
                                         unsigned rank) {
  with_element_of(rules.type, [&](auto kind) {
    using T = decltype(kind);
    auto* const elements = static_cast<T*>(values);
    for (std::size_t i = grid_index(); i < count; i += grid_stride()) {
      elements[i] = element_of<T>(contribution(rules, rank, i));
    }
  });
}

__global__ void check_collective_kernel(const void* result, std::size_t received, Origin origin,
                                        Surroundings around, const void* input, std::size_t sent,
                                        Contributions rules, unsigned rank,
                                        CollectiveFaults* faults) {
  with_element_of(rules.type, [&](auto kind) {
    using T = decltype(kind);
    const auto* const elements = static_cast<const T*>(result);
    for (std::size_t i = grid_index(); i < received; i += grid_stride()) {
      const T found = elements[i];
      if (holds(found, expected_element(rules, origin, i), rules.tolerance)) continue;
      if (note_place(faults->result, i) == 0) {
        faults->example = i;
        faults->example_bits = bits_of(found);
      }
    }
    if (input == nullptr) return;
    const auto* const own = static_cast<const T*>(input);
    for (std::size_t i = grid_index(); i < sent; i += grid_stride()) {
      if (!holds(own[i], contribution(rules, rank, i), 0)) note_place(faults->input, i);
    }
  });
  const auto* const first = static_cast<const unsigned char*>(result) - around.lead - around.before;
  for (std::size_t i = grid_index(); i < around.before + around.after; i += grid_stride()) {
    const std::size_t place = i < around.before ? i : i + around.inside;
    if (first[place] != around.value) note_place(faults->outside, place);
  }
}

}  // namespace conformance::kernels
