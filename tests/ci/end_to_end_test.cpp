// Real CTest runs of a dummy suite that can be made to fail in every way.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ci/report/folder.h"
#include "ci/report/process.h"
#include "ci/report/results.h"
#include "fixtures/child.h"
#include "tests/support/scratch.h"

namespace conformance::report {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

bool runs(pid_t pid) { return find_process(pid).has_value(); }

/// Whether `holds` becomes true within half a minute.
template <typename Condition>
bool eventually(Condition holds) {
  for (int i = 0; i < 3000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

class EndToEnd : public testing::Test {
 protected:
  ChildOptions with_environment(std::vector<std::string> argv,
                                const std::string& fault = "") const {
    ChildOptions options;
    options.argv = std::move(argv);
    options.deadline = 5min;
    options.merge_streams = true;
    // What this test runs under must not reach the runs that it starts.
    for (const char* name :
         {"CONFORMANCE_RUN", "CONFORMANCE_LEVEL", "CONFORMANCE_CUDA_ORIGIN", "CONFORMANCE_TABLE",
          "CONFORMANCE_SIMULATED", "CONFORMANCE_EXPECT", "NO_COLOR"}) {
      options.environment[name] = std::nullopt;
    }
    options.environment["CONFORMANCE_REPORT_DIR"] = folder.root.native();
    options.environment["DUMMY_FAULT"] = fault;
    // A crash is asked for here; where cores go, none should be written.
    options.environment["ASAN_OPTIONS"] = std::string("handle_segv=0:handle_abort=0");
    return options;
  }
  ChildResult ctest(const std::string& fault = "", std::vector<std::string> arguments = {}) const {
    std::vector<std::string> argv{CTEST_PROGRAM, "--test-dir", DUMMY_BUILD, "--output-on-failure"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run_child(with_environment(std::move(argv), fault));
  }
  /// While one of the build's files is away.
  ChildResult ctest_without(const char* name) const {
    const fs::path file = fs::path(DUMMY_BUILD) / name;
    const fs::path away = fs::path(DUMMY_BUILD) / fmt::format("{}.away", name);
    fs::rename(file, away);
    ChildResult run = ctest();
    fs::rename(away, file);
    return run;
  }
  ChildResult report(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), REPORT_PROGRAM);
    return run_child(with_environment(std::move(arguments)));
  }
  Json results() const { return load_results(folder.results()); }
  std::string verdict() const { return results()["verdict"].get<std::string>(); }
  std::string outcome(const std::string& test) const {
    const Json all = results();
    for (const Json& item : all["tests"]) {
      if (item["name"] == test) return item["outcome"].get<std::string>();
    }
    return "not listed";
  }
  std::string first_code() const {
    const Json first = results()["first_finding"];
    return first.is_null() ? "" : first["code"].get<std::string>();
  }
  void expect_valid_junit() const {
    const ChildResult lint = run_child(with_environment(
        {"xmllint", "--noout", "--schema", fs::path(SOURCE_DIR) / "tests" / "ci" / "junit.xsd",
         folder.junit().native()}));
    EXPECT_TRUE(lint.succeeded()) << lint.describe() << lint.output;
  }

  /// A Python that can check the files, if there is one: the first that is found may be another
  /// than the one that the distribution's packages are for.
  std::string python() const {
    for (const char* candidate : {"python3", "/usr/bin/python3"}) {
      if (run_child(with_environment({candidate, "-c", "import jsonschema"})).succeeded()) {
        return candidate;
      }
    }
    return "";
  }
  void expect_valid_for_others() const {
    const ChildResult check = run_child(with_environment(
        {python(), fs::path(SOURCE_DIR) / "tests" / "ci" / "check_outputs.py", folder.root.native(),
         "--schema", fs::path(SOURCE_DIR) / "ci" / "report" / "results.schema.json"}));
    EXPECT_TRUE(check.succeeded()) << check.describe() << check.output;
    fmt::print("{}", check.output);  // what was not here
  }

  const support::ScratchFolder scratch{testing::TempDir() + "/report with 'odd' names; $x ü"};
  const Folder folder{scratch.path()};
};

TEST_F(EndToEnd, AHealthyRunIsConformantAndTheTableReachesTheReader) {
  const ChildResult run = ctest();
  EXPECT_TRUE(run.succeeded()) << run.output;
  EXPECT_EQ(verdict(), "conformant");
  EXPECT_EQ(results()["counts"]["passed"], 8);
  EXPECT_EQ(results()["run"]["selection"], "ctest");
  EXPECT_TRUE(results()["warnings"].empty()) << results()["warnings"];
  EXPECT_TRUE(fs::exists(folder.html()));
  EXPECT_NE(read_file(folder.metrics()).find("\nconformance_conformant 1\n"), std::string::npos);
  expect_valid_junit();
  EXPECT_NE(run.output.find("CUDA conformance: CONFORMANT (8 passed)"), std::string::npos)
      << run.output;
}

TEST_F(EndToEnd, ReadersThatOthersWroteTakeTheReports) {
  if (python().empty()) GTEST_SKIP() << "there is no Python with jsonschema";
  EXPECT_FALSE(ctest("fail:base.Work.Second").succeeded());
  expect_valid_for_others();
  EXPECT_FALSE(ctest("crash:base.Gate.Passes").succeeded());
  expect_valid_for_others();
  EXPECT_FALSE(ctest("slow:base.Linger.Passes", {"-R", "base.Linger"}).succeeded());
  expect_valid_for_others();
  EXPECT_FALSE(ctest("", {"-R", "^report"}).succeeded());
  expect_valid_for_others();
}

TEST_F(EndToEnd, ADashboardGetsTheFiguresAndAReaderOfTheOutputDoesNot) {
  const ChildResult plain = ctest("", {"-V", "-R", "base.Work"});
  EXPECT_EQ(plain.output.find("<CTestMeasurement"), std::string::npos) << plain.output;
  // In a folder of its own: what a dashboard's run leaves behind changes what --rerun-failed means.
  const fs::path dashboard = scratch.path() / "dashboard";
  fs::create_directory(dashboard);
  write_file(dashboard / "CTestTestfile.cmake", fmt::format("subdirs([=[{}]=])\n", DUMMY_BUILD));
  const ChildResult run = run_child(with_environment(
      {CTEST_PROGRAM, "--test-dir", dashboard.native(), "-T", "Test", "-R", "base.Work"}));
  std::string tag = read_file(dashboard / "Testing" / "TAG");
  tag.resize(tag.find('\n'));
  const std::string submitted = read_file(dashboard / "Testing" / tag / "Test.xml");
  for (const char* test : {"First", "Second", "Third"}) {
    const std::size_t named = submitted.find(fmt::format(
        "<NamedMeasurement type=\"numeric/double\" name=\"{} speed [GPU 0], GB/s\">", test));
    ASSERT_NE(named, std::string::npos) << submitted << run.output;
    EXPECT_NE(submitted.substr(named, 200).find("<Value>10</Value>"), std::string::npos);
  }
  EXPECT_EQ(submitted.find("CTestMeasurement"), std::string::npos) << submitted;
}

TEST_F(EndToEnd, ARegularFileAsOutputIsNotWrittenOver) {
  ChildOptions options =
      with_environment({"sh", "-c", "exec \"$0\" --test-dir \"$1\" > \"$2\"", CTEST_PROGRAM,
                        DUMMY_BUILD, (folder.root / "log").native()});
  EXPECT_TRUE(run_child(options).succeeded());
  const std::string log = read_file(folder.root / "log");
  EXPECT_NE(log.find("100% tests passed"), std::string::npos) << log;
  EXPECT_EQ(log.find('\0'), std::string::npos);
  EXPECT_EQ(log.find("CONFORMANT"), std::string::npos);
}

TEST_F(EndToEnd, AFailureIsNamedWithItsFinding) {
  EXPECT_FALSE(ctest("fail:base.Work.Second").succeeded());
  EXPECT_EQ(outcome("base.Work.First"), "passed");
  EXPECT_EQ(outcome("base.Work.Second"), "failed");
  EXPECT_EQ(outcome("base.Work.Third"), "passed");
  EXPECT_EQ(outcome("upper.Work.Passes"), "passed");
  EXPECT_EQ(first_code(), "dummy.broken");
  expect_valid_junit();
}

TEST_F(EndToEnd, AFailedGateBlocksWhatStandsOnIt) {
  EXPECT_FALSE(ctest("fail:base.Gate.Passes").succeeded());
  EXPECT_EQ(outcome("base.Gate.Passes"), "failed");
  for (const char* test : {"base.Work.First", "middle.Gate.Passes", "upper.Work.Passes"}) {
    EXPECT_EQ(outcome(test), "blocked") << test;
  }
  EXPECT_EQ(results()["findings"].size(), 1);
}

TEST_F(EndToEnd, ACrashIsNamedAndBlocksTheRestOfItsEntry) {
  EXPECT_FALSE(ctest("crash:base.Work.Second").succeeded());
  EXPECT_EQ(outcome("base.Work.First"), "passed");
  EXPECT_EQ(outcome("base.Work.Second"), "crashed");
  EXPECT_EQ(outcome("base.Work.Third"), "blocked");
  EXPECT_EQ(first_code(), "suite.crashed");
  EXPECT_EQ(results()["first_finding"]["evidence"]["signal"], SIGSEGV);
  expect_valid_junit();
}

TEST_F(EndToEnd, AnExitInTheMiddleOfATestIsACrashEvenWithCodeZero) {
  EXPECT_FALSE(ctest("exit:base.Work.Third").succeeded());
  EXPECT_EQ(outcome("base.Work.Third"), "crashed");
}

TEST_F(EndToEnd, AHangIsEndedAtTheLimitWithAllItsProcesses) {
  EXPECT_FALSE(ctest("hang:base.Work.Second").succeeded());
  EXPECT_EQ(outcome("base.Work.Second"), "timed-out");
  EXPECT_EQ(outcome("base.Work.Third"), "blocked");
  EXPECT_EQ(first_code(), "suite.timed-out");
  const std::string output = results()["first_finding"]["evidence"]["output"].get<std::string>();
  const std::size_t left = output.find("LEFT ");
  ASSERT_NE(left, std::string::npos) << output;
  const pid_t grandchild = std::stoi(output.substr(left + 5));
  EXPECT_TRUE(eventually([&] { return !runs(grandchild); }));
}

TEST_F(EndToEnd, AProcessThatAbortsBeforeItsJournalIsNamed) {
  EXPECT_FALSE(ctest("abort-early:upper").succeeded());
  EXPECT_EQ(outcome("upper.Gate.Passes"), "crashed");
  EXPECT_EQ(outcome("upper.Work.Passes"), "blocked");
  EXPECT_EQ(outcome("base.Work.Third"), "passed");
}

TEST_F(EndToEnd, AMissingLibraryIsNamedWithTheLoadersWords) {
  EXPECT_FALSE(ctest_without("libneeded.so").succeeded());
  EXPECT_EQ(outcome("middle.Gate.Passes"), "error");
  EXPECT_EQ(outcome("upper.Gate.Passes"), "blocked");
  EXPECT_EQ(first_code(), "suite.did-not-start");
  EXPECT_NE(results()["first_finding"]["evidence"]["output"].get<std::string>().find("libneeded"),
            std::string::npos);
}

TEST_F(EndToEnd, ASuiteThatIsNotBuiltIsNamed) {
  const ChildResult run = ctest_without("conformance_upper");
  EXPECT_FALSE(run.succeeded());
  EXPECT_EQ(outcome("upper.Gate.Passes"), "error");
  EXPECT_EQ(first_code(), "suite.did-not-start") << results() << run.output;
}

TEST_F(EndToEnd, SlowIsNotConformant) {
  EXPECT_FALSE(ctest("slow:base.Linger.Passes").succeeded());
  EXPECT_EQ(outcome("base.Linger.Passes"), "slow");
  EXPECT_EQ(verdict(), "not-conformant");
}

TEST_F(EndToEnd, ASkipKeepsItsReasonAndOnlySkipsAreNotConformant) {
  EXPECT_TRUE(ctest("skip:base.Linger.Passes").succeeded());
  EXPECT_EQ(outcome("base.Linger.Passes"), "skipped");
  EXPECT_FALSE(ctest("skip:base.Gate.Passes", {"-R", "base.Gate"}).succeeded());
  EXPECT_EQ(first_code(), "suite.run-verified-nothing");
}

TEST_F(EndToEnd, OnlyWhatWasSelectedCounts) {
  EXPECT_TRUE(ctest("fail:upper.Work.Passes", {"-R", "^base.Work$"}).succeeded());
  EXPECT_EQ(outcome("base.Gate.Passes"), "passed");  // the gate comes with what needs it
  EXPECT_EQ(outcome("base.Work.Third"), "passed");
  EXPECT_EQ(outcome("upper.Work.Passes"), "not listed");
  EXPECT_EQ(results()["counts"]["passed"], 4);
}

TEST_F(EndToEnd, LabelsAndConfigurationsSelect) {
  EXPECT_TRUE(ctest("", {"-L", "quick"}).succeeded());
  EXPECT_EQ(results()["counts"]["passed"], 3);
  EXPECT_EQ(results()["run"]["level"], "quick");
  EXPECT_TRUE(ctest("", {"-C", "stress"}).succeeded());
  EXPECT_EQ(outcome("base.Soak.Lasts"), "passed");
  EXPECT_EQ(results()["run"]["level"], "stress");
}

TEST_F(EndToEnd, NothingOfAnEarlierRunLeaks) {
  EXPECT_FALSE(ctest("fail:base.Work.Second").succeeded());
  std::ofstream(folder.suite_journal("upper.Work"), std::ios::app) << "strange\n";
  std::ofstream(folder.journals() / "notes.txt") << "mine";
  EXPECT_TRUE(ctest("", {"-R", "^upper.Gate$"}).succeeded());
  EXPECT_EQ(outcome("base.Work.Second"), "not listed");
  EXPECT_TRUE(results()["warnings"].empty()) << results()["warnings"];
  EXPECT_TRUE(fs::exists(folder.journals() / "notes.txt"));
}

TEST_F(EndToEnd, ARunWithoutItsBeginningIsRefused) {
  EXPECT_TRUE(ctest("", {"-R", "^base.Gate$"}).succeeded());
  const ChildResult run = ctest("", {"-R", "^base.Gate$", "-FS", "report"});
  EXPECT_FALSE(run.succeeded());
  EXPECT_NE(run.output.find("begun by another CTest"), std::string::npos) << run.output;
}

TEST_F(EndToEnd, ASecondCTestOnTheSameFolderIsRefused) {
  std::thread first([&] { ctest("hang:base.Work.First", {"-R", "^base.Work$"}); });
  EXPECT_TRUE(eventually([&] { return fs::exists(folder.suite_journal("base.Work")); }));
  const ChildResult second = ctest("", {"-R", "^upper.Gate$"});
  first.join();
  EXPECT_FALSE(second.succeeded());
  EXPECT_NE(second.output.find("is reporting to"), std::string::npos) << second.output;
  EXPECT_EQ(outcome("base.Work.First"), "timed-out");  // the first run's report is its own
}

TEST_F(EndToEnd, RepeatsCountOnceAndAreSaid) {
  EXPECT_TRUE(ctest("", {"-R", "^base.Gate$", "--repeat", "until-fail:2"}).succeeded());
  EXPECT_EQ(results()["counts"]["passed"], 1);
  EXPECT_EQ(results()["warnings"].size(), 1) << results()["warnings"];
}

TEST_F(EndToEnd, OnlyTheFailedOnesAreRunAgain) {
  EXPECT_FALSE(ctest("fail:upper.Work.Passes").succeeded());
  EXPECT_TRUE(ctest("", {"--rerun-failed"}).succeeded());
  EXPECT_EQ(outcome("upper.Work.Passes"), "passed");
  EXPECT_EQ(outcome("base.Work.First"), "not listed");
}

TEST_F(EndToEnd, SuitesOfOneProcessEndAsIfEachHadItsOwn) {
  const auto host_of_linger = [&] {
    const std::string journal = read_file(folder.launch_journal("base.Linger"));
    return Json::parse(journal.substr(0, journal.find('\n'))).value("host", "itself");
  };
  EXPECT_FALSE(ctest("fail:base.Work.Second").succeeded());
  EXPECT_EQ(outcome("base.Work.Third"), "passed");
  EXPECT_EQ(outcome("base.Linger.Passes"), "passed");
  EXPECT_EQ(host_of_linger(), "base.Work");
  EXPECT_EQ(results()["counts"]["failed"], 1);

  const ChildResult last_crashes = ctest("crash:base.Linger.Passes");
  EXPECT_NE(last_crashes.output.find("base.Work ........................   Passed"),
            std::string::npos)
      << last_crashes.output;
  EXPECT_EQ(outcome("base.Work.Third"), "passed");
  EXPECT_EQ(outcome("base.Linger.Passes"), "crashed");

  EXPECT_FALSE(ctest("crash:base.Work.Second").succeeded());
  EXPECT_EQ(outcome("base.Work.Third"), "blocked");
  EXPECT_EQ(outcome("base.Linger.Passes"), "passed");  // by a process that came after
  EXPECT_EQ(host_of_linger(), "itself");

  EXPECT_FALSE(ctest("hang:base.Work.Second", {"-R", "^base"}).succeeded());
  EXPECT_EQ(outcome("base.Work.Second"), "timed-out");  // at the limit of its suite
  EXPECT_EQ(outcome("base.Linger.Passes"), "passed");
}

TEST_F(EndToEnd, WhatIsRepeatedRunsByItself) {
  EXPECT_TRUE(ctest("", {"-R", "^base", "--repeat", "until-fail:2"}).succeeded());
  EXPECT_EQ(results()["counts"]["passed"], 5);
  EXPECT_EQ(results()["warnings"].size(), 3) << results()["warnings"];  // the gate, and these two
}

TEST_F(EndToEnd, OnlyTheReportSelectedIsNotConformant) {
  EXPECT_FALSE(ctest("", {"-R", "^report"}).succeeded());
  EXPECT_EQ(first_code(), "suite.run-verified-nothing");
  expect_valid_junit();
}

class WithPolicy : public EndToEnd {
 protected:
  WithPolicy() {
    write({{"tests", {"base.Gate.Passes", "base.Work.First", "upper.Work.Passes"}},
           {"skips", {{{"test", "base.Work.*"}, {"reason", "*"}}}}});
  }
  void write(Json policy) const {
    policy["schema"] = "cuda-conformance/policy";
    policy["schema_version"] = 1;
    policy["simulated"] = false;
    write_file(file, policy.dump());
  }
  ChildResult judged(const std::string& fault, const std::vector<std::string>& arguments = {}) {
    std::vector<std::string> argv{CTEST_PROGRAM, "--test-dir", DUMMY_BUILD, "--output-on-failure"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    ChildOptions options = with_environment(std::move(argv), fault);
    options.environment["CONFORMANCE_EXPECT"] = file.native();
    return run_child(options);
  }

  const fs::path file = folder.root / "policy.json";
};

TEST_F(WithPolicy, WhatKeepsItIsConformant) {
  const ChildResult run = judged("skip:base.Work.Second");
  EXPECT_TRUE(run.succeeded()) << run.output;
  EXPECT_EQ(verdict(), "conformant");
  EXPECT_EQ(outcome("gate.Policy.ExpectedTestsWereRun"), "passed");
}

TEST_F(WithPolicy, ASkipThatItDoesNotAllowFailsTheRun) {
  const ChildResult run = judged("skip:base.Linger.Passes");
  EXPECT_FALSE(run.succeeded());
  EXPECT_EQ(outcome("gate.Policy.SkipsAreAllowed"), "failed");
  EXPECT_EQ(first_code(), "gate.skip-not-allowed");
  EXPECT_NE(run.output.find("gate.skip-not-allowed"), std::string::npos) << run.output;
  EXPECT_NE(read_file(folder.junit()).find("gate.skip-not-allowed"), std::string::npos);
  expect_valid_junit();
}

TEST_F(WithPolicy, ATestThatWasNotRunFailsTheRun) {
  EXPECT_FALSE(judged("", {"-R", "^base.Work$"}).succeeded());
  EXPECT_EQ(first_code(), "gate.test-missing");
  EXPECT_EQ(results()["first_finding"]["subject"]["name"], "upper.Work.Passes");
}

TEST_F(WithPolicy, OneThatIsDamagedIsSaidBeforeAnythingRuns) {
  write({{"tests", {7}}});
  const ChildResult run = judged("");
  EXPECT_FALSE(run.succeeded());
  EXPECT_NE(run.output.find("policy.json: tests[0]: must be a text"), std::string::npos)
      << run.output;
  EXPECT_FALSE(fs::exists(folder.suite_journal("base.Gate")));
  EXPECT_EQ(report({"check-policy", file.native()}).code, 2);
  write({{"tests", {"base.Gate.Passes"}}});
  EXPECT_EQ(report({"check-policy", file.native()}).code, 0);
  EXPECT_EQ(report({"check-policy", "--simulated", file.native()}).code, 2);
}

TEST_F(WithPolicy, OnlyAConformantRunThatTellsOfItsGpusIsRecorded) {
  const fs::path kept = folder.root / "recorded.json";
  EXPECT_TRUE(ctest().succeeded());
  const ChildResult without_gpus = report({"record", kept.native()});
  EXPECT_EQ(without_gpus.code, 2);
  EXPECT_NE(without_gpus.output.find("tells of no GPU"), std::string::npos) << without_gpus.output;
  EXPECT_FALSE(ctest("fail:base.Work.First").succeeded());
  EXPECT_EQ(report({"record", kept.native()}).code, 1);
  EXPECT_FALSE(fs::exists(kept));
}

TEST_F(EndToEnd, AKilledCTestTakesItsTestsWithIt) {
  std::string output;
  pid_t suite = 0;
  pid_t grandchild = 0;
  // In a session of its own, or its group, in which the launcher is, would be ended with it.
  ChildOptions options = with_environment(
      {"setsid", "--wait", CTEST_PROGRAM, "--test-dir", DUMMY_BUILD, "-V", "-R", "^base.Linger$"},
      "hang:base.Linger.Passes");
  options.on_output = [&](std::string_view piece) {
    output += piece;
    const std::size_t left = output.find("LEFT ");
    if (suite != 0 || left == std::string::npos || output.find('\n', left) == output.npos) return;
    grandchild = std::stoi(output.substr(left + 5));
    suite = parent_of(grandchild);
    const pid_t launcher = parent_of(parent_of(suite));
    ::kill(parent_of(launcher), SIGKILL);
  };
  EXPECT_FALSE(run_child(options).succeeded());
  ASSERT_NE(suite, 0);
  EXPECT_TRUE(eventually([&] { return !runs(suite) && !runs(grandchild); }));
  // What is known of such a run can still be reported, and the folder is free for the next one.
  EXPECT_EQ(report({"write", "--manifests", fs::path(DUMMY_BUILD) / "manifest"}).code, 1);
  EXPECT_EQ(outcome("base.Linger.Passes"), "error");
  EXPECT_EQ(first_code(), "suite.interrupted");
  EXPECT_TRUE(ctest("", {"-R", "^base.Linger$"}).succeeded());
}

TEST_F(EndToEnd, AReportFolderThatCannotBeMadeIsSaid) {
  std::ofstream(folder.root / "file") << "x";
  ChildOptions options =
      with_environment({CTEST_PROGRAM, "--test-dir", DUMMY_BUILD, "--output-on-failure"});
  options.environment["CONFORMANCE_REPORT_DIR"] = (folder.root / "file" / "report").native();
  const ChildResult run = run_child(options);
  EXPECT_FALSE(run.succeeded());
  EXPECT_NE(run.output.find("cannot make the folder"), std::string::npos) << run.output;
}

TEST_F(EndToEnd, WhatIsNotUnderstoodExitsWithTwo) {
  EXPECT_EQ(report({}).code, 2);
  EXPECT_EQ(report({"write", "--table", "sometimes"}).code, 2);
  EXPECT_EQ(report({"dance"}).code, 2);
  EXPECT_EQ(report({"show", "/nonexistent"}).code, 2);
  EXPECT_EQ(report({"write"}).code, 2) << "there is no run";
  const auto launch = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), LAUNCH_PROGRAM);
    return run_child(with_environment(std::move(arguments)));
  };
  EXPECT_EQ(launch({}).code, 2);
  EXPECT_EQ(launch({"--entry", "base.Gate", "--timeout", "0", "--", "true"}).code, 2);
  EXPECT_EQ(launch({"--entry", "base.Gate", "--timeout", "5", "--", "true"}).code, 2)
      << "there is no run";
  ASSERT_EQ(report({"begin"}).code, 0);
  EXPECT_EQ(launch({"--entry", "../../x", "--timeout", "5", "--", "true"}).code, 2);
  EXPECT_EQ(launch({"--entry", "base.Gate", "--timeout", "5", "--", "/nonexistent"}).code, 2);
  fs::create_directory(folder.launch_journal("base.Work"));
  const ChildResult blocked = launch({"--entry", "base.Work", "--timeout", "5", "--", "true"});
  EXPECT_EQ(blocked.code, 2);
  EXPECT_NE(blocked.output.find("journal"), std::string::npos) << blocked.output;
}

/// A launcher with a hanging suite under it, the way CTest starts it.
class KilledLauncher : public EndToEnd {
 protected:
  /// Calls `strike` with the launcher and the suite's keeper once the suite hangs; what the
  /// launcher then did.
  ChildResult launch_and(const std::function<void(pid_t launcher, pid_t keeper)>& strike) {
    EXPECT_EQ(report({"begin"}).code, 0);
    ChildOptions options =
        with_environment({LAUNCH_PROGRAM, "--entry", "base.Linger", "--timeout", "100", "--",
                          fs::path(DUMMY_BUILD) / "conformance_base"},
                         "hang:base.Linger.Passes");
    std::string output;
    options.on_output = [&](std::string_view piece) {
      output += piece;
      const std::size_t left = output.find("LEFT ");
      if (suite != 0 || left == std::string::npos || output.find('\n', left) == output.npos) return;
      grandchild = std::stoi(output.substr(left + 5));
      suite = parent_of(grandchild);
      const pid_t keeper = parent_of(suite);
      strike(parent_of(keeper), keeper);
    };
    return run_child(options);
  }

  pid_t suite = 0;
  pid_t grandchild = 0;
};

TEST_F(KilledLauncher, AskedToEndItEndsEveryProcessAndSaysSo) {
  for (const int signal : {SIGTERM, SIGINT}) {
    suite = 0;
    const ChildResult launcher = launch_and([&](pid_t pid, pid_t) { ::kill(pid, signal); });
    EXPECT_EQ(launcher.end, ChildResult::End::exited);
    EXPECT_EQ(launcher.code, 1);
    ASSERT_NE(suite, 0);
    EXPECT_FALSE(runs(suite));
    EXPECT_FALSE(runs(grandchild));
    EXPECT_EQ(
        report({"write", "--table", "never", "--manifests", fs::path(DUMMY_BUILD) / "manifest"})
            .code,
        1);
    EXPECT_EQ(outcome("base.Linger.Passes"), "error");
    // The layer's gate did not run either, but this is the finding with evidence.
    const Json findings = results()["findings"];
    EXPECT_TRUE(std::ranges::any_of(
        findings, [](const Json& finding) { return finding["code"] == "suite.interrupted"; }));
  }
}

TEST_F(KilledLauncher, KilledOutrightItTakesEveryProcessWithIt) {
  const ChildResult launcher = launch_and([](pid_t pid, pid_t) { ::kill(pid, SIGKILL); });
  EXPECT_EQ(launcher.end, ChildResult::End::signalled);
  ASSERT_NE(suite, 0);
  EXPECT_TRUE(eventually([&] { return !runs(suite) && !runs(grandchild); }));
}

TEST_F(KilledLauncher, WithoutItsKeeperItEndsEveryProcess) {
  const ChildResult launcher = launch_and([](pid_t, pid_t keeper) { ::kill(keeper, SIGKILL); });
  EXPECT_EQ(launcher.end, ChildResult::End::exited);
  EXPECT_EQ(launcher.code, 1);
  ASSERT_NE(suite, 0);
  EXPECT_FALSE(runs(suite));
  EXPECT_FALSE(runs(grandchild));
}

TEST_F(KilledLauncher, KilledWithItsKeeperItStillTakesTheSuiteWithIt) {
  launch_and([](pid_t pid, pid_t keeper) {
    ::kill(keeper, SIGSTOP);
    ::kill(pid, SIGKILL);
    ::kill(keeper, SIGKILL);
  });
  ASSERT_NE(suite, 0);
  EXPECT_TRUE(eventually([&] { return !runs(suite); }));
  ::kill(grandchild, SIGKILL);  // it was told to outlive its parent, and nobody is left to end it
}

class GateScript : public EndToEnd {
 protected:
  ChildResult gate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), fs::path(SOURCE_DIR) / "ci" / "conformance");
    return run_child(with_environment(std::move(arguments)));
  }
};

TEST_F(GateScript, WhatIsNotUnderstoodExitsWithTwoAndSaysWhy) {
  std::ofstream(folder.root / "file") << "x";
  const std::map<std::vector<std::string>, std::string> cases{
      {{"--level", "deep"}, "--level"},
      {{"--level"}, "--level"},
      {{"--cuda-origin", "moon"}, "--cuda-origin"},
      {{"--cuda-origin="}, "--cuda-origin"},
      {{"--report"}, "--report"},
      {{"--report", (folder.root / "file" / "below").native()}, "below"},
      {{"--build", (folder.root / "file").native()}, "file"},
      {{"--levle", "quick"}, "--levle"},
      {{"-R", "memory", "--report-dir=/tmp"}, "--report-dir"},
      {{"--simulated=0"}, "number"},
      {{"--simulated=many"}, "number"},
      {{"--scenario", "x.json"}, "x.json"},
      {{"--expect", "y.json"}, "y.json"},
      {{"--record", (folder.root / "no folder" / "z.json").native()}, "z.json"},
      {{"--record", folder.root.native()}, "cannot write the policy"},
  };
  for (const auto& [arguments, word] : cases) {
    const ChildResult result = gate(arguments);
    EXPECT_EQ(result.code, 2) << arguments.front() << result.describe() << result.output;
    EXPECT_NE(result.output.find(word), std::string::npos) << result.output;
  }
}

}  // namespace
}  // namespace conformance::report
