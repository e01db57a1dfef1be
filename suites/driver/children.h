#pragma once

#include <span>
#include <string>

namespace conformance::driver {

/// Prints what cuInit answers in this process and how many GPUs cuDeviceGetCount then counts, as
/// JSON: {"code": 0, "count": 8}.
int count_devices(std::span<const std::string> arguments);

/// Loads the libraries of these names, as far as there are any, and prints which of interest the
/// process then has: a line of name, path and real path for each, with tabs between them.
int load_libraries(std::span<const std::string> names);

}  // namespace conformance::driver
