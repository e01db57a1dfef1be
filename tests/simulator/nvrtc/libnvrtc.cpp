// libnvrtc: takes sources whose kernels are in namespaces and have parameters of a few types, and
// "compiles" them to the names of their kernels, which the runtime then looks up among those of
// kernels/*_kernels.cuh. Of a wrong source it knows #error.

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulator/core/context.h"
#include "tests/simulator/core/machine_code.h"

namespace conformance::sim::nvrtc {
namespace {

enum Result {
  success = 0,
  invalid_input = 3,
  invalid_program = 4,
  invalid_option = 5,
  compilation = 6,
  no_lowered_name = 10
};

struct Program {
  std::string source, name, log, code;
  std::vector<std::string> expressions;
  std::map<std::string, std::string> lowered;
};

/// "unsigned* words, unsigned count" as the C++ ABI writes it; empty if a type is not known.
std::string mangled_parameters(const std::string& list) {
  static const std::map<std::string, std::string> kTypes{
      {"unsigned", "j"}, {"unsigned*", "Pj"}, {"int", "i"}, {"float*", "Pf"}};
  std::istringstream parameters(list);
  std::string mangled;
  for (std::string one; std::getline(parameters, one, ',');) {
    std::istringstream words(one);
    std::string type;
    words >> type;
    const auto known = kTypes.find(type);
    if (known == kTypes.end()) return {};
    mangled += known->second;
  }
  return mangled;
}

/// The name that a kernel has in machine code; empty if the source has no such kernel.
std::string lowered_name(const std::string& source, const std::string& expression) {
  std::string path;
  std::istringstream parts(expression);
  std::string last;
  for (std::string part; std::getline(parts, part, ':');) {
    if (part.empty()) continue;
    path += std::to_string(part.size()) + part;
    last = part;
  }
  const std::string head = "__global__ void " + last + "(";
  const std::size_t start = source.find(head);
  if (start == std::string::npos) return {};
  const std::size_t first = start + head.size();
  const std::string parameters =
      mangled_parameters(source.substr(first, source.find(')', first) - first));
  return parameters.empty() ? "" : "_ZN" + path + "E" + parameters;
}

Result compile(Program& program, const std::vector<std::string>& options) {
  constexpr std::string_view kArchitecture = "--gpu-architecture=sm_";
  int architecture = 75;
  for (const std::string& option : options) {
    if (option.starts_with(kArchitecture)) {
      architecture = std::stoi(option.substr(kArchitecture.size()));
    } else if (!option.starts_with("--std=")) {
      program.log = "nvrtc: error: invalid value for " + option + "\n";
      return invalid_option;
    }
  }
  std::istringstream lines(program.source);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.starts_with("#error")) continue;
    program.log = program.name + "(" + std::to_string(number) +
                  "): catastrophic error: #error directive:" + line.substr(std::strlen("#error")) +
                  "\n";
    return compilation;
  }
  std::vector<std::string> kernels;
  for (const std::string& expression : program.expressions) {
    const std::string lowered = lowered_name(program.source, expression);
    if (lowered.empty()) {
      program.log = "simulated NVRTC: it cannot tell how " + expression + " is called\n";
      return compilation;
    }
    program.lowered[expression] = lowered;
    kernels.push_back(lowered);
  }
  program.code = simulated_machine_code(architecture, kernels);
  return success;
}

Program* program_of(void* handle) { return static_cast<Program*>(handle); }

void hand_out(const std::string& text, std::size_t size, char* out) {
  std::memcpy(out, text.c_str(), size);
}

/// Also what real NVRTC 13 has, as far as simulated GPUs are made.
constexpr int kArchitectures[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

}  // namespace

extern "C" {

Result nvrtcVersion(int* major, int* minor) {
  *major = CUDART_VERSION / 1000;
  *minor = CUDART_VERSION % 1000 / 10;
  return success;
}

const char* nvrtcGetErrorString(Result result) {
  switch (result) {
    case success:
      return "NVRTC_SUCCESS";
    case invalid_input:
      return "NVRTC_ERROR_INVALID_INPUT";
    case invalid_program:
      return "NVRTC_ERROR_INVALID_PROGRAM";
    case invalid_option:
      return "NVRTC_ERROR_INVALID_OPTION";
    case compilation:
      return "NVRTC_ERROR_COMPILATION";
    case no_lowered_name:
      return "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID";
  }
  return "NVRTC_ERROR unknown";
}

Result nvrtcGetNumSupportedArchs(int* count) {
  *count = static_cast<int>(std::size(kArchitectures));
  return success;
}

Result nvrtcGetSupportedArchs(int* all) {
  std::copy(std::begin(kArchitectures), std::end(kArchitectures), all);
  return success;
}

Result nvrtcCreateProgram(void** handle, const char* source, const char* name, int headers,
                          const char* const*, const char* const*) {
  if (handle == nullptr || source == nullptr || headers != 0) return invalid_input;
  auto* const program = new Program;
  program->source = source;
  program->name = name == nullptr ? "default_program" : name;
  *handle = program;
  return success;
}

Result nvrtcDestroyProgram(void** handle) {
  if (handle == nullptr || *handle == nullptr) return invalid_program;
  delete program_of(*handle);
  *handle = nullptr;
  return success;
}

Result nvrtcAddNameExpression(void* handle, const char* expression) {
  if (handle == nullptr) return invalid_program;
  program_of(handle)->expressions.emplace_back(expression);
  return success;
}

Result nvrtcCompileProgram(void* handle, int count, const char* const* options) {
  if (handle == nullptr) return invalid_program;
  const Firing firing = World::get().faults().at({"nvrtcCompileProgram"});
  if (firing.code) return static_cast<Result>(*firing.code);
  return compile(*program_of(handle), {options, options + count});
}

Result nvrtcGetLoweredName(void* handle, const char* expression, const char** name) {
  if (handle == nullptr) return invalid_program;
  const auto& lowered = program_of(handle)->lowered;
  const auto found = lowered.find(expression);
  if (found == lowered.end()) return no_lowered_name;
  *name = found->second.c_str();
  return success;
}

Result nvrtcGetCUBINSize(void* handle, std::size_t* size) {
  if (handle == nullptr) return invalid_program;
  *size = program_of(handle)->code.size();
  return success;
}

Result nvrtcGetCUBIN(void* handle, char* code) {
  if (handle == nullptr) return invalid_program;
  hand_out(program_of(handle)->code, program_of(handle)->code.size(), code);
  return success;
}

Result nvrtcGetProgramLogSize(void* handle, std::size_t* size) {
  if (handle == nullptr) return invalid_program;
  *size = program_of(handle)->log.size() + 1;
  return success;
}

Result nvrtcGetProgramLog(void* handle, char* log) {
  if (handle == nullptr) return invalid_program;
  hand_out(program_of(handle)->log, program_of(handle)->log.size() + 1, log);
  return success;
}

}  // extern "C"
}  // namespace conformance::sim::nvrtc
