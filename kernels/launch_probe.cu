#include "kernels/launch.h"
#include "kernels/launch_probe.h"
#include "kernels/launch_probe_kernels.cuh"

namespace conformance::kernels {

cudaError_t record_launch(LaunchRecord* records, dim3 grid, dim3 block, cudaStream_t stream) {
  record_launch_kernel<<<grid, block, 0, stream>>>(records);
  return cudaGetLastError();
}

cudaError_t record_launch_attributes(cudaFuncAttributes* attributes) {
  return cudaFuncGetAttributes(attributes, record_launch_kernel);
}

cudaError_t rotate_in_shared(const std::uint32_t* source, std::uint32_t* target, unsigned words,
                             unsigned rounds, unsigned blocks, cudaStream_t stream) {
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (words == 0) return cudaErrorInvalidValue;
  const std::size_t bytes = 2 * words * sizeof(std::uint32_t);
  if (bytes > kWithoutAsking) {
    const cudaError_t asked =
        cudaFuncSetAttribute(rotate_in_shared_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes));
    if (asked != cudaSuccess) return asked;
  }
  rotate_in_shared_kernel<<<blocks, kThreads, bytes, stream>>>(source, target, words, rounds);
  return cudaGetLastError();
}

cudaError_t store_argument(const BigArgument& argument, std::uint64_t* target,
                           cudaStream_t stream) {
  store_argument_kernel<<<1, kThreads, 0, stream>>>(argument, target);
  return cudaGetLastError();
}

cudaError_t store_constants(const std::uint64_t* values, std::uint64_t* target,
                            cudaStream_t stream) {
  const cudaError_t copied = cudaMemcpyToSymbolAsync(constant_words, values, sizeof(constant_words),
                                                     0, cudaMemcpyHostToDevice, stream);
  if (copied != cudaSuccess) return copied;
  store_constants_kernel<<<1, kThreads, 0, stream>>>(target);
  return cudaGetLastError();
}

cudaError_t compute(Computed* results, std::size_t count, cudaStream_t stream) {
  if (count == 0) return cudaErrorInvalidValue;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  compute_kernel<<<blocks, kThreads, 0, stream>>>(results, count);
  return cudaGetLastError();
}

cudaError_t contend(Contended* state, std::uint32_t* holders, unsigned* claims,
                    unsigned claim_count, unsigned blocks, cudaStream_t stream) {
  if (claim_count == 0) return cudaErrorInvalidValue;
  contend_kernel<<<blocks, kThreads, 0, stream>>>(state, holders, claims, claim_count);
  return cudaGetLastError();
}

cudaError_t store_to(std::uintptr_t address, cudaStream_t stream) {
  store_to_kernel<<<1, 1, 0, stream>>>(reinterpret_cast<std::uint32_t*>(address));
  return cudaGetLastError();
}

}  // namespace conformance::kernels
