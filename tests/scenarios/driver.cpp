// Runs scenarios: each describes a simulated machine with faults, and what the suites must say of
// it.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fixtures/child.h"
#include "tests/scenarios/scenario.h"

namespace conformance::scenarios {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Options {
  std::vector<std::string> files;
  std::string build;
  std::string simulator;
  std::string toolkit;
  std::string ctest;
  std::string work;
  std::string coverage;
  std::string known_gaps;
  unsigned jobs = 1;
  std::string scenario;              ///< of `exec`
  std::vector<std::string> command;  ///< of `exec`
};

struct Outcome {
  std::string name;
  std::vector<std::string> problems;
  std::set<std::string> failed;    ///< tests this scenario failed, as expected and seen
  std::set<std::string> findings;  ///< codes it produced
  double seconds = 0;
};

/// What the build holds: every test, by layer, and every finding code.
struct Catalogue {
  std::set<std::string> tests;
  std::set<std::string> findings;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read {}", path.string()));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) throw std::runtime_error(fmt::format("cannot write {}", path.string()));
}

Catalogue read_catalogue(const fs::path& build) {
  Catalogue catalogue;
  for (const fs::directory_entry& entry : fs::directory_iterator(build / "manifest")) {
    if (entry.path().extension() != ".json") continue;
    const Json manifest = Json::parse(read_file(entry.path()));
    for (const Json& group : manifest.at("entries")) {
      for (const Json& test : group.at("tests")) catalogue.tests.insert(test.get<std::string>());
    }
    for (const Json& finding : manifest.at("findings")) {
      catalogue.findings.insert(finding.at("code").get<std::string>());
    }
  }
  return catalogue;
}

/// "peer.*" stands for every test whose name begins with "peer."; without a star, the test itself.
std::set<std::string> expand(const std::vector<std::string>& patterns, const Catalogue& catalogue) {
  std::set<std::string> tests;
  for (const std::string& pattern : patterns) {
    const std::size_t before = tests.size();
    if (pattern.ends_with("*")) {
      const std::string prefix = pattern.substr(0, pattern.size() - 1);
      for (const std::string& test : catalogue.tests) {
        if (test.starts_with(prefix)) tests.insert(test);
      }
    } else if (catalogue.tests.contains(pattern)) {
      tests.insert(pattern);
    }
    if (tests.size() == before) {
      throw std::runtime_error(fmt::format("expected test {} is not in any suite", pattern));
    }
  }
  return tests;
}

void replace_all(std::string& text, const std::string& name, const std::string& value) {
  for (std::size_t at = text.find(name); at != std::string::npos;
       at = text.find(name, at + value.size())) {
    text.replace(at, name.size(), value);
  }
}

/// Removes, writes and links as the scenario says, and insists that each step changes something: a
/// fault that was there before is no fault.
void apply(const FileEdits& edits, const fs::path& root, const fs::path& work) {
  const auto resolve = [&](std::string text) {
    replace_all(text, "@WORK@", work.string());
    return text;
  };
  for (const std::string& path : edits.remove) {
    if (fs::remove_all(root / path) == 0) {
      throw std::runtime_error(fmt::format("nothing to remove at {}", (root / path).string()));
    }
  }
  for (const auto& [path, text] : edits.write) {
    const fs::path target = root / path;
    if (fs::exists(target) && read_file(target) == text) {
      throw std::runtime_error(fmt::format("{} holds that text already", target.string()));
    }
    fs::remove(target);  // never through a link into the toolkit
    write_file(target, resolve(text));
  }
  for (const auto& [path, target] : edits.link) {
    const fs::path link = root / path;
    fs::create_directories(link.parent_path());
    fs::remove_all(link);
    fs::create_symlink(resolve(target), link);
  }
}

constexpr std::string_view kDriverLibraries[] = {"libcuda", "libnvidia-ml",
                                                 "libnvidia-ptxjitcompiler"};

/// The driver's libraries as an installation has them: files that carry the version in their names,
/// and links. Hard links, because the loader must see these names and not the build's.
void make_driver(const fs::path& folder, const std::string& version, const Options& options) {
  fs::create_directories(folder);
  for (const std::string_view name : kDriverLibraries) {
    const std::string file = fmt::format("{}.so.{}", name, version);
    fs::create_hard_link(fs::path(options.simulator) / fmt::format("{}.so.1", name), folder / file);
    fs::create_symlink(file, folder / fmt::format("{}.so.1", name));
    fs::create_symlink(fmt::format("{}.so.1", name), folder / fmt::format("{}.so", name));
  }
}

/// A toolkit as a merged CUDA_PATH in the Nix store: the host's tools and headers by links, the
/// simulator's libraries, and links to the driver's.
void make_toolkit(const fs::path& tree, const fs::path& driver, const Options& options) {
  fs::create_directories(tree / "lib");
  for (const char* folder : {"bin", "include", "nvvm"}) {
    const fs::path source = fs::path(options.toolkit) / folder;
    if (!fs::is_directory(source)) continue;
    fs::create_directories(tree / folder);
    for (const fs::directory_entry& entry : fs::directory_iterator(source)) {
      fs::create_symlink(entry.path(), tree / folder / entry.path().filename());
    }
  }
  const auto link = [&](const fs::path& target, const fs::path& name) {
    if (!fs::exists(fs::symlink_status(tree / "lib" / name))) {
      fs::create_symlink(target, tree / "lib" / name);
    }
  };
  for (const fs::directory_entry& entry : fs::directory_iterator(driver)) {
    link(entry.path(), entry.path().filename());
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(options.simulator)) {
    // Hard links: what CUDA_PATH holds must lie in the store.
    if (const fs::path file = tree / "lib" / entry.path().filename();
        !fs::exists(fs::symlink_status(file))) {
      fs::create_hard_link(entry.path(), file);
    }
    // libcudart.so.13 -> libcudart.so, as development packages have it.
    link(entry.path().filename(), entry.path().stem().stem().string() + ".so");
  }
  // The distribution's NCCL header, where the toolkit brings none.
  if (!fs::exists(tree / "include/nccl.h") && fs::exists("/usr/include/nccl.h")) {
    fs::create_symlink("/usr/include/nccl.h", tree / "include/nccl.h");
  }
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '$') result += '\\';
    result += c;
  }
  return result + '"';
}

/// A test file for CTest with every entry of the build. CTest writes beside its test files, so each
/// run gets one of its own; the build's are included, since CTest would change into subfolders.
std::string test_files(const Options& options) {
  std::string text =
      fmt::format("include({})\n", quoted(options.build + "/ci/CTestTestfile.cmake"));
  for (const fs::directory_entry& layer : fs::directory_iterator(options.build + "/suites")) {
    const fs::path file = layer.path() / "CTestTestfile.cmake";
    if (fs::is_regular_file(file)) text += fmt::format("include({})\n", quoted(file.string()));
  }
  return text;
}

using Environment = std::map<std::string, std::optional<std::string>>;

/// Makes the scenario's host, driver, toolkit and test file under `work`, which must not exist, and
/// yields the environment in which the suites meet them.
Environment prepare(const Scenario& scenario, const fs::path& work, const Options& options) {
  fs::create_directories(work);
  write_file(work / "machine.json", scenario.machine_text);
  Environment environment{{"CONFORMANCE_SIM_MACHINE", work / "machine.json"},
                          {"CONFORMANCE_SIM_GPUS", "2"},
                          {"CONFORMANCE_SIM_FIRED", work / "fired"}};
  ChildOptions root;
  root.argv = {options.build + "/tests/simulator/conformance-sim-root", work / "host"};
  root.environment = environment;
  const ChildResult made = run_child(root);
  if (!made.succeeded()) {
    throw std::runtime_error(
        fmt::format("conformance-sim-root {}: {}", made.describe(), made.error));
  }
  std::string version = read_file(work / "host/sys/module/nvidia/version");
  version.erase(version.find_last_not_of('\n') + 1);
  const fs::path driver = work / "driver";
  const fs::path toolkit = work / "store/cuda-merged";
  write_file(work / "ctest/CTestTestfile.cmake", test_files(options));
  make_driver(driver, version, options);
  make_toolkit(toolkit, driver, options);
  apply(scenario.host, work / "host", work);
  apply(scenario.driver, driver, work);
  apply(scenario.toolkit, toolkit, work);

  environment.merge(Environment{{"CONFORMANCE_SIMULATED", "1"},
                                {"CONFORMANCE_HOST_ROOT", work / "host"},
                                {"CONFORMANCE_CUDA_ORIGIN", "nix"},
                                {"NIX_STORE", work / "store"},
                                {"CUDA_PATH", toolkit.string()},
                                {"CUDA_VISIBLE_DEVICES", std::nullopt},
                                {"CUDA_DEVICE_ORDER", std::nullopt},
                                {"LD_LIBRARY_PATH", (toolkit / "lib").string()},
                                // For whoever opens the simulated runtime late, as a program that
                                // asks for its version does: its thread-local memory is large.
                                {"GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=4194304"}});
  for (const auto& [name, value] : scenario.environment) {
    std::optional<std::string> text = value;
    if (text) replace_all(*text, "@WORK@", work.string());
    environment[name] = text;
  }
  return environment;
}

std::string joined(const std::set<std::string>& items) {
  return items.empty() ? "none" : fmt::format("{}", fmt::join(items, ", "));
}

void compare(const char* what, const std::set<std::string>& expected,
             const std::set<std::string>& seen, std::vector<std::string>& problems) {
  std::set<std::string> missing, extra;
  std::set_difference(expected.begin(), expected.end(), seen.begin(), seen.end(),
                      std::inserter(missing, missing.end()));
  std::set_difference(seen.begin(), seen.end(), expected.begin(), expected.end(),
                      std::inserter(extra, extra.end()));
  if (!missing.empty()) {
    problems.push_back(fmt::format("not {} though expected: {}", what, joined(missing)));
  }
  if (!extra.empty()) {
    problems.push_back(fmt::format("{} though not expected: {}", what, joined(extra)));
  }
}

/// Compares a run's results with what the scenario expects.
void judge(const Scenario& scenario, const Json& results, const Catalogue& catalogue,
           Outcome& outcome) {
  std::map<std::string, std::set<std::string>> seen;
  for (const Json& test : results.at("tests")) {
    seen[test.at("outcome").get<std::string>()].insert(test.at("name").get<std::string>());
  }
  for (const auto& [kind, patterns] : scenario.expected) {
    compare(kind.c_str(), expand(patterns, catalogue), seen[kind], outcome.problems);
  }
  for (const char* kind : {"failed", "slow", "crashed", "timed-out", "error"}) {
    outcome.failed.insert(seen[kind].begin(), seen[kind].end());
  }
  for (const Json& finding : results.at("findings")) {
    outcome.findings.insert(finding.at("code").get<std::string>());
  }
  const std::string first = results.at("findings").empty()
                                ? ""
                                : results.at("findings").at(0).at("code").get<std::string>();
  if (first != scenario.first_finding) {
    outcome.problems.push_back(
        fmt::format("first finding is {}, expected {}", first.empty() ? "none" : first,
                    scenario.first_finding.empty() ? "none" : scenario.first_finding));
  }
  if (!scenario.first_subject.empty() && !results.at("findings").empty()) {
    const std::string subject =
        results.at("findings").at(0).at("subject").at("name").get<std::string>();
    if (subject.find(scenario.first_subject) == std::string::npos) {
      outcome.problems.push_back(fmt::format("first finding speaks of \"{}\", expected \"{}\"",
                                             subject, scenario.first_subject));
    }
  }
  const std::string verdict = results.at("verdict").get<std::string>();
  const std::string expected_verdict = scenario.healthy() ? "conformant" : "not-conformant";
  if (verdict != expected_verdict) {
    outcome.problems.push_back(
        fmt::format("the verdict is {}, expected {}", verdict, expected_verdict));
  }
}

/// Each fault of the machine must have fired, or the scenario proves nothing.
void check_fired(const Scenario& scenario, const fs::path& fired_file, Outcome& outcome) {
  std::set<std::string> fired;
  if (fs::exists(fired_file)) {
    std::istringstream lines(read_file(fired_file));
    for (std::string line; std::getline(lines, line);) fired.insert(line.substr(0, line.find(' ')));
  }
  for (std::size_t i = 0; i < scenario.faults; ++i) {
    if (!fired.contains(std::to_string(i))) {
      outcome.problems.push_back(fmt::format("fault {} never fired", i));
    }
  }
}

Outcome run_scenario(const std::string& file, const Options& options, const Catalogue& catalogue) {
  Outcome outcome;
  outcome.name = fs::path(file).stem().string();
  const auto start = std::chrono::steady_clock::now();
  try {
    const Scenario scenario = read_scenario(file);
    const fs::path work = fs::path(options.work) / outcome.name;
    fs::remove_all(work);
    ChildOptions run;
    run.environment = prepare(scenario, work, options);
    run.argv = {options.ctest, "--test-dir", work / "ctest", "-j2"};
    run.argv.insert(run.argv.end(), scenario.arguments.begin(), scenario.arguments.end());
    run.deadline = std::chrono::seconds(300);
    run.merge_streams = true;
    run.environment.merge(Environment{{"CONFORMANCE_REPORT_DIR", work / "report"},
                                      {"CONFORMANCE_TABLE", "off"},
                                      {"CONFORMANCE_LEVEL", "standard"}});
    const ChildResult ran = run_child(run);
    write_file(work / "ctest.log", ran.output);
    if (ran.end != ChildResult::End::exited) {
      throw std::runtime_error(
          fmt::format("ctest {}; see {}", ran.describe(), (work / "ctest.log").string()));
    }
    judge(scenario, Json::parse(read_file(work / "report/results.json")), catalogue, outcome);
    check_fired(scenario, work / "fired", outcome);
    if (outcome.problems.empty()) fs::remove_all(work);
  } catch (const std::exception& error) {
    outcome.problems.push_back(error.what());
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

/// Writes which scenario fails which test and produces which finding; yields what none does, unless
/// the file of known gaps says why, and what that file says without need.
std::vector<std::string> write_coverage(const Options& options, const Catalogue& catalogue,
                                        const std::vector<Outcome>& outcomes) {
  std::map<std::string, std::vector<std::string>> by_test, by_finding;
  for (const Outcome& outcome : outcomes) {
    for (const std::string& test : outcome.failed) by_test[test].push_back(outcome.name);
    for (const std::string& code : outcome.findings) by_finding[code].push_back(outcome.name);
  }
  std::map<std::string, std::string> known;
  if (!options.known_gaps.empty()) {
    known = Json::parse(read_file(options.known_gaps)).get<std::map<std::string, std::string>>();
  }
  std::vector<std::string> gaps;
  std::string text = "# Coverage\n\nWritten by the scenario driver; see README.md.\n\n";
  const auto table = [&](const char* what, const std::set<std::string>& rows,
                         std::map<std::string, std::vector<std::string>>& by_row) {
    text += fmt::format("| {} | scenarios |\n|---|---|\n", what);
    for (const std::string& row : rows) {
      std::vector<std::string>& names = by_row[row];
      std::sort(names.begin(), names.end());
      const auto gap = known.find(row);
      if (names.empty() && gap != known.end()) {
        text += fmt::format("| {} | none: {} |\n", row, gap->second);
      } else {
        text += fmt::format("| {} | {} |\n", row, fmt::join(names, ", "));
        if (names.empty()) gaps.push_back(fmt::format("no scenario covers {} {}", what, row));
      }
      if (!names.empty() && gap != known.end()) {
        gaps.push_back(fmt::format("{} {} is covered, but listed as a known gap", what, row));
      }
      known.erase(row);
    }
    text += '\n';
  };
  table("test", catalogue.tests, by_test);
  table("finding", catalogue.findings, by_finding);
  for (const auto& [name, reason] : known) {
    gaps.push_back(fmt::format("the known gap {} is neither a test nor a finding", name));
  }
  write_file(options.coverage, text);
  return gaps;
}

/// `exec`: runs a command on a prepared scenario, or on a healthy machine, and yields its exit
/// code.
int run_command(const Options& options) {
  Scenario scenario;
  if (!options.scenario.empty()) {
    scenario = read_scenario(options.scenario);
  } else {
    scenario.machine_text = "{}";
  }
  fs::remove_all(options.work);
  Environment environment = prepare(scenario, options.work, options);
  // The number of GPUs that the caller asked for, where the scenario does not say.
  if (const char* gpus = std::getenv("CONFORMANCE_SIM_GPUS"); gpus != nullptr) {
    environment["CONFORMANCE_SIM_GPUS"] = gpus;
  }
  for (const auto& [name, value] : environment) {
    if (value) {
      ::setenv(name.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name.c_str());
    }
  }
  std::vector<std::string> arguments = options.command;
  arguments.insert(arguments.end(), scenario.arguments.begin(), scenario.arguments.end());
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  throw std::runtime_error(fmt::format("cannot run {}: {}", arguments[0], std::strerror(errno)));
}

int run_all(const Options& options) {
  const Catalogue catalogue = read_catalogue(options.build);
  std::vector<Outcome> outcomes(options.files.size());
  std::atomic<std::size_t> next{0};
  std::mutex print_mutex;
  {
    std::vector<std::jthread> workers;
    for (unsigned job = 0; job < options.jobs; ++job) {
      workers.emplace_back([&] {
        for (std::size_t i = next++; i < options.files.size(); i = next++) {
          outcomes[i] = run_scenario(options.files[i], options, catalogue);
          const std::lock_guard lock(print_mutex);
          fmt::print("{} {} ({:.1f} s)\n", outcomes[i].problems.empty() ? "ok  " : "FAIL",
                     outcomes[i].name, outcomes[i].seconds);
          for (const std::string& problem : outcomes[i].problems) fmt::print("     {}\n", problem);
          std::fflush(stdout);
        }
      });
    }
  }
  const auto failed = std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) {
    return !outcome.problems.empty();
  });
  std::vector<std::string> gaps;
  if (!options.coverage.empty()) gaps = write_coverage(options, catalogue, outcomes);
  for (const std::string& gap : gaps) fmt::print("GAP  {}\n", gap);
  fmt::print("{} scenarios: {} as expected, {} not; {} coverage gaps\n", outcomes.size(),
             outcomes.size() - static_cast<std::size_t>(failed), failed, gaps.size());
  return failed == 0 && gaps.empty() ? 0 : 1;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app{"Simulated machines with faults, and what the suites say of them"};
  app.require_subcommand(1);
  app.add_option("--build", options.build, "Build folder")->required();
  app.add_option("--simulator", options.simulator, "Folder of the simulator's libraries")
      ->required();
  app.add_option("--toolkit", options.toolkit, "CUDA toolkit for headers and tools")->required();
  app.add_option("--work", options.work, "Scratch folder; what failed stays there")->required();
  CLI::App* all = app.add_subcommand(
      "run", "Runs scenarios and compares what the suites say with what they must");
  all->add_option("scenarios", options.files, "Scenario files")
      ->required()
      ->check(CLI::ExistingFile);
  all->add_option("--ctest", options.ctest, "The ctest program")->required();
  all->add_option("--coverage", options.coverage,
                  "Write the coverage table here, and fail if a test or finding has no scenario");
  all->add_option("--known-gaps", options.known_gaps,
                  "JSON object: test or finding without a scenario -> why there is none")
      ->check(CLI::ExistingFile);
  all->add_option("--jobs", options.jobs, "How many scenarios run side by side")
      ->check(CLI::Range(1, 256));
  CLI::App* one = app.add_subcommand("exec", "Runs a command on a simulated machine");
  one->add_option("--scenario", options.scenario, "Scenario file; without it a healthy machine")
      ->check(CLI::ExistingFile);
  one->add_option("command", options.command, "The command and its arguments")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.build = fs::absolute(options.build).string();
  options.work = fs::absolute(options.work).string();
  return all->parsed() ? run_all(options) : run_command(options);
}

}  // namespace
}  // namespace conformance::scenarios

int main(int argc, char** argv) {
  try {
    return conformance::scenarios::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "scenarios: {}\n", error.what());
    return 2;
  }
}
