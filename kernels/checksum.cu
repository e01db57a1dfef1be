#include "kernels/checksum.h"
#include "kernels/checksum_kernels.cuh"

namespace conformance::kernels {

cudaError_t add_checksums(const WordMatrix& matrix, unsigned long long* sums, cudaStream_t stream) {
  if (reinterpret_cast<std::uintptr_t>(matrix.data) % sizeof(ulonglong2) != 0 ||
      matrix.words % 2 != 0) {
    return cudaErrorInvalidValue;
  }
  const unsigned tiles = (matrix.words + kSumWords - 1) / kSumWords *
                         ((matrix.columns + kSumColumns - 1) / kSumColumns);
  add_checksums_kernel<<<tiles, kSumThreads, 0, stream>>>(
      static_cast<const ulonglong2*>(matrix.data), matrix.words, matrix.columns, sums);
  return cudaGetLastError();
}

}  // namespace conformance::kernels
