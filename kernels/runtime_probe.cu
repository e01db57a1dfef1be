#include "kernels/launch.h"
#include "kernels/runtime_probe.h"
#include "kernels/runtime_probe_kernels.cuh"

namespace conformance::kernels {

cudaError_t advance(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                    std::uint64_t step, cudaStream_t stream) {
  advance_kernel<<<blocks_for(count), kThreads, 0, stream>>>(target, source, count, step);
  return cudaGetLastError();
}

cudaError_t count_threads(unsigned long long* count, dim3 grid, dim3 block,
                          std::size_t shared_bytes, cudaStream_t stream) {
  count_threads_kernel<<<grid, block, shared_bytes, stream>>>(count);
  return cudaGetLastError();
}

cudaError_t allow_shared_memory_to_count_threads(int bytes) {
  return cudaFuncSetAttribute(count_threads_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              bytes);
}

cudaError_t trap(cudaStream_t stream) {
  trap_kernel<<<1, 1, 0, stream>>>();
  return cudaGetLastError();
}

cudaError_t fail_assert(cudaStream_t stream) {
  fail_assert_kernel<<<1, 1, 0, stream>>>(1);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
