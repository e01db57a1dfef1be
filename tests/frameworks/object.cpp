// What the stand-ins for frameworks have as their own library for CUDA: machine code for sm_90, as
// far as a reader of headers can tell, and the name of a library that is opened at run time.

#include <cstdint>

namespace {

/// A fat binary: fixtures/device_code.cpp.
struct FatBinary {
  // Of all that it holds.
  std::uint32_t magic = 0xba55ed50;
  std::uint16_t version = 1;
  std::uint16_t header_bytes = 16;
  std::uint64_t bytes = 56 + sizeof(code);
  // Of its only entry.
  std::uint16_t kind = 2;  // machine code
  std::uint16_t entry_version = 0x101;
  std::uint32_t entry_header_bytes = 56;
  std::uint64_t code_bytes = sizeof(code);
  std::uint32_t compressed_bytes = 0;
  std::uint32_t unused = 0;
  std::uint16_t minor = 0, major = 0;
  std::uint32_t architecture = 90;
  std::uint32_t name[2]{};
  std::uint64_t flags = 0;
  std::uint64_t rest[1]{};
  std::uint64_t code[512]{1};  // as large as what holds a kernel
};
static_assert(sizeof(FatBinary) == 16 + 56 + sizeof(FatBinary::code));

}  // namespace

extern "C" {
[[gnu::used, gnu::section(".nv_fatbin")]] const FatBinary standin_device_code{};
[[gnu::used]] const char standin_wanted[] = "libnccl.so.2";
}
