#pragma once

#include <array>
#include <cstdint>

#include "tests/simulator/core/shared_memory.h"

namespace conformance::sim {

/// What a cudaIpcMemHandle_t holds: an allocation of one process on one GPU.
struct MemoryExport {
  SharedName memory;          ///< the GPU's memory as that process has it
  std::array<char, 16> uuid;  ///< the GPU's
  std::uint64_t offset, bytes;
  std::uint64_t number;  ///< of the export; no other has it on this GPU in that process
};

/// What a cudaIpcEventHandle_t holds.
struct EventExport {
  SharedName event;
};

}  // namespace conformance::sim
