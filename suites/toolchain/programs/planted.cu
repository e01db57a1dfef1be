// What compute-sanitizer is to look through.
//
//   planted nothing          a sound program
//   planted out-of-bounds    one thread writes behind its memory
//   planted race             threads read what others write, with no barrier in between
#include <cstdio>
#include <cstring>

#include <cuda_runtime_api.h>

constexpr unsigned kThreads = 128;

__global__ void write_words(unsigned* words, unsigned count) {
  if (threadIdx.x < count) words[threadIdx.x] = threadIdx.x;  // planted: a count beyond the memory
}

template <bool kBarrier>
__global__ void reverse(unsigned* words) {
  __shared__ unsigned shared[kThreads];
  shared[threadIdx.x] = threadIdx.x;
  if (kBarrier) __syncthreads();
  words[threadIdx.x] = shared[kThreads - 1 - threadIdx.x];  // planted: the barrier is missing
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const bool race = std::strcmp(argv[1], "race") == 0;
  const unsigned beyond = std::strcmp(argv[1], "out-of-bounds") == 0 ? 1 : 0;
  unsigned* words = nullptr;
  if (cudaMalloc(&words, (kThreads - 1) * sizeof(*words)) != cudaSuccess) return 1;
  write_words<<<1, kThreads>>>(words, kThreads - 1 + beyond);
  cudaDeviceSynchronize();
  cudaFree(words);
  if (beyond != 0) return 0;
  if (cudaMalloc(&words, kThreads * sizeof(*words)) != cudaSuccess) return 1;
  if (race) {
    reverse<false><<<1, kThreads>>>(words);
  } else {
    reverse<true><<<1, kThreads>>>(words);
  }
  const cudaError_t result = cudaDeviceSynchronize();
  cudaFree(words);
  std::printf("%s\n", cudaGetErrorString(result));
  return result == cudaSuccess ? 0 : 1;
}
