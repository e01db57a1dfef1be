#pragma once

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/scratch.h"

namespace conformance {

/// A root folder with the files of a host, gone with the test.
class RootFolder : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const {
    support::write_scratch(root_ / path, text);
  }
  std::string root() const { return root_.string(); }

 private:
  const support::ScratchFolder folder_{std::filesystem::temp_directory_path() / "conformance-host"};

 protected:
  const std::filesystem::path& root_ = folder_.path();
};

}  // namespace conformance
