#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/mismatch.h"

namespace conformance::kernels {

/// target[i] = left[i] + factor * right[i], in 64 bits, i < count: the triad of STREAM (McCalpin:
/// Memory Bandwidth and Machine Balance in Current High Performance Computers, 1995), which reads
/// two words for each that it writes. All are aligned to 16 bytes; `count` is a multiple of 2048.
cudaError_t triad(std::uint64_t* target, const std::uint64_t* left, const std::uint64_t* right,
                  std::uint64_t factor, std::size_t count, cudaStream_t stream);
/// Compares target[i] with the triad of the address patterns of two seeds; adds what differs to
/// *mismatch, which is device memory that starts as {}.
cudaError_t check_triad(const std::uint64_t* target, std::uint64_t left_seed,
                        std::uint64_t right_seed, std::uint64_t factor, std::size_t count,
                        Mismatch* mismatch, cudaStream_t stream);

}  // namespace conformance::kernels
