#pragma once

/// assert() in device code, whatever NDEBUG says. A host compiler that emulates the kernels must
/// not end the process, so there the emulator decides.
#ifdef __CUDACC__
#undef NDEBUG
#include <cassert>
#define CONFORMANCE_DEVICE_ASSERT(condition) assert(condition)
#else
namespace conformance::kernels {
/// Defined by the emulator: ends the running kernel.
[[noreturn]] void device_assert_failed();
}  // namespace conformance::kernels
#define CONFORMANCE_DEVICE_ASSERT(condition) \
  ((condition) ? void() : ::conformance::kernels::device_assert_failed())
#endif
