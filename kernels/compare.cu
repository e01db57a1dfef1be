#include "kernels/compare.h"
#include "kernels/compare_kernels.cuh"
#include "kernels/launch.h"

namespace conformance::kernels {
namespace {

bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % sizeof(uint4) == 0;
}

cudaError_t compare(const void* left, const void* right, unsigned char expected, std::size_t count,
                    Mismatch* mismatch, cudaStream_t stream) {
  const std::size_t chunks = aligned(left) && aligned(right) ? count / sizeof(uint4) : 0;
  compare_bytes_kernel<<<blocks_for(chunks > 0 ? chunks : count), kThreads, 0, stream>>>(
      static_cast<const unsigned char*>(left), static_cast<const unsigned char*>(right), expected,
      chunks, count, mismatch);
  return cudaGetLastError();
}

}  // namespace

cudaError_t check_bytes(const void* bytes, std::size_t count, unsigned char expected,
                        Mismatch* mismatch, cudaStream_t stream) {
  return compare(bytes, nullptr, expected, count, mismatch, stream);
}

cudaError_t compare_bytes(const void* left, const void* right, std::size_t count,
                          Mismatch* mismatch, cudaStream_t stream) {
  if (right == nullptr) return cudaErrorInvalidValue;
  return compare(left, right, 0, count, mismatch, stream);
}

cudaError_t check_around_matrix(const void* buffer, Element element, const MatrixLayout& layout,
                                unsigned stored_columns, unsigned char expected, Mismatch* mismatch,
                                cudaStream_t stream) {
  if (layout.transposed || stored_columns < layout.columns) return cudaErrorInvalidValue;
  const std::size_t count = static_cast<std::size_t>(layout.leading) * stored_columns;
  check_around_matrix_kernel<<<blocks_for(count), kThreads, 0, stream>>>(
      static_cast<const unsigned char*>(buffer), static_cast<unsigned>(bytes_of(element)), layout,
      stored_columns, expected, mismatch);
  return cudaGetLastError();
}

cudaError_t hash_words(const void* words, std::size_t count, unsigned long long* hash,
                       cudaStream_t stream) {
  hash_words_kernel<<<blocks_for(count), kThreads, 0, stream>>>(
      static_cast<const std::uint64_t*>(words), count, hash);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
