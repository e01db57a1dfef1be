// conformance-report: begins a run, turns its journals into the reports, shows them again.

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "ci/report/checked.h"
#include "ci/report/comparison.h"
#include "ci/report/html.h"
#include "ci/report/junit.h"
#include "ci/report/merge.h"
#include "ci/report/metrics.h"
#include "ci/report/policy.h"
#include "ci/report/progress.h"
#include "ci/report/results.h"
#include "ci/report/table.h"
#include "fixtures/command_line.h"
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

/// The policy at that place, for a run on real or simulated GPUs.
Policy policy_for(const std::filesystem::path& path, bool simulated) {
  Policy policy = load_policy(path);
  if (policy.simulated != simulated) {
    throw CannotRun(fmt::format("{} is for {} GPUs, the run uses {} ones", path.native(),
                                policy.simulated ? "simulated" : "real",
                                simulated ? "simulated" : "real"));
  }
  return policy;
}

/// The policy that CONFORMANCE_EXPECT names; nothing if it is not set.
std::optional<Policy> expected_policy(bool simulated) {
  const char* file = std::getenv("CONFORMANCE_EXPECT");
  if (file == nullptr || *file == '\0') return std::nullopt;
  if (*file != '/') {
    throw CannotRun(fmt::format(
        "CONFORMANCE_EXPECT is \"{}\"; it must be an absolute path, because CTest starts each test "
        "in another folder",
        file));
  }
  return policy_for(file, simulated);
}

int record(const std::filesystem::path& path, const std::string& file) {
  const Json results = load_checked_results(path);
  if (results.at("verdict") != "conformant") {
    fmt::print(stderr,
               "conformance-report: the run in {} is not conformant: no policy is recorded\n",
               path.native());
    return kExitFailed;
  }
  write_file(file, to_json(record_policy(results, path.native()))
                           .dump(2, ' ', false, Json::error_handler_t::replace) +
                       '\n');
  fmt::print("the policy of this run is in {}\n", file);
  return kExitPassed;
}

/// What differs between two runs, on the terminal and in the files that were asked for.
int compare_runs(const std::string& before, const std::string& after, const std::string& junit_file,
                 const std::string& html_file) {
  const Json one = load_checked_results(before);
  const Json other = load_checked_results(after);
  const Comparison comparison = is_of_job(one) || is_of_job(other)
                                    ? compare_jobs(one, before, other, after)
                                    : compare(one, before, other, after);
  if (!junit_file.empty()) write_file(junit_file, comparison_junit(comparison));
  if (!html_file.empty()) write_file(html_file, comparison_html(comparison));
  print(STDOUT_FILENO, comparison_text(comparison, wants_colours(STDOUT_FILENO)));
  return comparison.has(Effect::worse) ? kExitFailed : kExitPassed;
}

/// What CTest prints, with a line of how far the run is; until CTest ends, whoever is asked to.
int watch(const Folder& folder) {
  for (const int signal : {SIGINT, SIGHUP, SIGTERM}) std::signal(signal, SIG_IGN);
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::int64_t stress_seconds = 60;
  const std::string given = variable("CONFORMANCE_STRESS_SECONDS");
  std::from_chars(given.data(), given.data() + given.size(), stress_seconds);
  Progress progress(folder, variable("CONFORMANCE_RUN"), std::chrono::seconds(stress_seconds));
  pass_on_with_progress(STDIN_FILENO, STDOUT_FILENO, progress);
  return kExitPassed;
}

/// Writes the reports of `judged` and shows the table; the exit code of its verdict.
int write_files(const Json& judged, const Folder& folder, const std::string& mode) {
  // Through text once, so that what the files say is what a reader of results.json gets.
  const std::string text = judged.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
  const Json results = Json::parse(text);
  write_file(folder.junit(), junit(results));
  write_file(folder.html(), html(for_page(results)));
  write_file(folder.metrics(), metrics(results));
  // Last, because it is what says that the run is complete.
  write_file(folder.results(), text);
  show(results, folder, mode);
  return results.at("verdict") == "conformant" ? kExitPassed : kExitFailed;
}

int write_reports(const Folder& folder, const std::string& manifests, const std::string& mode) {
  Records records;
  records.run = load_run(folder);
  ensure_same_ctest(records.run);
  records.manifests = load_manifests(manifests, records.warnings);
  records.entries = read_journals(folder, records.run.id, records.warnings);
  records.now = unix_time();
  Json judged = judge(records);
  if (const std::optional<Policy> policy = expected_policy(records.run.simulated)) {
    judged = enforce(*policy, std::move(judged));
  }
  return write_files(judged, folder, mode);
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
  std::error_code error;
  std::filesystem::create_directories(folder.root, error);  // write_file says if that failed
  return write_files(merge(nodes, ranks, warnings), folder, "always");
}

int run(int argc, char** argv) {
  CommandLine app{"Reports of conformance runs. Exit code: 0 conformant, 1 not, 2 could not run."};
  std::string folder_option;
  std::string manifests = home() / "manifest";
  std::string mode = "auto";
  std::string file;
  std::string source;
  bool select_nothing = false;
  app.option("--report", folder_option,
             "The report's folder (default: $CONFORMANCE_REPORT_DIR, else the build's)");
  CommandLine& begin = app.command("begin", "Start a run: forget the last one");
  begin.option("--source", source, "The project's folder, where CTest's presets are");
  begin.flag("--select-nothing", select_nothing, "No entry was asked for");
  CommandLine& write =
      app.command("write", "Write results.json, junit.xml, index.html and metrics.prom");
  write.option("--manifests", manifests, "Folder of the build's lists of tests");
  write.option("--table", mode, "Print the table: auto, always or never")
      .one_of({"auto", "always", "never"});
  CommandLine& show_command = app.command("show", "Print the table of a results.json");
  show_command.option("file", file, "results.json (default: that of the report's folder)");
  std::vector<std::string> nodes;
  std::string ranks;
  CommandLine& merge_command = app.command("merge", "One report of a job from those of its nodes");
  merge_command.option("--ranks", ranks, "Folder of the journals of the ranks of all nodes")
      .existing_folder();
  merge_command.option("nodes", nodes, "The report folder of each node, which bears its name")
      .required();
  std::string policy;
  bool simulated = false;
  CommandLine& check = app.command("check-policy", "Say what is wrong with a policy, if anything");
  check.option("policy", policy, "The policy").required();
  check.flag("--simulated", simulated, "It is for a run on simulated GPUs")
      .from_variable("CONFORMANCE_SIMULATED");
  CommandLine& record_command =
      app.command("record", "Write the policy that a conformant run keeps");
  record_command.option("policy", policy, "Where it goes").required();
  record_command.option("results", file, "results.json (default: that of the report's folder)");
  std::string before;
  std::string after;
  std::string junit_file;
  std::string html_file;
  CommandLine& compare_command =
      app.command("compare", "Compare two results.json: 0 same or better, 1 something got worse");
  compare_command.option("before", before, "results.json of the earlier run").required();
  compare_command.option("after", after, "results.json of the later run").required();
  compare_command.option("--junit", junit_file, "Write the comparison as JUnit's XML");
  compare_command.option("--html", html_file, "Write the comparison as a page");
  CommandLine& watch_command = app.command(
      "watch", "Pass CTest's output on to the terminal, with a line of how far the run is");
  if (const auto end = app.read(argc, argv)) return *end;
  const Folder folder = folder_option.empty() ? report_folder(home() / "report")
                                              : Folder{std::filesystem::absolute(folder_option)};
  if (begin.given()) {
    const Run begun = begin_run(folder, source, select_nothing);
    expected_policy(begun.simulated);  // a wrong policy is said now, not after the whole run
    fmt::print("run {} reports to {}\n", begun.id, folder.root.native());
    return kExitPassed;
  }
  if (merge_command.given()) return merge_reports(folder, nodes, ranks);
  if (compare_command.given()) return compare_runs(before, after, junit_file, html_file);
  if (check.given()) {
    policy_for(policy, simulated);
    return kExitPassed;
  }
  if (watch_command.given()) return watch(folder);
  if (write.given()) return write_reports(folder, manifests, mode);
  const std::filesystem::path path =
      file.empty() ? folder.results() : std::filesystem::absolute(file);
  if (record_command.given()) return record(path, policy);
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
