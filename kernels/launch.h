#pragma once

#include <cstddef>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// Threads per block of the grid-stride kernels.
inline constexpr unsigned kThreads = 256;

/// Blocks for a grid-stride kernel over `items`: enough to fill any GPU several times over, and no
/// more than there is work for.
constexpr unsigned blocks_for(std::size_t items) {
  constexpr std::size_t kMost = 4096;
  const std::size_t wanted = (items + kThreads - 1) / kThreads;
  return static_cast<unsigned>(wanted < 1 ? 1 : (wanted < kMost ? wanted : kMost));
}

}  // namespace conformance::kernels
