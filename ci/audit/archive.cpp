#include "ci/audit/archive.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include <ar.h>

#include <fmt/format.h>

namespace conformance::audit {
namespace {

std::string_view text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <std::size_t kSize>
std::string_view field(const char (&characters)[kSize]) {
  const std::string_view all(characters, kSize);
  return all.substr(0, all.find_last_not_of(' ') + 1);
}

std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (digits.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// "name.o/", or "/123": the name that begins there in the list of long names.
std::string member_name(std::string_view name, std::string_view long_names) {
  const auto offset = name.starts_with('/') ? number(name.substr(1)) : std::nullopt;
  if (!offset) return std::string(name.substr(0, name.find('/')));
  if (*offset >= long_names.size()) throw Malformed("a member's name lies outside of its names");
  name = long_names.substr(*offset);
  return std::string(name.substr(0, std::min(name.find('/'), name.find('\n'))));
}

}  // namespace

bool is_archive(const ByteSource& source) {
  return source.size() >= SARMAG && text(source.bytes(0, SARMAG)) == ARMAG;
}

std::vector<Member> archive_members(const ByteSource& source) {
  std::vector<Member> members;
  std::vector<std::byte> long_names;
  std::uint64_t at = SARMAG;
  while (at < source.size()) {
    const auto header = source.object<ar_hdr>(at);
    at += sizeof(header);
    const auto size = number(field(header.ar_size));
    if (std::string_view(header.ar_fmag, sizeof(header.ar_fmag)) != ARFMAG || !size ||
        *size > source.size() - at) {
      throw Malformed(fmt::format("its member before offset {} is damaged", at));
    }
    const std::string_view name = field(header.ar_name);
    if (name == "//") {
      long_names = source.bytes(at, *size);
    } else if (name != "/" && name != "/SYM64/") {  // the symbols of all members
      members.push_back({member_name(name, text(long_names)), source.part(at, *size)});
    }
    at += *size + *size % 2;
  }
  return members;
}

}  // namespace conformance::audit
