#pragma once

#include <cstdint>

namespace conformance::kernels {

/// The kernel of module_probe_kernels.cuh by the name it has in a module. There is no launcher: the
/// driver API launches it. Arguments: words, their count, a seed.
inline constexpr const char* kModuleProbe = "_ZN11conformance7kernels19module_probe_kernelEPjjj";

/// What it writes to word `index`.
constexpr std::uint32_t module_probe_word(std::uint32_t index, std::uint32_t seed) {
  return index * 0x9e3779b1U + seed;
}

}  // namespace conformance::kernels
