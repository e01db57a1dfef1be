#pragma once

#include <span>
#include <string>

namespace conformance::driver {

/// Prints what cuInit answers in this process and how many GPUs cuDeviceGetCount then counts, as
/// JSON: {"code": 0, "count": 8}.
int count_devices(std::span<const std::string> arguments);

}  // namespace conformance::driver
