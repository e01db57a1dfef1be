#include "tests/support/suite_run.h"

#include <system_error>

#include <fmt/format.h>

#include "tests/support/scratch.h"

namespace conformance::support {
namespace {

namespace fs = std::filesystem;

/// A path as a quoted argument in CTest's language.
std::string quoted(const fs::path& path) {
  std::string result = "\"";
  for (const char c : path.native()) {
    if (c == '"' || c == '\\' || c == '$') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

void write_test_files(const fs::path& folder, const std::vector<fs::path>& files) {
  std::string text;
  for (const fs::path& file : files) text += fmt::format("include({})\n", quoted(file));
  write_scratch(folder / "CTestTestfile.cmake", text);
}

std::vector<fs::path> suite_test_files(const fs::path& build) {
  std::vector<fs::path> files{build / "ci/CTestTestfile.cmake"};
  for (const fs::directory_entry& layer : fs::directory_iterator(build / "suites")) {
    const fs::path file = layer.path() / "CTestTestfile.cmake";
    std::error_code error;
    if (fs::is_regular_file(file, error)) files.push_back(file);
  }
  return files;
}

std::vector<std::string> scenario_driver(const fs::path& build, const std::string& toolkit,
                                         const fs::path& work) {
  const fs::path tests = build / "tests";
  return {(tests / "scenarios" / "conformance-scenarios").native(),
          "--build",
          build.native(),
          "--simulator",
          (tests / "simulator" / "lib").native(),
          "--toolkit",
          toolkit,
          "--work",
          work.native()};
}

}  // namespace conformance::support
