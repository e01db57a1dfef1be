#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace conformance::sim {

// Simulated NVRTC's machine code: no instructions, but the names of kernels, which the simulated
// runtime has.

inline constexpr char kMachineCodeMagic[] = "\x7fSIM machine code";

/// For an architecture such as 90.
inline std::string simulated_machine_code(int architecture,
                                          const std::vector<std::string>& kernels) {
  std::string code = std::string(kMachineCodeMagic) + " " + std::to_string(architecture);
  for (const std::string& kernel : kernels) code += " " + kernel;
  return code + '\0';
}

struct MachineCode {
  int architecture = 0;
  std::vector<std::string> kernels;
};
/// Nothing if the image is something else.
inline std::optional<MachineCode> read_machine_code(const void* image) {
  const auto* text = static_cast<const char*>(image);
  if (std::strncmp(text, kMachineCodeMagic, std::strlen(kMachineCodeMagic)) != 0) {
    return std::nullopt;
  }
  MachineCode code;
  std::istringstream words(text + std::strlen(kMachineCodeMagic));
  words >> code.architecture;
  for (std::string kernel; words >> kernel;) code.kernels.push_back(kernel);
  return code;
}

}  // namespace conformance::sim
