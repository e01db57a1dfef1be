#pragma once

#include <optional>

#include <cuda_runtime_api.h>

#include "tests/simulator/core/machine.h"

namespace conformance::sim {

inline constexpr int kMostThreads = 1024;               ///< per block
inline constexpr std::size_t kSharedBytes = 48 * 1024;  ///< per block, without opting in
inline constexpr std::size_t kSharedOptInBytes = 227 * 1024;
inline constexpr int kGreatestPriority = -5;

/// What cudaGetDeviceProperties says of a GPU.
void fill_properties(const Gpu& gpu, cudaDeviceProp& properties);
/// What cudaDeviceGetAttribute and cuDeviceGetAttribute say; none for an attribute that does not
/// exist. Both enumerations have the same values.
std::optional<int> attribute_of(const Gpu& gpu, int attribute);
/// Whether GPU `from` can map the memory of GPU `to`.
bool peers_reach(const Machine& machine, int from, int to);

}  // namespace conformance::sim
