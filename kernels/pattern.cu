#include "kernels/launch.h"
#include "kernels/pattern.h"
#include "kernels/pattern_kernels.cuh"

namespace conformance::kernels {
namespace {

bool aligned(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

}  // namespace

cudaError_t fill_pattern(std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                         std::uint64_t seed, cudaStream_t stream, std::uint64_t flip) {
  if (!aligned(words)) return cudaErrorInvalidValue;
  fill_pattern_kernel<<<blocks_for(count / 2), kThreads, 0, stream>>>(
      reinterpret_cast<ulonglong2*>(words), count, first_index, seed, flip);
  return cudaGetLastError();
}

cudaError_t check_pattern(const std::uint64_t* words, std::size_t count, std::uint64_t first_index,
                          std::uint64_t seed, PatternMismatch* mismatch, cudaStream_t stream,
                          std::uint64_t flip) {
  if (!aligned(words)) return cudaErrorInvalidValue;
  check_pattern_kernel<<<blocks_for(count / 2), kThreads, 0, stream>>>(
      reinterpret_cast<const ulonglong2*>(words), count, first_index, seed, flip, mismatch);
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
