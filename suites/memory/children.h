#pragma once

#include <span>
#include <string>

namespace conformance::memory {

/// On device arguments[2], maps memory that kernels may load from and store to, and lets one do
/// arguments[1], "load" or "store"; then gives the device the access arguments[0] instead, a number
/// of CUmemAccess_flags, lets a kernel load if that may be, and lets one try arguments[1] again.
/// Prints the runtime's code for the first kernel, the driver's for the change of access, and the
/// runtime's for the other two.
int touch_mapping(std::span<const std::string> arguments);

}  // namespace conformance::memory
