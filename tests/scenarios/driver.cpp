// Runs scenarios: each describes a simulated machine with faults, and what the suites must say of
// it.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
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
  unsigned jobs = 1;
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

/// Removes, writes and links as the scenario says, and insists that each step changes something: a
/// fault that was there before is no fault.
void apply(const FileEdits& edits, const fs::path& root, const fs::path& work) {
  const auto resolve = [&](const std::string& text) {
    std::string result = text;
    const auto replace = [&](const std::string& name, const std::string& value) {
      for (std::size_t at = result.find(name); at != std::string::npos;
           at = result.find(name, at + value.size())) {
        result.replace(at, name.size(), value);
      }
    };
    replace("@WORK@", work.string());
    return result;
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

/// A toolkit tree of links, as a merged CUDA_PATH in the Nix store has it, whose libraries are the
/// simulator's.
void make_toolkit(const fs::path& tree, const Options& options) {
  fs::create_directories(tree / "lib");
  for (const char* folder : {"bin", "include", "nvvm"}) {
    const fs::path source = fs::path(options.toolkit) / folder;
    if (!fs::is_directory(source)) continue;
    fs::create_directories(tree / folder);
    for (const fs::directory_entry& entry : fs::directory_iterator(source)) {
      fs::create_symlink(entry.path(), tree / folder / entry.path().filename());
    }
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(options.simulator)) {
    fs::create_symlink(entry.path(), tree / "lib" / entry.path().filename());
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
    fs::create_directories(work);
    const fs::path toolkit = work / "store/cuda-merged";
    make_toolkit(toolkit, options);
    write_file(work / "machine.json", scenario.machine_text);

    const auto in_simulator = [&](std::vector<std::string> argv) {
      ChildOptions child;
      child.argv = std::move(argv);
      child.environment["CONFORMANCE_SIM_MACHINE"] = (work / "machine.json").string();
      return child;
    };
    const ChildResult root = run_child(
        in_simulator({options.build + "/tests/simulator/conformance-sim-root", work / "host"}));
    if (!root.succeeded()) {
      throw std::runtime_error(
          fmt::format("conformance-sim-root {}: {}", root.describe(), root.error));
    }
    apply(scenario.host, work / "host", work);
    apply(scenario.toolkit, toolkit, work);

    // CTest writes beside its test files, so each run gets a folder of its own that leads to the
    // build's.
    write_file(work / "ctest/CTestTestfile.cmake",
               fmt::format("subdirs({} {})\n", quoted(options.build + "/ci"),
                           quoted(options.build + "/suites")));
    ChildOptions run = in_simulator({options.ctest, "--test-dir", work / "ctest", "-j2"});
    run.argv.insert(run.argv.end(), scenario.arguments.begin(), scenario.arguments.end());
    run.deadline = std::chrono::seconds(300);
    run.merge_streams = true;
    run.environment.merge(std::map<std::string, std::optional<std::string>>{
        {"CONFORMANCE_SIM_FIRED", work / "fired"},
        {"CONFORMANCE_SIMULATED", "1"},
        {"CONFORMANCE_HOST_ROOT", work / "host"},
        {"CONFORMANCE_REPORT_DIR", work / "report"},
        {"CONFORMANCE_TABLE", "off"},
        {"CONFORMANCE_CUDA_ORIGIN", "nix"},
        {"CONFORMANCE_LEVEL", "standard"},
        {"NIX_STORE", work / "store"},
        {"CUDA_PATH", toolkit.string()},
        {"CUDA_VISIBLE_DEVICES", std::nullopt},
        {"LD_LIBRARY_PATH", (toolkit / "lib").string()}});
    for (const auto& [name, value] : scenario.environment) {
      std::optional<std::string> text = value;
      if (text) {
        for (std::size_t at = text->find("@WORK@"); at != std::string::npos;
             at = text->find("@WORK@")) {
          text->replace(at, 6, work.string());
        }
      }
      run.environment[name] = text;
    }
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

/// Writes which scenario fails which test and produces which finding; yields what none does.
std::vector<std::string> write_coverage(const std::string& path, const Catalogue& catalogue,
                                        const std::vector<Outcome>& outcomes) {
  std::map<std::string, std::vector<std::string>> by_test, by_finding;
  for (const Outcome& outcome : outcomes) {
    for (const std::string& test : outcome.failed) by_test[test].push_back(outcome.name);
    for (const std::string& code : outcome.findings) by_finding[code].push_back(outcome.name);
  }
  std::vector<std::string> gaps;
  std::string text = "# Coverage\n\nWritten by the scenario driver; see README.md.\n\n";
  const auto table = [&](const char* what, const std::set<std::string>& rows,
                         std::map<std::string, std::vector<std::string>>& by_row) {
    text += fmt::format("| {} | scenarios |\n|---|---|\n", what);
    for (const std::string& row : rows) {
      std::vector<std::string>& names = by_row[row];
      std::sort(names.begin(), names.end());
      text += fmt::format("| {} | {} |\n", row, fmt::join(names, ", "));
      if (names.empty()) gaps.push_back(fmt::format("no scenario covers {} {}", what, row));
    }
    text += '\n';
  };
  table("test", catalogue.tests, by_test);
  table("finding", catalogue.findings, by_finding);
  write_file(path, text);
  return gaps;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app{
      "Runs scenarios on the simulator and compares what the suites say with what they must"};
  app.add_option("scenarios", options.files, "Scenario files")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--build", options.build, "Build folder")->required();
  app.add_option("--simulator", options.simulator, "Folder of the simulator's libraries")
      ->required();
  app.add_option("--toolkit", options.toolkit, "CUDA toolkit for headers and tools")->required();
  app.add_option("--ctest", options.ctest, "The ctest program")->required();
  app.add_option("--work", options.work, "Scratch folder; what failed stays there")->required();
  app.add_option("--coverage", options.coverage,
                 "Write the coverage table here, and fail if a test or finding has no scenario");
  app.add_option("--jobs", options.jobs, "How many scenarios run side by side")
      ->check(CLI::Range(1, 256));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
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
  if (!options.coverage.empty()) gaps = write_coverage(options.coverage, catalogue, outcomes);
  for (const std::string& gap : gaps) fmt::print("GAP  {}\n", gap);
  fmt::print("{} scenarios: {} as expected, {} not; {} coverage gaps\n", outcomes.size(),
             outcomes.size() - static_cast<std::size_t>(failed), failed, gaps.size());
  return failed == 0 && gaps.empty() ? 0 : 1;
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
