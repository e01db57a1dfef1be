#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ci/report/folder.h"
#include "fixtures/child.h"
#include "tests/support/scratch.h"
#include "tests/support/suite_run.h"

namespace conformance {
namespace {

namespace fs = std::filesystem;

// The self-test builds the suites' kernels for sm_90, with PTX.
const std::string kSuite = SUITE_WITH_KERNELS;

class Audit : public testing::Test {
 protected:
  ChildResult audit(std::vector<std::string> arguments,
                    const std::map<std::string, std::optional<std::string>>& environment = {}) {
    ChildOptions options;
    options.argv = {AUDIT_PROGRAM};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.environment = environment;
    return run_child(options);
  }
  static void expect_said(const ChildResult& result, const std::string& words) {
    EXPECT_NE(result.output.find(words), std::string::npos) << words << " is not in\n"
                                                            << result.output << result.error;
  }

  const support::ScratchFolder scratch_{fs::temp_directory_path() / "conformance-audit"};
  const fs::path& folder = scratch_.path();
};

TEST_F(Audit, CodeForTheArchitectureIsFound) {
  const ChildResult result = audit({"--for", "sm_90,10.0", "--for", "compute_90", kSuite});
  EXPECT_EQ(result.code, 0) << result.output << result.error;
  expect_said(result, "sm_90: exact");
  expect_said(result, "10.0: PTX only");
  expect_said(result, "compute_90: exact");
  expect_said(result, "verdict: runs");
}

TEST_F(Audit, CodeThatIsMissingIsToldWithWhatToDo) {
  const ChildResult result = audit({"--for", "sm_90,sm_80", kSuite});
  EXPECT_EQ(result.code, 1) << result.output << result.error;
  expect_said(result, "sm_80: missing");
  expect_said(result, "PROBLEM: it carries no code for sm_80");
  expect_said(result, "-gencode arch=compute_80,code=sm_80");
}

TEST_F(Audit, TheGpusOfThisMachineAreAskedUnlessOthersAreNamed) {
  ChildOptions options;
  options.argv = support::scenario_driver(BUILD_DIR, TOOLKIT, folder);
  options.argv.insert(options.argv.end(), {"exec", "--", AUDIT_PROGRAM, kSuite});
  const ChildResult result = run_child(options);
  EXPECT_EQ(result.code, 0) << result.output << result.error;
  expect_said(result, "GPU 1 (9.0): exact");
  expect_said(result, "driver here: CUDA ");
}

TEST_F(Audit, WhatCannotBeJudgedIsNoSuccess) {
  EXPECT_EQ(audit({"--for", "sm_90", "/nonexistent"}).code, 2);
  EXPECT_EQ(audit({"--for", "sm_90", "/dev/null"}).code, 2);
  EXPECT_EQ(audit({"--for", "sm_90", folder}).code, 2) << "it is empty";
  EXPECT_EQ(audit({"--for", "sm_90", AUDIT_PROGRAM}).code, 2) << "it carries no device code";
  EXPECT_EQ(audit({"--for", "sm_90", AUDIT_PROGRAM, kSuite}).code, 0);
  EXPECT_EQ(audit({"--for", "sm_90", "/nonexistent", kSuite}).code, 2);
  EXPECT_EQ(audit({"--for", "sm_90"}).code, 2);
  for (const char* no_architecture : {"hopper", "sm_9", "90", "sm_90x", "compute_", "sm_90,"}) {
    const ChildResult result = audit({"--for", no_architecture, kSuite});
    EXPECT_TRUE(result.code == 2 || std::string(no_architecture) == "sm_90,") << no_architecture;
  }
}

TEST_F(Audit, WhereTheRuntimeComesFromIsTold) {
  const ChildResult usual = audit({"--for", "sm_90", kSuite}, {{"LD_LIBRARY_PATH", std::nullopt}});
  expect_said(usual, "CUDA runtime: shared");
  expect_said(usual, " by RUNPATH of conformance_runtime");
  const std::size_t at = usual.output.find("  libcudart.so.") + 2;
  const std::string name = usual.output.substr(at, usual.output.find(':', at) - at);
  const std::size_t path = at + name.size() + 2;
  fs::create_symlink(usual.output.substr(path, usual.output.find(' ', path) - path), folder / name);
  const ChildResult other = audit({"--for", "sm_90", kSuite}, {{"LD_LIBRARY_PATH", folder}});
  expect_said(other, (folder / name).native() + " by LD_LIBRARY_PATH");
}

TEST_F(Audit, AFolderIsReadWithAllBelowItAndEachFileOnce) {
  fs::create_directories(folder / "deep/er");
  fs::create_hard_link(kSuite, folder / "deep/er/program");
  fs::create_hard_link(kSuite, folder / "deep/again");
  fs::create_symlink("er/program", folder / "deep/link");
  fs::create_directory_symlink(folder, folder / "deep/loop");
  fs::create_directory_symlink("/", folder / "out");
  support::write_scratch(folder / "text.txt", "no program");
  support::write_scratch(folder / "empty.so", "");
  const ChildResult result = audit({"--for", "sm_90", "--report", folder / "report",
                                    folder / "deep", folder / "out/../x", folder});
  EXPECT_EQ(result.code, 2) << "one that was named is not there";
  const ChildResult all = audit({"--for", "sm_90", "--report", folder / "report", folder});
  EXPECT_EQ(all.code, 0) << all.output << all.error;
  expect_said(all, "1 of 4 files concern CUDA");  // the report of before is one
  const std::string json = report::read_file(folder / "report/audit.json");
  EXPECT_NE(json.find("\"audit_version\": 1"), std::string::npos);
  EXPECT_NE(json.find("\"exit_code\": 0"), std::string::npos);
}

TEST_F(Audit, HostileFilesDoNoHarm) {
  fs::copy_file(kSuite, folder / "cut");
  fs::resize_file(folder / "cut", fs::file_size(kSuite) / 2);
  const ChildResult cut = audit({"--for", "sm_90", folder});
  EXPECT_EQ(cut.code, 2);
  expect_said(cut, "cut: not read: it ends after");
  fs::remove(folder / "cut");

  const std::string name = "\x1b[31mred\nname\xff.so";
  support::write_scratch(folder / name,
                         "\x7f"
                         "ELF and no more");
  const ChildResult named = audit({"--for", "sm_90", "--report", folder, folder / name});
  EXPECT_EQ(named.code, 2);
  EXPECT_EQ(named.output.find('\x1b'), std::string::npos);
  EXPECT_NE(report::read_file(folder / "audit.json").find("\\u001b[31mred\\nname"),
            std::string::npos);
}

}  // namespace
}  // namespace conformance
