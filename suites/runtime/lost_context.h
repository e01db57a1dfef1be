#pragma once

#include <string_view>

#include "fixtures/cuda_inventory.h"

namespace conformance::runtime {

/// A way to lose a context.
struct Loss {
  const char* child_task;  ///< what the child process is to do
  cudaError_t code;        ///< which every call there must return from then on
  std::string_view kernel;
};

/// Lets a child process on each GPU lose its context and checks the codes that it saw, and that
/// this process keeps its own context and memory there. Skips where processes share faults or only
/// one is admitted.
void expect_isolated_loss(const CudaInventory& devices, const Loss& loss);

}  // namespace conformance::runtime
