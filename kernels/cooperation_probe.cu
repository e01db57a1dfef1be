#include "kernels/cooperation_probe.h"
#include "kernels/cooperation_probe_kernels.cuh"
#include "kernels/launch.h"

namespace conformance::kernels {

cudaError_t relay(std::uint64_t* words, unsigned rounds, unsigned blocks, unsigned threads,
                  std::size_t shared_bytes, cudaStream_t stream) {
  void* arguments[] = {&words, &rounds};
  return cudaLaunchCooperativeKernel(relay_kernel, dim3(blocks), dim3(threads), arguments,
                                     shared_bytes, stream);
}

cudaError_t relay_blocks_per_multiprocessor(int* blocks, unsigned threads,
                                            std::size_t shared_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, relay_kernel,
                                                       static_cast<int>(threads), shared_bytes);
}

cudaError_t allow_shared_memory_to_relay(int bytes) {
  return cudaFuncSetAttribute(relay_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

namespace {

cudaLaunchConfig_t to_look_around(unsigned blocks) {
  cudaLaunchConfig_t how{};
  how.gridDim = dim3(blocks);
  how.blockDim = dim3(kClusterThreads);
  how.dynamicSmemBytes = kClusterThreads * sizeof(std::uint32_t);
  return how;
}

}  // namespace

cudaError_t look_around_in_clusters(ClusterRecord* records, unsigned blocks, unsigned cluster,
                                    cudaStream_t stream) {
  cudaLaunchAttribute size{};
  size.id = cudaLaunchAttributeClusterDimension;
  size.val.clusterDim.x = cluster;
  size.val.clusterDim.y = size.val.clusterDim.z = 1;
  cudaLaunchConfig_t how = to_look_around(blocks);
  how.stream = stream;
  how.attrs = &size;
  how.numAttrs = 1;
  return cudaLaunchKernelEx(&how, look_around_in_clusters_kernel, records);
}

cudaError_t largest_cluster_to_look_around(int* blocks) {
  const cudaLaunchConfig_t how = to_look_around(1);
  return cudaOccupancyMaxPotentialClusterSize(blocks, look_around_in_clusters_kernel, &how);
}

cudaError_t advance_by_bulk_copies(std::uint64_t* target, const std::uint64_t* source,
                                   unsigned bytes, unsigned blocks, std::uint64_t step,
                                   cudaStream_t stream) {
  const cudaError_t asked =
      cudaFuncSetAttribute(advance_by_bulk_copies_kernel,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (asked != cudaSuccess) return asked;
  advance_by_bulk_copies_kernel<<<blocks, kThreads, bytes, stream>>>(target, source, bytes, step);
  return cudaGetLastError();
}

cudaError_t look_around_in_clusters_attributes(cudaFuncAttributes* attributes) {
  return cudaFuncGetAttributes(attributes, look_around_in_clusters_kernel);
}

}  // namespace conformance::kernels
