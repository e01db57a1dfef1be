#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace conformance::kernels {

/// What `advance` makes of a word. Steps do not commute, so the result tells the order of the
/// steps, and each loses no bit, so a wrong word stays wrong.
__host__ __device__ constexpr std::uint64_t advanced(std::uint64_t word, std::uint64_t step) {
  return word * 0x9E3779B97F4A7C15ull + step;
}
/// target[i] = advanced(source[i], step), i < count. `target` may be `source`.
cudaError_t advance(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                    std::uint64_t step, cudaStream_t stream);
/// Adds a node to a graph that does the same, behind no other node; gives a node of an executable
/// graph other arguments.
cudaError_t add_advance_node(cudaGraphNode_t* node, cudaGraph_t graph, std::uint64_t* target,
                             const std::uint64_t* source, std::size_t count, std::uint64_t step);
cudaError_t set_advance_node(cudaGraphExec_t executable, cudaGraphNode_t node,
                             std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                             std::uint64_t step);

/// Each thread adds 1 to *count.
cudaError_t count_threads(unsigned long long* count, dim3 grid, dim3 block,
                          std::size_t shared_bytes, cudaStream_t stream);
/// Asks for up to `bytes` of dynamic shared memory for count_threads on the current device.
cudaError_t allow_shared_memory_to_count_threads(int bytes);

/// One thread ends the kernel by __trap(); a thread's assert() fails. Both lose the context: for
/// processes that end afterwards.
cudaError_t trap(cudaStream_t stream);
cudaError_t fail_assert(cudaStream_t stream);

}  // namespace conformance::kernels
