#pragma once

#include <cstddef>

#include <cuda_runtime_api.h>

#include "kernels/mismatch.h"
#include "kernels/random_fill.h"

namespace conformance::kernels {

// Each adds what differs to *mismatch, which is device memory that starts as {}.

/// Every byte of bytes[0, count) must be `expected`; the index is the byte's.
cudaError_t check_bytes(const void* bytes, std::size_t count, unsigned char expected,
                        Mismatch* mismatch, cudaStream_t stream);

/// left[0, count) and right[0, count) must hold the same bytes; the index is the byte's.
cudaError_t compare_bytes(const void* left, const void* right, std::size_t count,
                          Mismatch* mismatch, cudaStream_t stream);

/// Of `stored_columns` columns with layout.leading elements each, those elements that are not part
/// of the matrix (which is not transposed) must hold only bytes of value `expected`; the index is
/// the element's.
cudaError_t check_around_matrix(const void* buffer, Element element, const MatrixLayout& layout,
                                unsigned stored_columns, unsigned char expected, Mismatch* mismatch,
                                cudaStream_t stream);

/// Adds to *hash, device memory that starts as 0, a number that two memories of `count` words share
/// only if they hold the same, but for a chance of 2^-64. Words are aligned to 8 bytes.
cudaError_t hash_words(const void* words, std::size_t count, unsigned long long* hash,
                       cudaStream_t stream);

}  // namespace conformance::kernels
