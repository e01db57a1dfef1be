#pragma once

#include <string>
#include <vector>

#include "fixtures/byte_source.h"

namespace conformance::audit {

/// A static library's object file.
struct Member {
  std::string name;
  ByteSource bytes;
};

/// Whether a file begins as a static library does.
bool is_archive(const ByteSource& source);
/// The object files of a static library, in the form of System V and GNU: ar(5). Throws Malformed.
std::vector<Member> archive_members(const ByteSource& source);

}  // namespace conformance::audit
