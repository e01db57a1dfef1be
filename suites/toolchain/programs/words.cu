// What nvcc is asked to build: a kernel writes a word per thread, and the host compares each.
//
//   words MAJOR MINOR    runs on the first GPU of that compute capability
//
// Prints "right: 4096 words" and exits with 0, or says what is wrong and exits with 1.
#include <cstdio>
#include <cstdlib>

#include <cuda_runtime_api.h>

#ifdef SEPARATE  // mix.cu is then compiled apart from this
#include "mix.h"
#else
#include "mix.cu"
#endif

// The name is one that the simulator knows.
namespace conformance {
namespace kernels {
__global__ void module_probe_kernel(unsigned* words, unsigned count, unsigned seed) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index < count) words[index] = mix(index, seed);
}
}  // namespace kernels
}  // namespace conformance

namespace {

constexpr unsigned kWords = 4096, kBehind = 64, kThreads = 128, kSeed = 77;
constexpr unsigned char kPoison = 0xA5;

void check(cudaError_t result, const char* call) {
  if (result == cudaSuccess) return;
  std::printf("error %d of %s: %s: %s\n", static_cast<int>(result), call, cudaGetErrorName(result),
              cudaGetErrorString(result));
  std::exit(1);
}

void use_gpu_of(int major, int minor) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    int found_major = 0, found_minor = 0;
    check(cudaDeviceGetAttribute(&found_major, cudaDevAttrComputeCapabilityMajor, ordinal),
          "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&found_minor, cudaDevAttrComputeCapabilityMinor, ordinal),
          "cudaDeviceGetAttribute");
    if (found_major == major && found_minor == minor) {
      check(cudaSetDevice(ordinal), "cudaSetDevice");
      return;
    }
  }
  std::printf("no GPU of compute capability %d.%d among %d\n", major, minor, count);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  use_gpu_of(std::atoi(argv[1]), std::atoi(argv[2]));
  unsigned* words = nullptr;
  static unsigned host[kWords + kBehind];
  check(cudaMalloc(&words, sizeof(host)), "cudaMalloc");
  check(cudaMemset(words, kPoison, sizeof(host)), "cudaMemset");
  conformance::kernels::module_probe_kernel<<<(kWords + kBehind) / kThreads + 1, kThreads>>>(
      words, kWords, kSeed);
  check(cudaGetLastError(), "kernel launch");
  check(cudaMemcpy(host, words, sizeof(host), cudaMemcpyDeviceToHost), "cudaMemcpy");
  check(cudaFree(words), "cudaFree");
  for (unsigned index = 0; index < kWords + kBehind; ++index) {
    const unsigned expected = index < kWords ? index * 0x9e3779b1U + kSeed : kPoison * 0x01010101U;
    if (host[index] == expected) continue;
    std::printf("wrong: word %u is %#x, not %#x\n", index, host[index], expected);
    return 1;
  }
  std::printf("right: %u words\n", kWords);
  return 0;
}
