// conformance-report: begins a run, turns its journals into the reports, shows them again.

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "ci/report/html.h"
#include "ci/report/junit.h"
#include "ci/report/merge.h"
#include "ci/report/results.h"
#include "ci/report/table.h"
#include "fixtures/session.h"

namespace conformance::report {
namespace {

bool wants_colours(int descriptor) {
  const char* refused = std::getenv("NO_COLOR");
  return ::isatty(descriptor) == 1 && (refused == nullptr || *refused == '\0');
}

void print(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    // A reader who has left is no reason to lose the verdict.
    if (written < 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// CTest's own standard output, for CTest hides what passing tests print. Only a terminal or a
/// pipe: a regular file, opened anew, would be written over.
std::optional<int> output_of_ctest() {
  const std::optional<ProcessId> ctest = parent_ctest();
  if (!ctest) return std::nullopt;
  // O_NONBLOCK, because opening a pipe that nobody reads any more would wait for a reader.
  const int descriptor = ::open(fmt::format("/proc/{}/fd/1", ctest->pid).c_str(),
                                O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 &&
      (S_ISFIFO(status.st_mode) || ::isatty(descriptor) == 1)) {
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
    return descriptor;
  }
  ::close(descriptor);
  return std::nullopt;
}

void show(const Json& results, const Folder& folder, const std::string& mode) {
  const char* variable = std::getenv("CONFORMANCE_TABLE");
  const bool off = variable != nullptr && std::string_view(variable) == "off";
  if (mode == "never" || (mode == "auto" && off)) return;
  const std::optional<int> ctest = mode == "auto" ? output_of_ctest() : std::nullopt;
  if (ctest) {
    print(*ctest, '\n' + table(results, folder.root.native(), wants_colours(*ctest)) + '\n');
    ::close(*ctest);
  } else {
    print(STDOUT_FILENO, table(results, folder.root.native(), wants_colours(STDOUT_FILENO)));
  }
}

int write_reports(const Folder& folder, const std::string& manifests, const std::string& mode) {
  Records records;
  records.run = load_run(folder);
  ensure_same_ctest(records.run);
  records.manifests = load_manifests(manifests, records.warnings);
  records.entries = read_journals(folder, records.run.id, records.warnings);
  records.now = unix_time();
  // Through text once, so that what the files say is what a reader of results.json gets.
  const std::string text =
      judge(records).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  const Json results = Json::parse(text);
  write_file(folder.junit(), junit(results));
  write_file(folder.html(), html(results));
  // Last, because it is what says that the run is complete.
  write_file(folder.results(), text);
  show(results, folder, mode);
  return results.at("verdict") == "conformant" ? kExitPassed : kExitFailed;
}

/// One report of a job from those of its nodes.
int merge_reports(const Folder& folder, const std::vector<std::string>& node_folders,
                  const std::string& rank_folder) {
  std::vector<std::string> warnings;
  std::vector<NodeReport> nodes;
  nodes.reserve(node_folders.size());
  for (const std::string& node : node_folders) nodes.push_back(read_node(node));
  std::optional<std::vector<RankReport>> ranks;
  if (!rank_folder.empty()) ranks = read_ranks(rank_folder, warnings);
  const std::string text =
      merge(nodes, ranks, warnings).dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  const Json results = Json::parse(text);
  std::error_code error;
  std::filesystem::create_directories(folder.root, error);  // write_file says if that failed
  write_file(folder.junit(), junit(results));
  write_file(folder.html(), html(results));
  write_file(folder.results(), text);
  show(results, folder, "always");
  return results.at("verdict") == "conformant" ? kExitPassed : kExitFailed;
}

int run(int argc, char** argv) {
  CLI::App app{"Reports of conformance runs. Exit code: 0 conformant, 1 not, 2 could not run."};
  app.require_subcommand(1);
  std::string folder_option;
  std::string manifests = CONFORMANCE_MANIFEST_DIR;
  std::string mode = "auto";
  std::string file;
  bool select_nothing = false;
  app.add_option("--report", folder_option,
                 "The report's folder (default: $CONFORMANCE_REPORT_DIR, else the build's)");
  CLI::App* begin = app.add_subcommand("begin", "Start a run: forget the last one");
  begin->add_flag("--select-nothing", select_nothing, "No entry was asked for");
  CLI::App* write = app.add_subcommand("write", "Write results.json, junit.xml and index.html");
  write->add_option("--manifests", manifests, "Folder of the build's lists of tests");
  write->add_option("--table", mode, "Print the table: auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  CLI::App* show_command = app.add_subcommand("show", "Print the table of a results.json");
  show_command->add_option("file", file, "results.json (default: that of the report's folder)");
  std::vector<std::string> nodes;
  std::string ranks;
  CLI::App* merge_command =
      app.add_subcommand("merge", "One report of a job from those of its nodes");
  merge_command->add_option("--ranks", ranks, "Folder of the journals of the ranks of all nodes")
      ->check(CLI::ExistingDirectory);
  merge_command->add_option("nodes", nodes, "The report folder of each node, which bears its name")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitPassed : kExitUsage;
  }
  const Folder folder = folder_option.empty() ? report_folder(CONFORMANCE_REPORT_DIR)
                                              : Folder{std::filesystem::absolute(folder_option)};
  if (begin->parsed()) {
    const Run begun = begin_run(folder, CONFORMANCE_SOURCE_DIR, select_nothing);
    fmt::print("run {} reports to {}\n", begun.id, folder.root.native());
    return kExitPassed;
  }
  if (merge_command->parsed()) return merge_reports(folder, nodes, ranks);
  if (write->parsed()) return write_reports(folder, manifests, mode);
  const std::filesystem::path path =
      file.empty() ? folder.results() : std::filesystem::absolute(file);
  const Json results = load_results(path);
  show(results, {path.parent_path()}, "always");
  return results.at("verdict") == "conformant" ? kExitPassed : kExitFailed;
}

}  // namespace
}  // namespace conformance::report

int main(int argc, char** argv) {
  // A reader of the table who leaves early must not end us before the exit code is known.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return conformance::report::run(argc, argv);
  } catch (const nlohmann::json::exception& error) {
    std::fprintf(stderr, "conformance-report: results.json lacks something: %s\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "conformance-report: %s\n", error.what());
  }
  return conformance::kExitUsage;
}
