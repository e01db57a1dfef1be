#include "kernels/launch.h"
#include "kernels/runtime_probe.h"
#include "kernels/runtime_probe_kernels.cuh"

namespace conformance::kernels {

cudaError_t advance(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                    std::uint64_t step, cudaStream_t stream) {
  advance_kernel<<<blocks_for(count), kThreads, 0, stream>>>(target, source, count, step);
  return cudaGetLastError();
}

namespace {

/// The parameters of a node that advances words, for as long as this lives.
class AdvanceNode {
 public:
  AdvanceNode(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
              std::uint64_t step)
      : target_(target), source_(source), count_(count), step_(step) {
    parameters_.func = reinterpret_cast<void*>(&advance_kernel);
    parameters_.gridDim = dim3(blocks_for(count));
    parameters_.blockDim = dim3(kThreads);
    parameters_.kernelParams = arguments_;
  }
  AdvanceNode(const AdvanceNode&) = delete;
  AdvanceNode& operator=(const AdvanceNode&) = delete;
  const cudaKernelNodeParams* parameters() const { return &parameters_; }

 private:
  std::uint64_t* target_;
  const std::uint64_t* source_;
  std::size_t count_;
  std::uint64_t step_;
  void* arguments_[4] = {&target_, &source_, &count_, &step_};
  cudaKernelNodeParams parameters_{};
};

}  // namespace

cudaError_t add_advance_node(cudaGraphNode_t* node, cudaGraph_t graph, std::uint64_t* target,
                             const std::uint64_t* source, std::size_t count, std::uint64_t step) {
  const AdvanceNode made(target, source, count, step);
  return cudaGraphAddKernelNode(node, graph, nullptr, 0, made.parameters());
}

cudaError_t set_advance_node(cudaGraphExec_t executable, cudaGraphNode_t node,
                             std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                             std::uint64_t step) {
  const AdvanceNode made(target, source, count, step);
  return cudaGraphExecKernelNodeSetParams(executable, node, made.parameters());
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
