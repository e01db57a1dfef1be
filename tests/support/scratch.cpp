#include "tests/support/scratch.h"

#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace conformance::support {

namespace fs = std::filesystem;

void write_scratch(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw std::runtime_error(fmt::format("cannot write {}", path.native()));
}

}  // namespace conformance::support
