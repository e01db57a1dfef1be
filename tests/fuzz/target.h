#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string_view>

namespace conformance::fuzz {

/// Bytes that anybody may have written.
using Input = std::span<const std::byte>;
inline std::string_view as_text(Input input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

/// A reader of what others wrote. Whatever its input holds, it neither crashes nor takes long, and
/// what it makes of it keeps what its header promises.
struct Target {
  std::string_view name;  ///< and of its folder in corpus/
  void (*read)(Input input);
  /// How many changed inputs the self-test tries: well below a second's worth.
  unsigned mutations;
};
std::span<const Target> targets();

class BrokenPromise : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};
/// Throws BrokenPromise unless `holds`.
inline void promise(bool holds, const char* what) {
  if (!holds) throw BrokenPromise(what);
}

// The targets' readers.
void read_elf_file(Input input);
void read_device_code_file(Input input);
void read_host_files(Input input);
void read_version_texts(Input input);
void judge_versions(Input input);
void read_visible_devices(Input input);
void audit_file(Input input);
void read_journals(Input input);
void read_policy(Input input);

}  // namespace conformance::fuzz
