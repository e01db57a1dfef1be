#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace conformance::driver {

/// Images of the kernel of kernels/module_probe_kernels.cuh, as cuModuleLoadDataEx takes them.

/// PTX in an old version of the language and for an old architecture, so that every driver can
/// compile it for any GPU.
std::string probe_ptx();
/// The same with an instruction that does not exist.
std::string broken_ptx();
/// Machine code and PTX for the architectures that the suites were built for.
std::span<const std::byte> probe_fat_binary();
/// Machine code that GPUs of this major revision cannot run, and nothing else.
std::span<const std::byte> foreign_fat_binary(int major);

}  // namespace conformance::driver
