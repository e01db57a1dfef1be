#include "kernels/launch.h"
#include "kernels/triad.h"
#include "kernels/triad_kernels.cuh"

namespace conformance::kernels {

cudaError_t triad(std::uint64_t* target, const std::uint64_t* left, const std::uint64_t* right,
                  std::uint64_t factor, std::size_t count, cudaStream_t stream) {
  const std::size_t tiles = count / 2 / kTriadPairsPerTile;
  if (count % (2 * kTriadPairsPerTile) != 0 || tiles == 0) return cudaErrorInvalidValue;
  triad_kernel<<<blocks_for_tiles(tiles), kThreads, 0, stream>>>(
      reinterpret_cast<ulonglong2*>(target), reinterpret_cast<const ulonglong2*>(left),
      reinterpret_cast<const ulonglong2*>(right), factor, tiles);
  return cudaGetLastError();
}

cudaError_t check_triad(const std::uint64_t* target, std::uint64_t left_seed,
                        std::uint64_t right_seed, std::uint64_t factor, std::size_t count,
                        Mismatch* mismatch, cudaStream_t stream) {
  check_triad_kernel<<<blocks_for(count), kThreads, 0, stream>>>(target, left_seed, right_seed,
                                                                 factor, count, mismatch);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
