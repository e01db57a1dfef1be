#pragma once

#include <filesystem>
#include <string_view>

namespace conformance::support {

/// A new folder, gone with this object and all that is in it.
class ScratchFolder {
 public:
  /// The folder's path is `beginning` and something that makes it unique. Throws
  /// std::runtime_error.
  explicit ScratchFolder(const std::filesystem::path& beginning);
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Writes a file of scratch, and the folders above it that are missing. Throws std::runtime_error.
void write_scratch(const std::filesystem::path& path, std::string_view text);

}  // namespace conformance::support
