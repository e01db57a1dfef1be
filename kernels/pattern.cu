#include <algorithm>

#include "kernels/launch.h"
#include "kernels/pattern.h"
#include "kernels/pattern_kernels.cuh"

namespace conformance::kernels {
namespace {

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

/// Blocks for a kernel over `count` words: as many as run at once on the current device, and no
/// more than there are tiles. With more, blocks would only take turns.
cudaError_t blocks_of(std::size_t count, unsigned& blocks) {
  constexpr int kBlocksPerMultiprocessor = 2048 / static_cast<int>(kThreads);
  int device = 0, multiprocessors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  const std::size_t tiles = (count / 2 + kPairsPerTile - 1) / kPairsPerTile;
  const auto most = static_cast<std::size_t>(multiprocessors * kBlocksPerMultiprocessor);
  blocks = static_cast<unsigned>(std::clamp<std::size_t>(tiles, 1, std::max<std::size_t>(most, 1)));
  return error;
}

auto fill_kernel(PatternKind kind) {
  switch (kind) {
    case PatternKind::random:
      return fill_pattern_kernel<PatternKind::random>;
    case PatternKind::walking:
      return fill_pattern_kernel<PatternKind::walking>;
    case PatternKind::rows:
      return fill_pattern_kernel<PatternKind::rows>;
    case PatternKind::address:
      break;
  }
  return fill_pattern_kernel<PatternKind::address>;
}

auto check_kernel(PatternKind kind) {
  switch (kind) {
    case PatternKind::random:
      return check_pattern_kernel<PatternKind::random>;
    case PatternKind::walking:
      return check_pattern_kernel<PatternKind::walking>;
    case PatternKind::rows:
      return check_pattern_kernel<PatternKind::rows>;
    case PatternKind::address:
      break;
  }
  return check_pattern_kernel<PatternKind::address>;
}

}  // namespace

cudaError_t fill_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                         std::uint64_t seed, cudaStream_t stream, std::uint64_t flip,
                         PatternKind kind) {
  unsigned blocks = 0;
  if (!aligned(words)) return cudaErrorInvalidValue;
  if (const cudaError_t error = blocks_of(count, blocks); error != cudaSuccess) return error;
  fill_kernel(kind)<<<blocks, kThreads, 0, stream>>>(reinterpret_cast<ulonglong2*>(words), count,
                                                     first_index, seed, flip);
  return cudaGetLastError();
}

cudaError_t check_pattern(const std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                          std::uint64_t seed, PatternMismatch* mismatch, cudaStream_t stream,
                          std::uint64_t flip, PatternKind kind) {
  unsigned blocks = 0;
  if (!aligned(words)) return cudaErrorInvalidValue;
  if (const cudaError_t error = blocks_of(count, blocks); error != cudaSuccess) return error;
  check_kernel(kind)<<<blocks, kThreads, 0, stream>>>(reinterpret_cast<const ulonglong2*>(words),
                                                      count, first_index, seed, flip, mismatch);
  return cudaGetLastError();
}

cudaError_t invert_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                           std::uint64_t seed, std::uint64_t flip, bool upwards,
                           PatternMismatch* mismatch, cudaStream_t stream) {
  unsigned blocks = 0;
  if (!aligned(words)) return cudaErrorInvalidValue;
  if (const cudaError_t error = blocks_of(count, blocks); error != cudaSuccess) return error;
  invert_pattern_kernel<<<blocks, kThreads, 0, stream>>>(
      reinterpret_cast<ulonglong2*>(words), count, first_index, seed, flip, upwards, mismatch);
  return cudaGetLastError();
}

cudaError_t copy_words(std::uint64_t* target, const std::uint64_t* source, std::size_t count,
                       cudaStream_t stream) {
  if (!aligned(target) || !aligned(source)) return cudaErrorInvalidValue;
  copy_words_kernel<<<blocks_for(count / 2), kThreads, 0, stream>>>(
      reinterpret_cast<ulonglong2*>(target), reinterpret_cast<const ulonglong2*>(source), count);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
