// Runs scenarios: each describes a simulated machine with faults, and what the suites must say of
// it.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
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
#include <tuple>
#include <utility>
#include <vector>

#include <gnu/lib-names.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ci/report/folder.h"
#include "fixtures/child.h"
#include "fixtures/command_line.h"
#include "fixtures/compatibility.h"
#include "fixtures/library.h"
#include "fixtures/program.h"
#include "fixtures/toolkit.h"
#include "fixtures/version.h"
#include "tests/scenarios/coverage.h"
#include "tests/scenarios/scenario.h"
#include "tests/support/scratch.h"
#include "tests/support/suite_run.h"

namespace conformance::scenarios {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using report::read_file;
using support::Environment;
using support::write_scratch;

/// What the waits of the suites are multiplied by (fixtures/deadline.h): simulated work is small,
/// and whoever hangs is to be given up soon.
constexpr double kDeadlineScale = 0.25;

struct Options {
  std::vector<std::string> files;
  std::string build;
  std::string simulator;
  std::string toolkit;
  std::string ctest;
  std::string work;
  std::string coverage;
  std::string field_faults;
  unsigned jobs = 1;
  std::size_t memory_mib = 4096;
  double slowdown = 1;
  bool every_layer = false;
  std::string scenario;              ///< of `exec`
  std::vector<std::string> command;  ///< of `exec`
};

bool expects_of(const Scenario& scenario, std::string_view layer) {
  return std::ranges::any_of(scenario.expected, [&](const auto& kind) {
    return std::ranges::any_of(kind.second,
                               [&](const auto& test) { return test.starts_with(layer); });
  });
}

/// Whether a scenario runs all entries of its level.
bool runs_every_layer(const Scenario& scenario, const Options& options) {
  return scenario.dummy || scenario.healthy() || options.every_layer;
}

/// Entries that run what takes longer than all other small ones together, nvcc, mpirun, CMake and
/// Python: not for scenarios that expect nothing of them by name.
std::vector<std::string_view> left_out(const Scenario& scenario, const Options& options) {
  if (!scenario.arguments.empty() || scenario.dummy || options.every_layer) return {};
  // A test of its own runs the toolchain layer.
  if (scenario.healthy()) return {"toolchain.Consumers", "toolchain.Extension"};
  std::vector<std::string_view> entries{"environment.Compiler", "nccl.Mpi", "toolchain.Consumers",
                                        "toolchain.Extension"};
  std::erase_if(entries, [&](std::string_view entry) {
    return expects_of(scenario, fmt::format("{}.", entry));
  });
  return entries;
}

/// "peer.*" stands for every test that the scenario's run has whose name begins with "peer.";
/// without a star, the test itself.
std::set<std::string> expand(const std::vector<std::string>& patterns, const Catalogue& catalogue,
                             const Scenario& scenario, const Options& options) {
  const std::vector<std::string_view> without = left_out(scenario, options);
  const auto runs = [&](const std::string& test, const std::string& level) {
    return (level == "quick" || level == scenario.level) &&
           std::ranges::none_of(without, [&](std::string_view entry) {
             return test.starts_with(fmt::format("{}.", entry));
           });
  };
  std::set<std::string> tests;
  for (const std::string& pattern : patterns) {
    const std::size_t before = tests.size();
    if (pattern.ends_with("*")) {
      const std::string prefix = pattern.substr(0, pattern.size() - 1);
      for (const auto& [test, of] : catalogue.tests) {
        if (test.starts_with(prefix) && runs(test, of)) tests.insert(test);
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

/// The file of the C library that this process, and any other, has loaded.
std::string c_library() { return Library::open(LIBC_SO).real_path(); }

/// The Python of scenarios, and packages that stand in for frameworks.
std::string standins(const Options& options) { return options.build + "/tests/frameworks"; }

/// The release of the build's toolkit, which is that of its headers.
ToolkitVersion toolkit_release(const Options& options) {
  const auto release = Toolkit(options.toolkit, true).release();
  if (!release) throw std::runtime_error(fmt::format("{} has no cuda.h", options.toolkit));
  return *release;
}

/// Removes, writes, links and copies as the scenario says, and insists that each step changes
/// something: a fault that was there before is no fault.
void apply(const FileEdits& edits, const fs::path& root, const fs::path& work,
           const Options& options) {
  const auto resolve = [&](std::string text) {
    replace_all(text, "@WORK@", work.string());
    replace_all(text, "@LIBC@", c_library());
    replace_all(text, "@TOOLKIT@", options.toolkit);
    replace_all(text, "@STANDINS@", standins(options));
    replace_all(text, "@MAJOR@", std::to_string(toolkit_release(options).major));
    return text;
  };
  // A folder that is a link would lead out of the tree, and the change would be one of the host.
  const auto place = [&](const std::string& path) {
    const fs::path full = root / resolve(path);
    if (!lies_in(fs::weakly_canonical(full.parent_path()).string(), fs::canonical(root).string())) {
      throw std::runtime_error(fmt::format("{} is outside of the tree", full.string()));
    }
    return full;
  };
  for (const std::string& path : edits.remove) {
    if (fs::remove_all(place(path)) == 0) {
      throw std::runtime_error(fmt::format("nothing to remove at {}", (root / path).string()));
    }
  }
  for (const auto& [path, text] : edits.write) {
    const fs::path target = place(path);
    if (fs::exists(target) && fs::file_size(target) == text.size() && read_file(target) == text) {
      throw std::runtime_error(fmt::format("{} holds that text already", target.string()));
    }
    fs::remove(target);  // never through a link into the toolkit
    write_scratch(target, resolve(text));
    if (text.starts_with("#!")) {
      fs::permissions(target, fs::perms::owner_exec, fs::perm_options::add);
    }
  }
  for (const auto& [path, target] : edits.link) {
    const fs::path link = place(path);
    fs::create_directories(link.parent_path());
    fs::remove_all(link);
    fs::create_symlink(resolve(target), link);
  }
  for (const auto& [path, source] : edits.copy) {
    const fs::path target = place(path);
    if (fs::exists(target) && fs::file_size(target) == fs::file_size(resolve(source)) &&
        read_file(target) == read_file(resolve(source))) {
      throw std::runtime_error(fmt::format("{} is a copy of that already", target.string()));
    }
    fs::create_directories(target.parent_path());
    fs::remove(target);
    fs::copy_file(resolve(source), target);
  }
}

struct DriverLibrary {
  std::string_view name;
  int interface;
};
constexpr DriverLibrary kDriverLibraries[] = {
    {"libcuda", 1}, {"libnvidia-ml", 1}, {"libnvidia-ptxjitcompiler", 1}, {"libnvidia-nvvm", 4}};

/// The driver's libraries as an installation has them: files that carry the version in their names,
/// and links. Hard links, because the loader must see these names and not the build's.
void make_driver(const fs::path& folder, const std::string& version, const Options& options) {
  fs::create_directories(folder);
  for (const auto& [name, interface] : kDriverLibraries) {
    const std::string file = fmt::format("{}.so.{}", name, version);
    const std::string link = fmt::format("{}.so.{}", name, interface);
    fs::create_hard_link(fs::path(options.simulator) / link, folder / file);
    fs::create_symlink(file, folder / link);
    fs::create_symlink(link, folder / fmt::format("{}.so", name));
  }
}

/// A toolkit as a merged CUDA_PATH in the Nix store: the host's tools and headers by links, the
/// simulator's tools and libraries, and links to the driver's.
void make_toolkit(const fs::path& tree, const fs::path& driver, const Options& options) {
  fs::create_directories(tree / "lib");
  for (const char* folder : {"nvvm/lib64", "bin", "include", "nvvm"}) {
    const fs::path source = fs::path(options.toolkit) / folder;
    if (!fs::is_directory(source)) continue;
    fs::create_directories(tree / folder);
    for (const fs::directory_entry& entry : fs::directory_iterator(source)) {
      const fs::path name = tree / folder / entry.path().filename();
      if (!fs::exists(name)) fs::create_symlink(entry.path(), name);
    }
  }
  // Where NVIDIA's packages for distributions have headers and libraries, and their nvcc looks.
  if (const fs::path targets = fs::path(options.toolkit) / "targets"; fs::is_directory(targets)) {
    for (const fs::directory_entry& target : fs::directory_iterator(targets)) {
      const fs::path name = tree / "targets" / target.path().filename();
      fs::create_directories(name);
      for (const char* folder : {"include", "lib"}) {
        fs::create_symlink(fs::path("../..") / folder, name / folder);
      }
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
  // What is linked into programs need not be simulated.
  for (const char* archive : {"libcudart_static.a", "libcudadevrt.a"}) {
    const fs::path source = fs::path(options.toolkit) / "lib64" / archive;
    if (fs::exists(source)) link(source, archive);
  }
  const fs::path tools = fs::path(options.build) / "tests/simulator/toolkit/bin";
  for (const fs::directory_entry& tool : fs::directory_iterator(tools)) {
    const fs::path name = tree / "bin" / tool.path().filename();
    fs::remove(name);
    fs::create_symlink(tool.path(), name);
  }
  // The distribution's NCCL header, where the toolkit brings none.
  if (!fs::exists(tree / "include/nccl.h") && fs::exists("/usr/include/nccl.h")) {
    fs::create_symlink("/usr/include/nccl.h", tree / "include/nccl.h");
  }
}

/// Where ci.Project, a test of this build, builds the dummy suites.
fs::path dummy_build(const Options& options) { return options.build + "/tests/ci/project"; }

/// The value of PATH with a folder before all others.
std::string path_with(const fs::path& folder) {
  const char* const path = std::getenv("PATH");
  return fmt::format("{}:{}", folder.string(), path == nullptr ? "/usr/bin:/bin" : path);
}

/// Where ci/toolkit took another release's nvcc, the machine has one that is of its toolkit's.
Environment foreign_compiler(const Options& options) {
  if (!fs::exists(fs::path(options.toolkit) / "foreign-compiler")) return {};
  const ToolkitVersion release = toolkit_release(options);
  const auto ptx = newest_ptx_of(release);
  return {{"CONFORMANCE_SIM_NVCC_RELEASE", release.text()},
          {"CONFORMANCE_SIM_NVCC_PTX", ptx ? ptx->text() : ""}};
}

/// Makes the scenario's host, driver, toolkit and test file under `work`, which must not exist, and
/// yields the environment in which the suites meet them.
Environment prepare(const Scenario& scenario, const fs::path& work, const Options& options) {
  // What a killed program leaves in its folder for temporary files stays in the build.
  fs::create_directories(work / "tmp");
  if (scenario.dummy) {
    support::write_test_files(work / "ctest", {dummy_build(options) / "CTestTestfile.cmake"});
    return scenario.environment;
  }
  write_scratch(work / "machine.json", scenario.machine_text);
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
  support::write_test_files(work / "ctest", support::suite_test_files(options.build));
  make_driver(driver, version, options);
  make_toolkit(toolkit, driver, options);
  apply(scenario.host, work / "host", work, options);
  apply(scenario.driver, driver, work, options);
  apply(scenario.toolkit, toolkit, work, options);

  environment.merge(
      Environment{{"CONFORMANCE_SIMULATED", "1"},
                  {"CONFORMANCE_HOST_ROOT", work / "host"},
                  {"CONFORMANCE_CUDA_ORIGIN", "nix"},
                  {"NIX_STORE", work / "store"},
                  {"CUDA_PATH", toolkit.string()},
                  {"TMPDIR", work / "tmp"},
                  {"PATH", path_with(toolkit / "bin")},
                  {"CONFORMANCE_SIM_NVCC", fs::canonical(options.toolkit) / "bin/nvcc"},
                  {"CONFORMANCE_SIM_NVCC_RESULTS", options.build + "/tests/simulator/nvcc"},
                  {"CUDA_VISIBLE_DEVICES", std::nullopt},
                  {"CUDA_DEVICE_ORDER", std::nullopt},
                  // Without the frameworks of this host, which need its own CUDA.
                  {"CONFORMANCE_PYTHON", standins(options) + "/python3"},
                  {"PYTHONPATH", std::nullopt},
                  {"LD_LIBRARY_PATH", (toolkit / "lib").string()},
                  {"LD_AUDIT", options.build + "/tests/simulator/libhidden_host_driver.so"},
                  // In a build with sanitizers, LeakSanitizer does not survive an auditor.
                  {"LSAN_OPTIONS", "detect_leaks=0"},
                  // For whoever opens the simulated runtime late, as a program that
                  // asks for its version does: its thread-local memory is large.
                  {"GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=4194304"}});
  environment.merge(foreign_compiler(options));
  for (const auto& [name, value] : scenario.environment) {
    std::optional<std::string> text = value;
    if (text) replace_all(*text, "@WORK@", work.string());
    if (text) replace_all(*text, "@STANDINS@", standins(options));
    if (text) replace_all(*text, "@PATH@", *environment["PATH"]);
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

/// The layers of which a scenario expects something, and those that they stand on.
std::set<std::string> layers_of(const Scenario& scenario, const Catalogue& catalogue) {
  std::set<std::string> layers;
  for (const auto& [kind, patterns] : scenario.expected) {
    for (const std::string& pattern : patterns) {
      layers.merge(catalogue.with_below(pattern.substr(0, pattern.find('.'))));
    }
  }
  return layers;
}

/// The tests that a scenario's run has and does not name, because they stand on a gate that does
/// not pass.
std::set<std::string> blocked_by_gates(const Scenario& scenario, const Catalogue& catalogue,
                                       const Options& options) {
  std::set<std::string> closed;  // layers whose gates do not pass
  for (const auto& [kind, patterns] : scenario.expected) {
    if (kind == "skipped") continue;
    for (const std::string& pattern : patterns) {
      const std::string layer = pattern.substr(0, pattern.find('.'));
      if (pattern == layer + ".*" || pattern.starts_with(layer + ".Gate.")) closed.insert(layer);
    }
  }
  std::vector<std::string> blocked;
  for (const auto& [layer, directly_below] : catalogue.layers) {
    const std::set<std::string> below = catalogue.with_below(layer);
    if (!closed.contains(layer) && std::ranges::any_of(below, [&](const std::string& other) {
          return closed.contains(other);
        })) {
      blocked.push_back(layer + ".*");
    }
  }
  return expand(blocked, catalogue, scenario, options);
}

/// Compares a run's results with what the scenario expects.
void judge(const Scenario& scenario, const Json& results, const Catalogue& catalogue,
           const Options& options, Outcome& outcome) {
  std::map<std::string, std::set<std::string>> seen;
  for (const Json& test : results.at("tests")) {
    seen[test.at("outcome").get<std::string>()].insert(test.at("name").get<std::string>());
  }
  for (const auto& [kind, patterns] : scenario.expected) {
    std::set<std::string> expected = expand(patterns, catalogue, scenario, options);
    if (kind == "blocked" && scenario.arguments.empty() && runs_every_layer(scenario, options)) {
      expected.merge(blocked_by_gates(scenario, catalogue, options));
    }
    compare(kind.c_str(), expected, seen[kind], outcome.problems);
  }
  for (const char* kind : {"failed", "slow", "crashed", "timed-out", "error"}) {
    outcome.failed.insert(seen[kind].begin(), seen[kind].end());
  }
  std::map<std::string, std::string> facts;
  for (const Json& fact : results.at("facts")) {
    facts[fact.at("name").get<std::string>()] = fact.at("value").dump();
  }
  for (const auto& [name, value] : scenario.facts) {
    const auto found = facts.find(name);
    if (found == facts.end() || found->second != value) {
      outcome.problems.push_back(fmt::format("the fact {} is {}, not {}", name,
                                             found == facts.end() ? "missing" : found->second,
                                             value));
    }
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
  if (!results.at("findings").empty()) {
    const Json& finding = results.at("findings").at(0);
    const auto speaks_of = [&](const std::string& text, const std::string& expected) {
      if (text.find(expected) != std::string::npos) return;
      outcome.problems.push_back(
          fmt::format("first finding speaks of \"{}\", expected \"{}\"", text, expected));
    };
    speaks_of(finding.at("subject").at("name").get<std::string>(), scenario.first_subject);
    speaks_of(finding.at("detail").get<std::string>(), scenario.first_detail);
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

/// CTest's arguments that select the entries that a scenario needs.
std::vector<std::string> selection(const Scenario& scenario, const Catalogue& catalogue,
                                   const Options& options) {
  std::vector<std::string> arguments;
  if (scenario.level == "quick") arguments = {"-L", "^quick$"};
  if (!scenario.arguments.empty()) {
    arguments.insert(arguments.end(), scenario.arguments.begin(), scenario.arguments.end());
  } else if (!runs_every_layer(scenario, options)) {
    arguments.insert(
        arguments.end(),
        {"-R", fmt::format("^({})\\.", fmt::join(layers_of(scenario, catalogue), "|"))});
  }
  if (const auto entries = left_out(scenario, options); !entries.empty()) {
    arguments.insert(arguments.end(), {"-E", fmt::format("^({})$", fmt::join(entries, "|"))});
  }
  return arguments;
}

/// How many entries of a scenario CTest runs side by side.
constexpr unsigned kEntries = 2;

/// What one process of a scenario may take of the memory: more than that is a defect of the suite
/// or of the simulator, which is to keep to small GPUs.
/// The suites with their GPUs' memory, or nvcc's compilers, of which those of CUDA 13.5 take 115
/// MiB for an empty source, and those of any CUDA less than 256 for a program.
std::size_t process_mib(const Scenario& scenario) {
  const std::size_t nvcc = expects_of(scenario, "toolchain.Programs.") ? 256 : 128;
  return std::max(nvcc, 64 + 32 * scenario.gpus);
}
std::size_t scenario_mib(const Scenario& scenario) { return kEntries * process_mib(scenario); }

/// What a scenario may take of the processors.
std::chrono::seconds cpu_limit(const Scenario& scenario, const Options& options) {
  return std::chrono::seconds(std::lround((scenario.level == "quick" ? 5 : 20) * options.slowdown));
}

void check_cost(const Scenario& scenario, const Options& options, Outcome& outcome) {
  const auto limit = static_cast<double>(cpu_limit(scenario, options).count());
  if (outcome.cpu_seconds > limit) {
    outcome.problems.push_back(fmt::format("took {:.1f} s of processor time, of {:.0f} allowed",
                                           outcome.cpu_seconds, limit));
  }
  if (static_cast<double>(outcome.peak_mib) >
      static_cast<double>(process_mib(scenario)) * options.slowdown) {
    outcome.problems.push_back(fmt::format("its largest process took {} MiB, of {} allowed",
                                           outcome.peak_mib, process_mib(scenario)));
  }
}

Outcome run_scenario(const Scenario& scenario, const Options& options, const Catalogue& catalogue) {
  Outcome outcome;
  outcome.name = scenario.name;
  outcome.covers = scenario.covers;
  outcome.first_finding = scenario.first_finding;
  const auto start = std::chrono::steady_clock::now();
  try {
    const fs::path work = fs::path(options.work) / outcome.name;
    fs::remove_all(work);
    ChildOptions run;
    run.environment = prepare(scenario, work, options);
    // With a keeper: nothing of a scenario goes on when this program is killed.
    run.argv = {options.build + "/ci/conformance-keep",
                "--parent",
                std::to_string(::getpid()),
                "--cpu-seconds",
                std::to_string(cpu_limit(scenario, options).count()),
                "--",
                options.ctest,
                "--test-dir",
                work / "ctest",
                fmt::format("-j{}", kEntries)};
    const std::vector<std::string> selected = selection(scenario, catalogue, options);
    run.argv.insert(run.argv.end(), selected.begin(), selected.end());
    run.deadline = std::chrono::seconds(std::lround(120 * options.slowdown));
    run.merge_streams = true;
    run.environment.merge(Environment{
        {"CONFORMANCE_REPORT_DIR", work / "report"},
        {"CONFORMANCE_TABLE", "off"},
        {"CONFORMANCE_EXPECT", std::nullopt},
        {"CONFORMANCE_LEVEL", scenario.level},
        {"CONFORMANCE_DEADLINE_SCALE", fmt::format("{}", kDeadlineScale * options.slowdown)}});
    const ChildResult ran = run_child(run);
    outcome.cpu_seconds = ran.cpu_seconds;
    outcome.peak_mib = ran.peak_bytes >> 20U;
    write_scratch(work / "ctest.log", ran.output);
    if (ran.end != ChildResult::End::exited) {
      throw std::runtime_error(
          fmt::format("ctest {}; see {}", ran.describe(), (work / "ctest.log").string()));
    }
    judge(scenario, Json::parse(read_file(work / "report/results.json")), catalogue, options,
          outcome);
    check_fired(scenario, work / "fired", outcome);
    check_cost(scenario, options, outcome);
    if (outcome.problems.empty()) fs::remove_all(work);
  } catch (const std::exception& error) {
    outcome.problems.push_back(error.what());
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
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

/// Memory that scenarios share: each takes its part while it runs.
class Budget {
 public:
  explicit Budget(std::size_t mib) : free_(mib), all_(mib) {}
  void take(std::size_t mib) {
    std::unique_lock lock(mutex_);
    // One that is larger than everything gets everything.
    changed_.wait(lock, [&] { return free_ >= std::min(mib, all_); });
    free_ -= std::min(mib, all_);
  }
  void give(std::size_t mib) {
    const std::lock_guard lock(mutex_);
    free_ += std::min(mib, all_);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t free_;
  const std::size_t all_;
};

/// The scenarios in the order in which they start: first those that will take longest.
std::vector<Scenario> read_scenarios(const std::vector<std::string>& files) {
  std::vector<Scenario> scenarios;
  scenarios.reserve(files.size());
  for (const std::string& file : files) scenarios.push_back(read_scenario(file));
  std::stable_sort(scenarios.begin(), scenarios.end(), [](const Scenario& a, const Scenario& b) {
    return std::tuple(a.hangs, a.gpus) > std::tuple(b.hangs, b.gpus);
  });
  return scenarios;
}

int run_all(const Options& options) {
  const std::vector<Scenario> scenarios = read_scenarios(options.files);
  const Catalogue catalogue = read_catalogue(fs::path(options.build) / "manifest");
  Catalogue dummy;
  if (std::any_of(scenarios.begin(), scenarios.end(), [](const Scenario& s) { return s.dummy; })) {
    dummy = read_catalogue(dummy_build(options) / "manifest");
  }
  std::vector<FieldFault> faults;
  if (!options.field_faults.empty()) faults = read_field_faults(options.field_faults);
  std::vector<Outcome> outcomes(scenarios.size());
  std::atomic<std::size_t> next{0};
  Budget memory(options.memory_mib);
  std::mutex print_mutex;
  {
    std::vector<std::jthread> workers;
    for (unsigned job = 0; job < options.jobs; ++job) {
      workers.emplace_back([&] {
        for (std::size_t i = next++; i < scenarios.size(); i = next++) {
          const Scenario& scenario = scenarios[i];
          Outcome& outcome = outcomes[i];
          memory.take(scenario_mib(scenario));
          outcome = run_scenario(scenario, options, scenario.dummy ? dummy : catalogue);
          memory.give(scenario_mib(scenario));
          const std::lock_guard lock(print_mutex);
          fmt::print("{} {} ({:.1f} s, {:.1f} s of processor time, {} MiB)\n",
                     outcome.problems.empty() ? "ok  " : "FAIL", outcome.name, outcome.seconds,
                     outcome.cpu_seconds, outcome.peak_mib);
          for (const std::string& problem : outcome.problems) fmt::print("     {}\n", problem);
          std::fflush(stdout);
        }
      });
    }
  }
  const std::size_t all = outcomes.size();
  const auto failed = std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& outcome) {
    return !outcome.problems.empty();
  });
  std::vector<std::string> gaps;
  if (!options.coverage.empty()) {
    gaps = write_coverage(options.coverage, catalogue, faults, std::move(outcomes));
  }
  for (const std::string& gap : gaps) fmt::print("GAP  {}\n", gap);
  fmt::print("{} scenarios: {} as expected, {} not; {} coverage gaps\n", all,
             all - static_cast<std::size_t>(failed), failed, gaps.size());
  return failed == 0 && gaps.empty() ? 0 : 1;
}

int run(int argc, char** argv) {
  Options options;
  CommandLine app{"Simulated machines with faults, and what the suites say of them"};
  app.option("--build", options.build, "Build folder").required();
  app.option("--simulator", options.simulator, "Folder of the simulator's libraries").required();
  app.option("--toolkit", options.toolkit, "CUDA toolkit for headers and tools").required();
  app.option("--work", options.work, "Scratch folder; what failed stays there").required();
  CommandLine& all =
      app.command("run", "Runs scenarios and compares what the suites say with what they must");
  all.option("scenarios", options.files, "Scenario files").required().existing_file();
  all.option("--ctest", options.ctest, "The ctest program").required();
  all.option("--coverage", options.coverage,
             "Write the coverage table here, and fail if a test or finding has no scenario");
  all.option("--field-faults", options.field_faults,
             "The catalogue of faults seen in the field, for the coverage table")
      .existing_file();
  all.option("--jobs", options.jobs, "How many scenarios run side by side").between(1, 256);
  all.option("--memory", options.memory_mib, "MiB that scenarios side by side may take together")
      .between(1, 1 << 30);
  all.option("--slowdown", options.slowdown,
             "How much slower and larger than usual this build is, as one with sanitizers")
      .between(1.0, 100.0);
  all.flag("--every-layer", options.every_layer,
           "Run the layers above a scenario's highest expectation, too")
      .from_variable("CONFORMANCE_EVERY_LAYER");
  CommandLine& one = app.command("exec", "Runs a command on a simulated machine");
  one.option("--scenario", options.scenario, "Scenario file; without it a healthy machine")
      .existing_file();
  one.option("command", options.command, "The command and its arguments").required();
  if (const auto end = app.read(argc, argv)) return *end;
  options.build = fs::absolute(options.build).string();
  options.work = fs::absolute(options.work).string();
  return all.given() ? run_all(options) : run_command(options);
}

}  // namespace
}  // namespace conformance::scenarios

int main(int argc, char** argv) {
  return conformance::run_program("conformance-scenarios", conformance::scenarios::run, argc, argv);
}
