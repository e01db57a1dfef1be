#include "suites/environment/open_library.h"

#include <chrono>

#include <fmt/format.h>

#include "fixtures/child_task.h"
#include "fixtures/library.h"

namespace conformance::environment {
namespace {

constexpr int kNotFound = 3;

}  // namespace

OpenAnswer open_library(const std::vector<std::string>& files) {
  ChildOptions options = child_task(kOpenLibraryTask, files);
  options.deadline = std::chrono::seconds(30);
  const ChildResult result = run_child(options);
  if (result.succeeded()) return {true, result.output, ""};
  if (result.end == ChildResult::End::exited && result.code == kNotFound) {
    return {false, "", result.error};
  }
  return {true, "", fmt::format("a process that loads it {}: {}", result.describe(), result.error)};
}

int print_opened_library(std::span<const std::string> files) {
  std::string errors;
  for (const std::string& file : files) {
    const Library library = Library::open(file);
    if (library.is_open()) {
      fmt::print("{}", library.real_path());
      return 0;
    }
    errors += fmt::format("{}{}", errors.empty() ? "" : "; ", library.error());
    // The loader's words for a file that is not there; it says the same, of another file, when the
    // library lacks one that it needs.
    const bool missing = library.error().starts_with(
        fmt::format("{}: cannot open shared object file: No such file or directory", file));
    if (!missing) {
      fmt::print(stderr, "{}", errors);
      return 1;
    }
  }
  fmt::print(stderr, "{}", errors);
  return kNotFound;
}

}  // namespace conformance::environment
