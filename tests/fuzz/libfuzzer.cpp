// The targets for LLVM's libFuzzer, which looks for inputs that reach new code. CONFORMANCE_FUZZ
// names the target.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/fuzz/target.h"

namespace {

const conformance::fuzz::Target& chosen() {
  const char* name = std::getenv("CONFORMANCE_FUZZ");
  for (const conformance::fuzz::Target& target : conformance::fuzz::targets()) {
    if (name != nullptr && target.name == name) return target;
  }
  std::fputs("CONFORMANCE_FUZZ names no target\n", stderr);
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const conformance::fuzz::Target& target = chosen();
  target.read(std::as_bytes(std::span(data, size)));
  return 0;
}
