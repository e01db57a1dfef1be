#include "kernels/launch.h"
#include "kernels/pattern.h"
#include "kernels/pattern_kernels.cuh"

namespace conformance::kernels {
namespace {

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

std::size_t tiles_of(std::size_t count) { return count / 2 / kPairsPerTile; }

/// Blocks for a comparison, whose threads each keep what they found: few enough that making that
/// ready costs nothing.
unsigned blocks_to_compare(std::size_t count) { return blocks_for(tiles_of(count) * kThreads); }

/// The kernels for patterns of one kind.
struct PatternKernels {
  decltype(&fill_pattern_kernel<PatternKind::address>) fill;
  decltype(&check_pattern_kernel<PatternKind::address>) check;
};

PatternKernels kernels_for(PatternKind kind) {
  switch (kind) {
    case PatternKind::random:
      return {fill_pattern_kernel<PatternKind::random>, check_pattern_kernel<PatternKind::random>};
    case PatternKind::walking:
      return {fill_pattern_kernel<PatternKind::walking>,
              check_pattern_kernel<PatternKind::walking>};
    case PatternKind::rows:
      return {fill_pattern_kernel<PatternKind::rows>, check_pattern_kernel<PatternKind::rows>};
    case PatternKind::address:
      break;
  }
  return {fill_pattern_kernel<PatternKind::address>, check_pattern_kernel<PatternKind::address>};
}

}  // namespace

cudaError_t fill_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                         std::uint64_t seed, cudaStream_t stream, std::uint64_t flip,
                         PatternKind kind) {
  if (!aligned(words)) return cudaErrorInvalidValue;
  kernels_for(kind).fill<<<blocks_for_tiles(tiles_of(count)), kThreads, 0, stream>>>(
      reinterpret_cast<ulonglong2*>(words), count, first_index, seed, flip);
  return cudaGetLastError();
}

cudaError_t check_pattern(const std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                          std::uint64_t seed, PatternMismatch* mismatch, cudaStream_t stream,
                          std::uint64_t flip, PatternKind kind) {
  if (!aligned(words)) return cudaErrorInvalidValue;
  kernels_for(kind).check<<<blocks_to_compare(count), kThreads, 0, stream>>>(
      reinterpret_cast<const ulonglong2*>(words), count, first_index, seed, flip, mismatch);
  return cudaGetLastError();
}

cudaError_t invert_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                           std::uint64_t seed, std::uint64_t flip, bool upwards,
                           PatternMismatch* mismatch, cudaStream_t stream) {
  if (!aligned(words)) return cudaErrorInvalidValue;
  invert_pattern_kernel<<<blocks_for_tiles(tiles_of(count)), kThreads, 0, stream>>>(
      reinterpret_cast<const ulonglong2*>(words), reinterpret_cast<ulonglong2*>(words), count,
      first_index, seed, flip, upwards, mismatch);
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
