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

cudaError_t follow_chain(const std::uint32_t* words, unsigned loads, unsigned blocks,
                         unsigned chosen, std::uint32_t* last, cudaStream_t stream) {
  follow_chain_kernel<<<blocks, 1, 0, stream>>>(words, loads, chosen, last);
  return cudaGetLastError();
}

cudaError_t copy_over_link(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                           cudaStream_t stream) {
  if (count % 2 != 0) return cudaErrorInvalidValue;
  copy_over_link_kernel<<<blocks_for(count / 2), kThreads, 0, stream>>>(
      reinterpret_cast<ulonglong2*>(target), reinterpret_cast<const ulonglong2*>(source),
      count / 2);
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
