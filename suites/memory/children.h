#pragma once

#include <span>
#include <string>

namespace conformance::memory {

/// On each of the devices arguments[2…], maps memory that kernels may load from and store to, and
/// lets one do so; then gives the device the access arguments[0] instead, a number of
/// CUmemAccess_flags, and lets a kernel try arguments[1], "load" or "store". For each device it
/// prints a line: its number, the runtime's codes for the two kernels, and the driver's for the
/// change of access.
int touch_mapping(std::span<const std::string> arguments);

}  // namespace conformance::memory
