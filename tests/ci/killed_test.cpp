// Whatever is killed, and whenever: no process goes on, and no file is left outside of the build.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "fixtures/child.h"
#include "tests/support/scratch.h"
#include "tests/support/suite_run.h"

namespace conformance {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Programs whose descendants carry a mark in their environment.
class Killed : public testing::Test {
 protected:
  Killed() { fs::create_directories(folder / "tmp"); }

  /// Other processes that carry the mark, as "PID command".
  std::vector<std::string> marked() const {
    std::vector<std::string> found;
    for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
      const std::string variables = read(process.path() / "environ");
      if (variables.find(mark()) == std::string::npos) continue;
      found.push_back(fmt::format("{} {}", process.path().filename().native(),
                                  read(process.path() / "cmdline")));
    }
    return found;
  }

  /// Starts a program and sends it `signal` after `moment`; it is to be gone soon, with all that it
  /// started.
  void kill_after(std::chrono::milliseconds moment, int signal,
                  const std::vector<std::string>& command) {
    SCOPED_TRACE(fmt::format("signal {} after {} ms", signal, moment.count()));
    ChildOptions options;
    options.argv = command;
    options.deadline = 20s;
    options.merge_streams = true;
    for (const char* name : {"CONFORMANCE_RUN", "CONFORMANCE_LEVEL", "CONFORMANCE_CUDA_ORIGIN",
                             "CONFORMANCE_REPORT_DIR", "CONFORMANCE_SIMULATED"}) {
      options.environment[name] = std::nullopt;
    }
    options.environment["CONFORMANCE_TEST_MARK"] = folder.native();
    options.environment["TMPDIR"] = (folder / "tmp").native();
    options.environment["PATH"] = fmt::format("{}:{}", (folder / "bin").native(), path());
    const auto start = std::chrono::steady_clock::now();
    bool struck = false;
    std::size_t seen = 0;
    options.cancelled = [&] {
      if (struck || std::chrono::steady_clock::now() - start < moment) return false;
      struck = true;
      const std::vector<std::string> processes = marked();
      seen = processes.size();
      // The program itself is the only one whose parent this process is.
      for (const std::string& process : processes) {
        const pid_t pid = std::stoi(process);
        if (::getpgid(pid) == pid && parent_is_us(pid)) ::kill(pid, signal);
      }
      return false;
    };
    const ChildResult result = run_child(options);
    EXPECT_NE(result.end, ChildResult::End::timed_out) << result.output;
    EXPECT_GT(seen, 0U) << "it ended before it was killed: " << result.output;
    most = std::max(most, seen);
    for (int i = 0; i < 1000 && !marked().empty(); ++i) std::this_thread::sleep_for(10ms);
    EXPECT_EQ(fmt::format("{}", fmt::join(marked(), "\n")), "");
    EXPECT_TRUE(fs::is_empty(folder / "tmp"));
  }

  const support::ScratchFolder scratch{std::string(BUILD_DIR) + "/tests/ci/killed"};
  const fs::path& folder = scratch.path();
  std::size_t most = 0;  ///< processes that there were at one of the moments

 private:
  std::string mark() const { return "CONFORMANCE_TEST_MARK=" + folder.native(); }
  static std::string path() {
    const char* const value = std::getenv("PATH");
    return value == nullptr ? "/usr/bin:/bin" : value;
  }
  /// Empty if it cannot be read, as that of a process that has ended.
  static std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string text;
    std::getline(stream, text, '\x1');
    return text;
  }
  static bool parent_is_us(pid_t pid) {
    const std::string status = read(fmt::format("/proc/{}/status", pid));
    return status.find(fmt::format("\nPPid:\t{}\n", ::getpid())) != std::string::npos;
  }
};

TEST(Keeper, KillsAProcessAboveItsProcessorTime) {
  ChildOptions options;
  options.argv = {fs::path(LAUNCH_PROGRAM).replace_filename("conformance-keep").native(),
                  "--parent",
                  std::to_string(::getpid()),
                  "--cpu-seconds",
                  "1",
                  "--",
                  "sh",
                  "-c",
                  "sh -c 'while :; do :; done'; echo $?"};
  EXPECT_EQ(run_child(options).output, fmt::format("{}\n", 128 + SIGKILL));
}

TEST_F(Killed, TheScenarioDriverLeavesNothing) {
  std::vector<std::string> command = support::scenario_driver(BUILD_DIR, TOOLKIT, folder / "work");
  command.insert(command.end(),
                 {"run", "--ctest", CTEST_PROGRAM,
                  std::string(SOURCE_DIR) + "/tests/scenarios/kernel-never-ends.json"});
  kill_after(200ms, SIGKILL, command);
  kill_after(1000ms, SIGINT, command);
  kill_after(2000ms, SIGKILL, command);
  // The driver, two keepers, CTest, launcher and suite.
  EXPECT_GE(most, 6U);
}

TEST_F(Killed, TheGateOnASimulatedMachineLeavesNothing) {
  // A build that is up to date: what builds is not what is tested here.
  for (const char* part : {"ci", "suites", "tests", "manifest"}) {
    fs::create_directories(folder / "build");
    fs::create_symlink(fs::path(BUILD_DIR) / part, folder / "build" / part);
  }
  fs::create_directories(folder / "bin");
  fs::create_symlink("/bin/true", folder / "bin/cmake");
  const std::vector<std::string> command{
      std::string(SOURCE_DIR) + "/ci/conformance",
      "--build",
      (folder / "build").native(),
      "--scenario",
      std::string(SOURCE_DIR) + "/tests/scenarios/kernel-never-ends.json",
      "-R",
      "^runtime"};
  kill_after(500ms, SIGKILL, command);
  kill_after(2500ms, SIGTERM, command);
  kill_after(2500ms, SIGKILL, command);
  EXPECT_GE(most, 6U);
}

}  // namespace
}  // namespace conformance
