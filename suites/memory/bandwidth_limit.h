#pragma once

#include <optional>

#include "fixtures/cuda_inventory.h"
#include "fixtures/figure.h"

namespace conformance::memory {

/// Bytes per second as the figures write them.
inline constexpr double kGiga = 1e9;

/// What a device's memory can read and write together, in GB/s: two transfers per memory clock over
/// the whole bus (CUDA C++ Best Practices Guide: Theoretical Bandwidth Calculation). None where the
/// device does not tell its memory clock or bus width.
inline std::optional<Limit> memory_bandwidth_limit(const CudaDevice& device) {
  if (device.memory_clock_khz <= 0 || device.memory_bus_bits <= 0) return std::nullopt;
  return Limit{2.0 * device.memory_clock_khz * 1e3 * device.memory_bus_bits / 8 / kGiga,
               "2 x memory clock x bus width / 8, from the device's attributes"};
}

}  // namespace conformance::memory
