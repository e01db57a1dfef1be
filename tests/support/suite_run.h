#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace conformance::support {

/// Changes to the environment: a value sets a variable, nullopt removes it.
using Environment = std::map<std::string, std::optional<std::string>>;

/// Writes a test file for CTest that has every entry of `files` into `folder`. CTest writes beside
/// its test files, so each run gets a folder of its own. The files are included rather than made
/// subfolders: CTest would change into those to start their tests, and the report, which asks where
/// CTest is, could meet it there.
void write_test_files(const std::filesystem::path& folder,
                      const std::vector<std::filesystem::path>& files);

/// CTest's test files of every suite in the build, and of the report.
std::vector<std::filesystem::path> suite_test_files(const std::filesystem::path& build);

/// How the scenarios' driver is started with its files in `work`; what it is to do comes after.
std::vector<std::string> scenario_driver(const std::filesystem::path& build,
                                         const std::string& toolkit,
                                         const std::filesystem::path& work);

}  // namespace conformance::support
