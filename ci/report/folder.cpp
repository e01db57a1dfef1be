#include "ci/report/folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/child.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuiteEnding = ".jsonl";
constexpr std::string_view kLockEnding = ".lock";
constexpr std::string_view kLaunchEnding = ".launch.jsonl";
/// Between a file's name and the writer's process number, while it is being written.
constexpr std::string_view kTemporaryInfix = ".writing-";

bool is_word(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                              std::string_view::npos;
}

std::string entry_before(std::string_view file_name, std::string_view ending) {
  if (!file_name.ends_with(ending)) return "";
  file_name.remove_suffix(ending.size());
  return is_entry_name(file_name) ? std::string(file_name) : "";
}

bool is_report_file(std::string_view name) {
  return name == "run.json" || name == "results.json" || name == "junit.xml" ||
         name == "index.html" || name == "metrics.prom";
}

/// A file that a writer left behind when it was killed, such as "results.json.writing-123".
bool is_leftover(std::string_view name) {
  const std::size_t infix = name.rfind(kTemporaryInfix);
  if (infix == std::string_view::npos) return false;
  const std::string_view number = name.substr(infix + kTemporaryInfix.size());
  return is_report_file(name.substr(0, infix)) && !number.empty() &&
         number.find_first_not_of("0123456789") == std::string_view::npos;
}

void remove_own_files(const fs::path& folder, bool (*is_own)(std::string_view)) {
  std::error_code error;
  std::vector<fs::path> own;
  for (fs::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    if (is_own(item->path().filename().native())) own.push_back(item->path());
  }
  if (error) {
    throw CannotRun(fmt::format("cannot read the folder {}: {}", folder.native(), error.message()));
  }
  for (const fs::path& path : own) {
    // unlink, because it takes away a link and not what it leads to, and never a folder.
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      throw CannotRun(fmt::format("cannot remove {}, which an earlier run left: {}", path.native(),
                                  std::strerror(errno)));
    }
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder, error)) {
    throw CannotRun(
        fmt::format("cannot make the folder {}: {}", folder.native(),
                    error ? error.message() : "something else of that name is in the way"));
  }
  if (::access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    throw CannotRun(
        fmt::format("cannot write to the folder {}: {}", folder.native(), std::strerror(errno)));
  }
}

}  // namespace

fs::path Folder::suite_journal(std::string_view entry) const {
  return journals() / fmt::format("{}{}", entry, kSuiteEnding);
}

fs::path Folder::launch_journal(std::string_view entry) const {
  return journals() / fmt::format("{}{}", entry, kLaunchEnding);
}

fs::path Folder::process_lock(std::string_view layer) const {
  return journals() / fmt::format("{}{}", layer, kLockEnding);
}

fs::path home() { return fs::path(own_executable()).parent_path().parent_path(); }

Folder report_folder(const fs::path& fallback) {
  const char* chosen = std::getenv("CONFORMANCE_REPORT_DIR");
  if (chosen == nullptr || *chosen == '\0') return {fallback};
  if (*chosen != '/') {
    throw CannotRun(fmt::format(
        "CONFORMANCE_REPORT_DIR is \"{}\"; it must be an absolute path, because CTest starts each "
        "test in another folder",
        chosen));
  }
  return {chosen};
}

bool is_entry_name(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot != std::string_view::npos && is_word(name.substr(0, dot)) &&
         is_word(name.substr(dot + 1));
}

std::string entry_of_suite_journal(std::string_view file_name) {
  return entry_before(file_name, kSuiteEnding);
}

std::string entry_of_launch_journal(std::string_view file_name) {
  return entry_before(file_name, kLaunchEnding);
}

void prepare(const Folder& folder) {
  make_folder(folder.root);
  make_folder(folder.journals());
  remove_own_files(folder.root,
                   [](std::string_view name) { return is_report_file(name) || is_leftover(name); });
  remove_own_files(folder.journals(), [](std::string_view name) {
    return !entry_of_suite_journal(name).empty() || !entry_of_launch_journal(name).empty() ||
           name.ends_with(kLockEnding);
  });
}

std::string read_file(const fs::path& path) {
  std::error_code error;
  // A pipe or a device of that name would keep us waiting.
  if (!fs::is_regular_file(path, error)) {
    throw CannotRun(fmt::format("cannot read {}: {}", path.native(),
                                error ? error.message() : "it is no regular file"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad()) throw CannotRun(fmt::format("cannot read {}", path.native()));
  return text;
}

void write_file(const fs::path& path, std::string_view text) {
  const std::string temporary = fmt::format("{}{}{}", path.native(), kTemporaryInfix, ::getpid());
  const auto give_up = [&](std::string_view what) {
    const int error = errno;
    ::unlink(temporary.c_str());
    throw CannotRun(fmt::format("cannot {} {}: {}", what, path.native(), std::strerror(error)));
  };
  const int file =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file < 0) give_up("write");
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      ::close(file);
      give_up("write");
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  // Before the rename, so that a machine that dies now leaves the old file or the new one.
  const bool stored = ::fsync(file) == 0 || errno == EINVAL;
  if (::close(file) != 0 || !stored) give_up("write");
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up("replace");
}

}  // namespace conformance::report
