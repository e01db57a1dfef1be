#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

#include "words.h"

// The name is one that the simulator knows.
namespace conformance {
namespace kernels {
__global__ void module_probe_kernel(unsigned* words, unsigned count, unsigned seed) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index < count) words[index] = index * 0x9e3779b1U + seed;
}
}  // namespace kernels
}  // namespace conformance

namespace {

void check(cudaError_t result, const char* call) {
  if (result != cudaSuccess) {
    throw std::runtime_error(std::string(call) + ": " + cudaGetErrorString(result));
  }
}

}  // namespace

std::vector<unsigned> words_of_gpu(int ordinal, unsigned count, unsigned seed) {
  constexpr unsigned kThreads = 128;
  check(cudaSetDevice(ordinal), "cudaSetDevice");
  unsigned* words = nullptr;
  check(cudaMalloc(&words, count * sizeof(*words)), "cudaMalloc");
  conformance::kernels::module_probe_kernel<<<(count + kThreads - 1) / kThreads, kThreads>>>(
      words, count, seed);
  check(cudaGetLastError(), "kernel launch");
  std::vector<unsigned> host(count);
  check(cudaMemcpy(host.data(), words, count * sizeof(*words), cudaMemcpyDeviceToHost),
        "cudaMemcpy");
  check(cudaFree(words), "cudaFree");
  return host;
}
