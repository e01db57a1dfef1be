#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "kernels/pattern.h"

namespace conformance::kernels {

/// What one thread saw of its launch.
struct LaunchRecord {
  std::uint32_t block[3], thread[3], grid[3], threads[3];
};
/// Every thread writes its record to records[block * threads per block + thread], both counted x
/// fastest. Yields cudaErrorInvalidConfiguration for a shape that the device does not take.
cudaError_t record_launch(LaunchRecord* records, dim3 grid, dim3 block, cudaStream_t stream);
/// The attributes of record_launch's kernel, on the current device.
cudaError_t record_launch_attributes(cudaFuncAttributes* attributes);

/// Each of `blocks` blocks moves its `words` words of `source` through dynamic shared memory
/// `rounds` times, each time by one place and behind a barrier:
/// target[b * words + i] = source[b * words + (i + rounds) % words]. Needs 8 * words bytes of
/// shared memory; more than 48 KiB are asked for as the programming guide demands.
cudaError_t rotate_in_shared(const std::uint32_t* source, std::uint32_t* target, unsigned words,
                             unsigned rounds, unsigned blocks, cudaStream_t stream);

/// Close to the 4 KiB that every GPU takes as a kernel's parameters, together with a pointer.
struct BigArgument {
  std::uint64_t words[510];
};
inline constexpr std::size_t kArgumentWords = sizeof(BigArgument::words) / sizeof(std::uint64_t);
/// target[i] = argument.words[i], i < kArgumentWords; the argument travels by value.
cudaError_t store_argument(const BigArgument& argument, std::uint64_t* target, cudaStream_t stream);

/// Words of the kernel module's constant variable.
inline constexpr std::size_t kConstantWords = 512;
/// Copies `values` (page-locked, kConstantWords words) to the module's constant variable; a kernel
/// copies that to `target`.
cudaError_t store_constants(const std::uint64_t* values, std::uint64_t* target,
                            cudaStream_t stream);

/// Operands of `computed`, a function of the index alone. The factors have so many bits that their
/// products must be rounded, which tells a fused multiply-add from a product and a sum.
struct Operands {
  std::uint64_t dividend, divisor;
  float factor32;
  double factor64;
};
__host__ __device__ constexpr Operands operands(std::uint64_t index) {
  const std::uint64_t word = pattern_word(index, 0);
  return {word, (word >> 40) | 1, 1.0f + static_cast<float>(word & 0xfff) * 0x1p-12f,
          1.0 + static_cast<double>(word & 0x3fffffff) * 0x1p-30};
}
/// Results whose every bit the integer and IEEE 754 rules fix.
struct Computed {
  std::uint64_t product, quotient, remainder, shifted;
  std::int64_t signed_quotient;
  double fma64, quotient64, root64;
  float fma32, quotient32, root32, subnormal32;
};
/// What follows from operands(index), on the host as on the device.
inline __host__ __device__ Computed computed(std::uint64_t index) {
  const Operands in = operands(index);
  Computed out{};
  out.product = in.dividend * in.divisor;
  out.quotient = in.dividend / in.divisor;
  out.remainder = in.dividend % in.divisor;
  out.shifted = in.dividend << (index % 64);
  out.signed_quotient =
      static_cast<std::int64_t>(in.dividend) / static_cast<std::int64_t>(in.divisor);
  out.fma64 = fma(in.factor64, in.factor64, -(in.factor64 * in.factor64));
  out.quotient64 = 1.0 / in.factor64;
  out.root64 = sqrt(in.factor64);
  out.fma32 = fmaf(in.factor32, in.factor32, -(in.factor32 * in.factor32));
  out.quotient32 = 1.0f / in.factor32;
  out.root32 = sqrtf(in.factor32);
  out.subnormal32 = in.factor32 * 0x1p-130f;
  return out;
}
/// results[i] = computed(i), i < count.
cudaError_t compute(Computed* results, std::size_t count, cudaStream_t stream);

/// What the threads of `contend` leave together; start from no_contention().
struct Contended {
  unsigned long long sum;
  unsigned tickets, winners, lowest, highest;
};
constexpr Contended no_contention() { return {0, 0, 0, ~0u, 0}; }
/// Thread i < blocks * kThreads takes a ticket t and writes holders[t] = i; adds i to `sum`, brings
/// it into `lowest` and `highest`, and tries to swap claims[i % claim_count] from 0 to i + 1, which
/// one thread per claim can do: a winner.
cudaError_t contend(Contended* state, std::uint32_t* holders, unsigned* claims,
                    unsigned claim_count, unsigned blocks, cudaStream_t stream);

/// One thread stores to `address`, whatever that is: with an address that is not mapped, the
/// documented way to lose a context. For processes that end afterwards.
cudaError_t store_to(std::uintptr_t address, cudaStream_t stream);

}  // namespace conformance::kernels
