#pragma once

/// Declares `name`, the dynamic shared memory of the running block, as an array of `type`. A host
/// compiler that emulates the kernels has no such storage class, so there the emulator hands it
/// out.
#ifdef __CUDACC__
// NOLINTNEXTLINE(bugprone-macro-parentheses): neither a type nor a declared name takes parentheses
#define CONFORMANCE_DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#else
namespace conformance::kernels {
/// Defined by the emulator: the running block's dynamic shared memory, aligned to 16 bytes.
void* dynamic_shared_memory();
}  // namespace conformance::kernels
#define CONFORMANCE_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(::conformance::kernels::dynamic_shared_memory())
#endif
