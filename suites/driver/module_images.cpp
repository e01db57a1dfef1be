#include "suites/driver/module_images.h"

#include <cstdint>
#include <string_view>

#include "kernels/module_probe.h"

// kernels/CMakeLists.txt makes these.
extern "C" {
extern const std::byte module_probe_begin, module_probe_end;
extern const std::byte module_probe_for_8_begin, module_probe_for_8_end;
extern const std::byte module_probe_for_9_begin, module_probe_for_9_end;
}

namespace conformance::driver {
namespace {

/// Written by hand. PTX of version 6.0 was CUDA 9's; sm_50 is older than what CUDA 12 runs on.
constexpr std::string_view kHead = R"(.version 6.0
.target sm_50
.address_size 64

.visible .entry )";
constexpr std::string_view kBody = R"((
  .param .u64 words,
  .param .u32 count,
  .param .u32 seed
)
{
  .reg .pred %p<2>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [words];
  ld.param.u32 %r1, [count];
  ld.param.u32 %r2, [seed];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.u32 %r6, %r3, %r4, %r5;
  setp.ge.u32 %p1, %r6, %r1;
  @%p1 bra DONE;
  mov.u32 %r8, 0x9e3779b1;
  mad.lo.u32 %r7, %r6, %r8, %r2;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r6, 4;
  add.s64 %rd2, %rd2, %rd3;
  st.global.u32 [%rd2], %r7;
DONE:
  ret;
}
)";

std::span<const std::byte> between(const std::byte& begin, const std::byte& end) {
  // Apart as far as their addresses are, whatever the compiler thinks of two variables.
  const auto size =
      reinterpret_cast<std::uintptr_t>(&end) - reinterpret_cast<std::uintptr_t>(&begin);
  return {&begin, size};
}

}  // namespace

std::string probe_ptx() { return std::string(kHead) + kernels::kModuleProbe + std::string(kBody); }

std::string broken_ptx() {
  std::string text = probe_ptx();
  constexpr std::string_view kInstruction = "mul.wide.u32";
  return text.replace(text.find(kInstruction), kInstruction.size(), "nosuchinstruction.u32");
}

std::span<const std::byte> probe_fat_binary() {
  return between(module_probe_begin, module_probe_end);
}

std::span<const std::byte> foreign_fat_binary(int major) {
  return major == 9 ? between(module_probe_for_8_begin, module_probe_for_8_end)
                    : between(module_probe_for_9_begin, module_probe_for_9_end);
}

}  // namespace conformance::driver
