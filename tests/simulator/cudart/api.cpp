#include "tests/simulator/cudart/api.h"

namespace conformance::sim::cudart {

cudaError_t& last_error() {
  thread_local cudaError_t last = cudaSuccess;
  return last;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error() = error;
  return error;
}

cudaError_t start() {
  // Within a major version any runtime works on any driver of that version.
  if (World::get().machine().cuda_driver_version / 1000 < CUDART_VERSION / 1000) {
    return cudaErrorInsufficientDriver;
  }
  return static_cast<cudaError_t>(start_driver());
}

}  // namespace conformance::sim::cudart
