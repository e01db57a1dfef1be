#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

/// What blocks do together that run at the same time, and copies that a GPU's copy unit makes on
/// behalf of a block. Clusters and bulk copies need compute capability 9.0: code for an older one
/// does nothing. The blocks that a host compiler emulates are the emulator's affair.

#ifdef __CUDACC__
#include <cooperative_groups.h>

namespace conformance::kernels {

/// For all threads of a cooperative launch.
inline __device__ void grid_barrier() { cooperative_groups::this_grid().sync(); }

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

/// For all threads of a cluster.
inline __device__ void cluster_barrier() { cooperative_groups::this_cluster().sync(); }
inline __device__ unsigned cluster_blocks() {
  return cooperative_groups::this_cluster().num_blocks();
}
inline __device__ unsigned cluster_rank() {
  return cooperative_groups::this_cluster().block_rank();
}
/// Where a block of the cluster has what this one has at `shared`.
template <typename T>
__device__ T* in_block_of_cluster(T* shared, unsigned rank) {
  return cooperative_groups::this_cluster().map_shared_rank(shared, rank);
}

/// Copies to the block's dynamic shared memory; once in a kernel, by all of its threads. Addresses
/// and count are multiples of 16. False if the copy did not end in a bounded time.
inline __device__ bool bulk_copy_to_shared(void* shared, const void* global, unsigned bytes) {
  __shared__ alignas(8) std::uint64_t arrived;
  const auto barrier = static_cast<unsigned>(__cvta_generic_to_shared(&arrived));
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
            "r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
        "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(barrier)
        : "memory");
  }
  __syncthreads();
  constexpr unsigned kTries = 1u << 24;
  unsigned done = 0;
  for (unsigned i = 0; i < kTries && done == 0; ++i) {
    asm volatile(
        "{ .reg .pred done; mbarrier.try_wait.parity.shared::cta.b64 done, [%1], 0; "
        "selp.u32 %0, 1, 0, done; }"
        : "=r"(done)
        : "r"(barrier)
        : "memory");
  }
  return done != 0;
}

/// Copies what all threads of the block wrote to dynamic shared memory before.
inline __device__ void bulk_copy_to_global(void* global, const void* shared, unsigned bytes) {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  if (threadIdx.x == 0) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(
                     __cvta_generic_to_global(global)),
                 "r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))), "r"(bytes)
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
  }
}

#else

inline __device__ void cluster_barrier() {}
inline __device__ unsigned cluster_blocks() { return 0; }
inline __device__ unsigned cluster_rank() { return 0; }
template <typename T>
__device__ T* in_block_of_cluster(T* shared, unsigned) {
  return shared;
}
inline __device__ bool bulk_copy_to_shared(void*, const void*, unsigned) { return false; }
inline __device__ void bulk_copy_to_global(void*, const void*, unsigned) {}

#endif

}  // namespace conformance::kernels

#else

namespace conformance::kernels {

void grid_barrier();
void cluster_barrier();
unsigned cluster_blocks();
unsigned cluster_rank();
void* in_block_of_cluster(void* shared, unsigned rank);
template <typename T>
T* in_block_of_cluster(T* shared, unsigned rank) {
  return static_cast<T*>(in_block_of_cluster(static_cast<void*>(shared), rank));
}
bool bulk_copy_to_shared(void* shared, const void* global, unsigned bytes);
void bulk_copy_to_global(void* global, const void* shared, unsigned bytes);

}  // namespace conformance::kernels

#endif
