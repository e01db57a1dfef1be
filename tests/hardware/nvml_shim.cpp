// Loaded in place of libnvidia-ml.so.1: the real one, which CONFORMANCE_INJECT_NVML names, except
// that it says that the driver has another version.

#include <cstdlib>
#include <cstring>
#include <string>

#include <dlfcn.h>

#include "tests/hardware/fault.h"

namespace conformance::hardware {
namespace {

/// Null if the real library has no such function: then this one has none either.
void* real_function(const char* name) {
  static void* const library = [] {
    const char* const path = std::getenv("CONFORMANCE_INJECT_NVML");
    if (path == nullptr) give_up("CONFORMANCE_INJECT_NVML names no library");
    void* const opened = ::dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (opened == nullptr) give_up(::dlerror());
    return opened;
  }();
  return ::dlsym(library, name);
}

using Function = void (*)();

}  // namespace

extern "C" {

// A function that only finds its address when it is looked up needs no knowledge of its arguments.
#define FORWARD(name)                                                                           \
  static Function resolve_##name() { return reinterpret_cast<Function>(real_function(#name)); } \
  void name() __attribute__((ifunc("resolve_" #name)));
#include "nvml_functions.inc"
#undef FORWARD

/// The real version with another last digit.
int nvmlSystemGetDriverVersion(char* version, unsigned length) {
  using Call = int (*)(char*, unsigned);
  const auto real = reinterpret_cast<Call>(real_function("nvmlSystemGetDriverVersion"));
  if (real == nullptr) give_up("the real NVML lacks nvmlSystemGetDriverVersion");
  const int answer = real(version, length);
  const std::size_t written = answer == 0 ? ::strnlen(version, length) : 0;
  if (written > 0) {
    char& last = version[written - 1];
    last = last == '9' ? '0' : static_cast<char>(last + 1);
    record_firing("nvml-version", version);
  }
  return answer;
}

}  // extern "C"
}  // namespace conformance::hardware
