#pragma once

#include <cuda.h>

#include "tests/simulator/cuda/api.h"

namespace conformance::sim::cuda {

/// What the calling thread's current context is on. CUDA_ERROR_INVALID_CONTEXT if it has none, and
/// CUDA_ERROR_CONTEXT_IS_DESTROYED if another thread destroyed it.
struct Current {
  CUresult error = CUDA_SUCCESS;
  Device* device = nullptr;
  int ordinal = -1;
};
Current current_context();

/// A call that acts on the current context's GPU.
template <typename Body>
CUresult in_context(const char* name, Body body) {
  const Current current = current_context();
  if (current.error != CUDA_SUCCESS) return current.error;
  return on_device(name, current.ordinal, body);
}

}  // namespace conformance::sim::cuda
