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

/// Blocks for a kernel that goes through `tiles` pieces of work: one for each, as far as a grid
/// goes. Stores are faster so than by fewer blocks with many pieces each: 4680 instead of 4320 GB/s
/// on an H200.
constexpr unsigned blocks_for_tiles(std::size_t tiles) {
  constexpr std::size_t kMost = 2147483647;
  return static_cast<unsigned>(tiles < 1 ? 1 : (tiles < kMost ? tiles : kMost));
}

}  // namespace conformance::kernels
