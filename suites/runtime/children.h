#pragma once

#include <span>
#include <string>

namespace conformance::runtime {

/// Prints the number of GPUs that this process sees, as JSON: {"code": 0, "count": 8}.
int count_devices(std::span<const std::string> arguments);

/// On the device with the ordinal arguments[0], stores to an address that is not mapped and then
/// makes ordinary calls. Prints what each returned, as JSON, in order:
/// {"before": 0, "launch": 0, "wait": 700, "after": {"cudaMalloc": 700, …}}.
int illegal_store(std::span<const std::string> arguments);
/// The same with a kernel whose assert() fails, and with one that calls __trap().
int fail_assert(std::span<const std::string> arguments);
int trap(std::span<const std::string> arguments);

}  // namespace conformance::runtime
