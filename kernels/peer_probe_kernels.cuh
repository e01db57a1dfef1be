#pragma once

#include "kernels/grid.cuh"
#include "kernels/peer_probe.h"

namespace conformance::kernels {

__global__ void link_chain_kernel(std::uint32_t* words, unsigned nodes) {
  for (std::size_t node = grid_index(); node < nodes; node += grid_stride()) {
    words[node * kNodeWords] = next_node(static_cast<unsigned>(node), nodes) * kNodeWords;
  }
}

/// Volatile: every load goes to memory, whatever a cache of this GPU holds.
__global__ void follow_chain_kernel(const volatile std::uint32_t* words, unsigned loads,
                                    unsigned chosen, std::uint32_t* last) {
  if (blockIdx.x != chosen) return;
  std::uint32_t place = 0;
  for (unsigned i = 0; i < loads; ++i) place = words[place];
  *last = place;
}

/// Four loads of a thread are on their way at once.
__global__ void copy_over_link_kernel(ulonglong2* target, const ulonglong2* source,
                                      std::size_t count) {
  const std::size_t stride = grid_stride();
  std::size_t i = grid_index();
  for (; i + 3 * stride < count; i += 4 * stride) {
    const ulonglong2 first = source[i];
    const ulonglong2 second = source[i + stride];
    const ulonglong2 third = source[i + 2 * stride];
    const ulonglong2 fourth = source[i + 3 * stride];
    target[i] = first;
    target[i + stride] = second;
    target[i + 2 * stride] = third;
    target[i + 3 * stride] = fourth;
  }
  for (; i < count; i += stride) target[i] = source[i];
}

__global__ void contend_in_system_kernel(SharedCounters* counters, std::uint32_t* holders,
                                         std::uint32_t* slots, unsigned slot_count,
                                         unsigned first_number) {
  const unsigned number = first_number + static_cast<unsigned>(grid_index());
  holders[atomicAdd_system(&counters->tickets, 1u)] = number;
  atomicAdd_system(&counters->sum, static_cast<unsigned long long>(number));
  atomicMax_system(&counters->highest, number);
  if (atomicCAS_system(&slots[number % slot_count], 0u, number + 1) == 0u) {
    atomicAdd_system(&counters->winners, 1u);
  }
}

/// Waits until *counter has come to `wanted`; false if that took too long.
inline __device__ bool wait_for_count(const volatile unsigned* counter, unsigned wanted,
                                      long long patience) {
  const long long start = clock64();
  while (*counter < wanted) {
    if (clock64() - start > patience) return false;
  }
  return true;
}

__global__ void send_parcels_kernel(HandOver* place, unsigned parcels, std::uint64_t seed,
                                    long long patience) {
  __shared__ bool in_time;
  for (unsigned parcel = 1; parcel <= parcels; ++parcel) {
    if (threadIdx.x == 0) in_time = wait_for_count(&place->taken, parcel - 1, patience);
    __syncthreads();
    if (!in_time) return;
    for (unsigned i = threadIdx.x; i < kParcelWords; i += blockDim.x) {
      place->parcel[i] = parcel_word(parcel, i, seed);
    }
    // Release: each thread's words before whatever follows the barrier.
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x == 0) *static_cast<volatile unsigned*>(&place->sent) = parcel;
  }
}

__global__ void receive_parcels_kernel(HandOverReport* report, HandOver* place, unsigned parcels,
                                       std::uint64_t seed, long long patience) {
  __shared__ bool in_time;
  for (unsigned parcel = 1; parcel <= parcels; ++parcel) {
    if (threadIdx.x == 0) {
      in_time = wait_for_count(&place->sent, parcel, patience);
      // Acquire: what the barrier lets through comes after the flag.
      __threadfence_system();
    }
    __syncthreads();
    if (!in_time) return;
    for (unsigned i = threadIdx.x; i < kParcelWords; i += blockDim.x) {
      const std::uint64_t word = static_cast<volatile std::uint64_t*>(place->parcel)[i];
      if (word == parcel_word(parcel, i, seed)) continue;
      atomicAdd(&report->wrong, 1ull);
      atomicCAS(&report->first_parcel, 0u, parcel);
    }
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x == 0) {
      report->compared = parcel;
      *static_cast<volatile unsigned*>(&place->taken) = parcel;
    }
  }
}

}  // namespace conformance::kernels
