#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace conformance::environment {

/// What became of opening a library.
struct OpenAnswer {
  bool found = false;  ///< there is such a file, whether it can be loaded or not
  std::string path;    ///< with links followed; empty unless it was loaded
  std::string error;   ///< why it was not
};
/// Opens the first of these files that the loader finds, in a fresh process: what a library does
/// while it is loaded is its own affair.
OpenAnswer open_library(const std::vector<std::string>& files);

inline constexpr std::string_view kOpenLibraryTask = "open-library";
/// The child task: the arguments are the files.
int print_opened_library(std::span<const std::string> files);

}  // namespace conformance::environment
