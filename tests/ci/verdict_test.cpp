// Policies and comparisons of real runs: the suites on simulated machines.

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ci/report/folder.h"
#include "ci/report/results.h"
#include "fixtures/child.h"
#include "tests/support/scratch.h"
#include "tests/support/suite_run.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Verdict : public testing::Test {
 protected:
  struct Machine {
    std::string gpus = "2";
    std::vector<std::string> settings = {};  ///< of the environment
    fs::path policy = {};
  };

  ChildResult run(std::vector<std::string> argv,
                  const std::map<std::string, std::optional<std::string>>& environment = {}) const {
    ChildOptions options;
    options.argv = std::move(argv);
    options.deadline = 3min;
    options.merge_streams = true;
    for (const char* name : {"CONFORMANCE_RUN", "CONFORMANCE_LEVEL", "CONFORMANCE_EXPECT",
                             "CONFORMANCE_REPORT_DIR", "NO_COLOR"}) {
      options.environment[name] = std::nullopt;
    }
    for (const auto& [name, value] : environment) options.environment[name] = value;
    return run_child(options);
  }

  /// Runs a part of the suite on a simulated machine; its results.json. Every run has the machine
  /// at the same place, as one host has.
  fs::path suite(const std::string& name, const Machine& machine) const {
    const Folder report{scratch.path() / name};
    std::vector<std::string> argv = support::scenario_driver(BUILD_DIR, TOOLKIT, machine_folder);
    argv.insert(argv.end(), {"exec", "--", "env"});
    argv.insert(argv.end(), machine.settings.begin(), machine.settings.end());
    for (const std::string& word :
         {std::string(CTEST_PROGRAM), std::string("--test-dir"),
          (machine_folder / "ctest").native(), std::string("-j2"), std::string("-R"),
          std::string("^(memory[.]Bandwidth|peer[.]Access|peer[.]Speed|nccl[.]Gate)$")}) {
      argv.push_back(word);
    }
    const ChildResult ran = run(argv, {{"CONFORMANCE_SIMULATED", "1"},
                                       {"CONFORMANCE_SIM_GPUS", machine.gpus},
                                       {"CONFORMANCE_CUDA_ORIGIN", "any"},
                                       {"CONFORMANCE_TABLE", "off"},
                                       {"CONFORMANCE_EXPECT", machine.policy.native()},
                                       {"CONFORMANCE_REPORT_DIR", report.root.native()}});
    EXPECT_TRUE(fs::exists(report.results())) << ran.describe() << ran.output;
    EXPECT_TRUE(!machine.policy.empty() || ran.succeeded()) << ran.output;
    return report.results();
  }
  fs::path healthy(int number) const { return suite(fmt::format("healthy-{}", number), {}); }

  static std::string first_code(const fs::path& results) {
    const Json first = load_results(results)["first_finding"];
    return first.is_null() ? "none" : first["code"].get<std::string>();
  }
  ChildResult compare(std::vector<std::string> arguments) const {
    for (const char* word : {BUILD_DIR, "--build", SOURCE_DIR "/ci/compare"}) {
      arguments.insert(arguments.begin(), word);
    }
    return run(std::move(arguments));
  }

  const support::ScratchFolder scratch{testing::TempDir() + "/verdict"};
  const fs::path machine_folder = scratch.path() / "machine";
};

/// The results with all figures of a name scaled.
fs::path scaled(const fs::path& results, const std::string& name, double factor) {
  Json json = load_results(results);
  for (Json& test : json["tests"]) {
    for (Json& figure : test["figures"]) {
      if (figure["name"] != name) continue;
      figure["value"] = figure["value"].get<double>() * factor;
      for (Json& sample : figure["samples"]) sample = sample.get<double>() * factor;
    }
  }
  fs::path file = results.parent_path() / fmt::format("scaled-{}.json", factor);
  write_file(file, json.dump());
  return file;
}

TEST_F(Verdict, HealthyRunsAreTheSamePairwiseAndSmallerFiguresAreFound) {
  std::vector<fs::path> runs;
  runs.reserve(4);
  for (int i = 0; i < 4; ++i) runs.push_back(healthy(i));
  for (const fs::path& before : runs) {
    for (const fs::path& after : runs) {
      const ChildResult same = compare({before, after});
      EXPECT_EQ(same.code, 0) << same.output;
      EXPECT_NE(same.output.find("simulated: CUDA conformance, before and after: SAME\n"),
                std::string::npos)
          << same.output;
      EXPECT_EQ(same.output.find("Figures: "), std::string::npos) << same.output;
    }
  }
  for (const double factor : {0.5, 0.25, 0.125}) {
    const fs::path slow = scaled(runs[1], "peer-copy-write-bandwidth", factor);
    const fs::path page = scratch.path() / "compare.html";
    const fs::path xml = scratch.path() / "compare.xml";
    const ChildResult worse = compare({"--html", page, "--junit", xml, runs[0], slow});
    EXPECT_EQ(worse.code, 1) << worse.output;
    for (const std::string& text : {worse.output, read_file(page), read_file(xml)}) {
      EXPECT_NE(text.find("peer-copy-write-bandwidth of GPU 0 "), std::string::npos) << text;
    }
    EXPECT_EQ(compare({slow, runs[0]}).code, 0) << "better";
  }
}

TEST_F(Verdict, APolicyIsKeptByTheHostThatItWasRecordedOnAndNotByOneThatLacksSomething) {
  const fs::path good = healthy(0);
  const fs::path policy = scratch.path() / "policy.json";
  const ChildResult recorded = run({REPORT_PROGRAM, "record", policy.native(), good.native()});
  ASSERT_EQ(recorded.code, 0) << recorded.output;
  const fs::path kept = suite("kept", {.policy = policy});
  EXPECT_EQ(first_code(kept), "none");
  EXPECT_EQ(load_results(kept)["entries"].back()["name"], "gate.Policy");
  EXPECT_EQ(first_code(suite("one-gpu", {.gpus = "1", .policy = policy})), "gate.gpu-missing");
  const fs::path hidden =
      suite("hidden", {.settings = {"CUDA_VISIBLE_DEVICES=0"}, .policy = policy});
  EXPECT_EQ(first_code(hidden), "gate.gpu-missing");
  EXPECT_EQ(first_code(suite("no-p2p", {.settings = {"NCCL_P2P_DISABLE=1"}, .policy = policy})),
            "gate.setting-unexpected");
  const ChildResult lost = compare({good, hidden});
  EXPECT_EQ(lost.code, 1);
  EXPECT_NE(lost.output.find("GPUs: GPU 1: Simulated H200"), std::string::npos) << lost.output;
}

TEST_F(Verdict, WhatCannotBeComparedExitsWithTwoAndSaysWhy) {
  const fs::path good = healthy(0);
  Json json = load_results(good);
  json["simulated"] = false;
  const fs::path real = scratch.path() / "real.json";
  write_file(real, json.dump());
  json["schema_version"] = 2;
  const fs::path newer = scratch.path() / "newer.json";
  write_file(newer, json.dump());
  write_file(scratch.path() / "cut.json", json.dump().substr(0, 1000));
  const std::string cut = (scratch.path() / "cut.json").native();
  for (const auto& [arguments, words] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{good, real}, "cannot be compared"},
           {{good, newer}, "schema_version: is another version"},
           {{good, cut}, "cut.json is damaged"},
           {{good}, "needs two runs"},
           {{good, "/nonexistent"}, "cannot read /nonexistent"},
           {{good, good, "--html", "/nonexistent/page"}, "cannot write /nonexistent/page"},
           {{"--quickly", good, good}, "unknown option --quickly"}}) {
    const ChildResult result = compare(arguments);
    EXPECT_EQ(result.code, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  }
}

}  // namespace
}  // namespace conformance::report
