#include "kernels/launch.h"
#include "kernels/peer_probe.h"
#include "kernels/peer_probe_kernels.cuh"

namespace conformance::kernels {
namespace {

/// Two warps, so that a parcel's words come from more than one.
constexpr unsigned kParcelThreads = 64;

}  // namespace

cudaError_t link_chain(std::uint32_t* words, unsigned nodes, cudaStream_t stream) {
  link_chain_kernel<<<blocks_for(nodes), kThreads, 0, stream>>>(words, nodes);
  return cudaGetLastError();
}

cudaError_t follow_chain(const std::uint32_t* words, unsigned loads, std::uint32_t* last,
                         cudaStream_t stream) {
  follow_chain_kernel<<<1, 1, 0, stream>>>(words, loads, last);
  return cudaGetLastError();
}

cudaError_t contend_in_system(SharedCounters* counters, std::uint32_t* holders,
                              std::uint32_t* slots, unsigned slot_count, unsigned first_number,
                              unsigned threads, cudaStream_t stream) {
  if (threads % kThreads != 0) return cudaErrorInvalidValue;
  contend_in_system_kernel<<<threads / kThreads, kThreads, 0, stream>>>(counters, holders, slots,
                                                                        slot_count, first_number);
  return cudaGetLastError();
}

cudaError_t send_parcels(HandOver* place, unsigned parcels, std::uint64_t seed, long long patience,
                         cudaStream_t stream) {
  send_parcels_kernel<<<1, kParcelThreads, 0, stream>>>(place, parcels, seed, patience);
  return cudaGetLastError();
}

cudaError_t receive_parcels(HandOverReport* report, HandOver* place, unsigned parcels,
                            std::uint64_t seed, long long patience, cudaStream_t stream) {
  receive_parcels_kernel<<<1, kParcelThreads, 0, stream>>>(report, place, parcels, seed, patience);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
