#pragma once

// Makes a host compiler take kernels/*_kernels.cuh: the CUDA C++ that those files may use, and no
// more.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <vector_functions.h>
#include <vector_types.h>

#include <cuda_runtime_api.h>

// NOLINTBEGIN(bugprone-reserved-identifier): these are CUDA's own names.

// The toolkit's headers define these for a host compiler as what only nvcc understands.
#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#undef __grid_constant__
#undef __shared__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
// One block at a time runs on a thread of the simulator, so the thread's own copy is the block's
// (kernels whose blocks wait for each other have dynamic shared memory only); and of constants it
// is the GPU's, refreshed before each kernel.
#define __shared__ static thread_local
#define __constant__ thread_local

namespace conformance::sim {

/// The indices of the CUDA thread that this host thread is playing.
struct ThreadPosition {
  uint3 thread{0, 0, 0}, block{0, 0, 0};
  unsigned rank = 0;  ///< of the block among those that run at the same time
  dim3 block_size, grid_size;
};
extern thread_local ThreadPosition position __attribute__((tls_model("initial-exec")));

/// What kernels call that is more than arithmetic.
void block_barrier();
long long device_clock();
long long device_nanoseconds();
void device_sleep(unsigned nanoseconds);
[[noreturn]] void device_trap();

}  // namespace conformance::sim

#define threadIdx (::conformance::sim::position.thread)
#define blockIdx (::conformance::sim::position.block)
#define blockDim (::conformance::sim::position.block_size)
#define gridDim (::conformance::sim::position.grid_size)

inline void __syncthreads() { ::conformance::sim::block_barrier(); }
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }
inline long long clock64() { return ::conformance::sim::device_clock(); }
inline void __nanosleep(unsigned nanoseconds) { ::conformance::sim::device_sleep(nanoseconds); }
[[noreturn]] inline void __trap() { ::conformance::sim::device_trap(); }

template <typename T>
T __ldg(const T* address) {
  return *address;
}

// NOLINTEND(bugprone-reserved-identifier)

namespace conformance::sim {

/// Replaces what is at `address` by what `changed` makes of it; yields what was there.
template <typename T, typename Changed>
T atomic_update(T* address, Changed changed) {
  T seen;
  __atomic_load(address, &seen, __ATOMIC_RELAXED);
  for (;;) {
    T wanted = changed(seen);
    if (__atomic_compare_exchange(address, &seen, &wanted, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED)) {
      return seen;
    }
  }
}

}  // namespace conformance::sim

// A template's second parameter is not deduced, so that the argument converts as it does in CUDA.
template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  if constexpr (std::is_integral_v<T>) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
  } else {
    return ::conformance::sim::atomic_update(address, [=](T seen) -> T { return seen + value; });
  }
}
template <typename T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}
template <typename T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
template <typename T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);
}
template <typename T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_xor(address, value, __ATOMIC_RELAXED);
}
template <typename T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);
}
template <typename T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return ::conformance::sim::atomic_update(address, [=](T seen) { return std::min(seen, value); });
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return ::conformance::sim::atomic_update(address, [=](T seen) { return std::max(seen, value); });
}

// To the simulator every atomic operation is one of system scope.
template <typename T>
T atomicAdd_system(T* address, std::type_identity_t<T> value) {
  return atomicAdd(address, value);
}
template <typename T>
T atomicMax_system(T* address, std::type_identity_t<T> value) {
  return atomicMax(address, value);
}
template <typename T>
T atomicCAS_system(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return atomicCAS(address, expected, value);
}
