#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ci/report/html.h"
#include "ci/report/junit.h"
#include "ci/report/metrics.h"
#include "ci/report/results.h"
#include "ci/report/table.h"
#include "ci/report/text.h"
#include "fixtures/child.h"

namespace conformance::report {
namespace {

constexpr const char* kRun = "run-1";

/// A suite's journal, written line by line. Times count up by a second per line.
class JournalText {
 public:
  explicit JournalText(std::string entry) : entry_(std::move(entry)) {
    add({{"type", "process-start"},
         {"journal_version", 1},
         {"run", kRun},
         {"layer", entry_.substr(0, entry_.find('.'))},
         {"suite", "*"},
         {"pid", 1},
         {"environment",
          {{"level", "standard"},
           {"cuda_origin", "nix"},
           {"host_root", ""},
           {"seed", "1"},
           {"simulated", false}}}});
  }
  JournalText& start(const std::string& test) {
    return add({{"type", "test-start"}, {"test", name(test)}});
  }
  JournalText& verified(const std::string& test, Json count = 3) {
    return add({{"type", "verified"}, {"test", name(test)}, {"count", count}, {"what", "words"}});
  }
  JournalText& finding(const std::string& test, const std::string& code,
                       const std::string& detail = "seen") {
    return add({{"type", "finding"},
                {"test", name(test)},
                {"code", code},
                {"severity", "driver"},
                {"subject", {{"kind", "device"}, {"name", "GPU 0"}}},
                {"detail", detail},
                {"cause", "Because."},
                {"remedy", "Mend it."},
                {"evidence", {{"expected", 1}}}});
  }
  JournalText& figure(const std::string& test, Json value) {
    return add({{"type", "figure"},
                {"test", name(test)},
                {"name", "copy-bandwidth"},
                {"value", value},
                {"unit", "GB/s"},
                {"subject", {{"kind", "device"}, {"name", "GPU 0"}}},
                {"samples", Json::array({value})},
                {"formula", "bytes / time"},
                {"floor", {{"value", 1.0}, {"reason", "written down"}}}});
  }
  JournalText& end(const std::string& test, const std::string& outcome,
                   const std::string& skip_reason = "") {
    return add({{"type", "test-end"},
                {"test", name(test)},
                {"outcome", outcome},
                {"skip_reason", skip_reason},
                {"seconds", 0.5}});
  }
  JournalText& passed(const std::string& test) {
    return start(test).verified(test).end(test, "passed");
  }
  JournalText& process_end(int code, const std::string& reason = "") {
    return add({{"type", "process-end"}, {"exit_code", code}, {"reason", reason}});
  }
  JournalText& add(Json record) {
    record["time"] = 1000.0 + time_++;
    text_ += record.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string name(const std::string& test) const { return entry_ + "." + test; }
  std::string entry_, text_;
  int time_ = 0;
};

std::string launch_start(const std::string& entry) {
  return Json{{"type", "entry-start"}, {"run", kRun},           {"entry", entry}, {"attempt", 1},
              {"command", {"suite"}},  {"limit_seconds", 60.0}, {"time", 1000.0}}
             .dump() +
         '\n';
}

std::string launch(const std::string& entry, const std::string& end, int code,
                   const std::string& output = "") {
  return launch_start(entry) +
         Json{{"type", "entry-end"}, {"run", kRun},         {"entry", entry},
              {"end", end},          {"code", code},        {"seconds", 1.5},
              {"output", output},    {"output_cut", false}, {"time", 1100.0}}
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         '\n';
}

/// Two layers: "memory" stands on "driver"; both have a gate, memory has another entry.
class ReportResults : public testing::Test {
 protected:
  ReportResults() {
    records.run.id = kRun;
    records.run.started = 999;
    records.run.level = "standard";
    records.run.cuda_origin = "nix";
    records.now = 2000;
    records.manifests = {
        {"memory",
         {"driver"},
         {{"memory.Gate", "quick", true, {"memory.Gate.A"}},
          {"memory.Copy", "standard", false, {"memory.Copy.A", "memory.Copy.B", "memory.Copy.C"}},
          {"memory.Soak", "stress", false, {"memory.Soak.A"}}}},
        {"driver", {}, {{"driver.Gate", "quick", true, {"driver.Gate.A"}}}}};
    order_by_need(records.manifests, records.warnings);
  }

  void add(const std::string& entry, const JournalText& journal, const std::string& launched) {
    EntryRecord& record = records.entries[entry];
    read_launch_journal(launched, entry, kRun, "launch", record, records.warnings);
    read_suite_journal(journal.text(), entry, kRun, "suite", record, records.warnings);
  }
  void add_passed_gates() {
    for (const char* gate : {"driver.Gate", "memory.Gate"}) {
      add(gate, JournalText(gate).passed("A").process_end(0), launch(gate, "exited", 0));
    }
  }
  /// What is made of a run in which the gates passed and memory.Copy left this.
  Json judge_copy(const JournalText& journal, const std::string& launched) {
    add_passed_gates();
    add("memory.Copy", journal, launched);
    return judge(records);
  }
  static JournalText all_passed() {
    return JournalText("memory.Copy").passed("A").passed("B").passed("C").process_end(0);
  }
  static std::string outcome(const Json& results, const std::string& test) {
    for (const Json& item : results["tests"]) {
      if (item["name"] == test) return item["outcome"].get<std::string>();
    }
    return "not listed";
  }
  static std::string blocked_by(const Json& results, const std::string& test) {
    for (const Json& item : results["tests"]) {
      if (item["name"] == test && item["blocked_by"].is_string()) {
        return item["blocked_by"].get<std::string>();
      }
    }
    return "";
  }
  static std::string first_code(const Json& results) {
    return results["first_finding"].is_null() ? ""
                                              : results["first_finding"]["code"].get<std::string>();
  }

  Records records;
};

TEST_F(ReportResults, WhereEverythingPassedIsConformant) {
  const Json results = judge_copy(all_passed(), launch("memory.Copy", "exited", 0));
  EXPECT_EQ(results["verdict"], "conformant");
  EXPECT_EQ(results["counts"]["passed"], 5);
  EXPECT_TRUE(results["first_finding"].is_null());
  EXPECT_TRUE(results["warnings"].empty()) << results["warnings"];
}

TEST_F(ReportResults, EntriesSayWhenTheyBegan) {
  const Json results = judge_copy(all_passed(), launch("memory.Copy", "exited", 0));
  for (const Json& entry : results["entries"]) {
    EXPECT_EQ(entry["started"], entry["process"].is_null() ? Json(nullptr) : Json(1000.0));
  }
}

TEST_F(ReportResults, EntriesAboveTheLevelAreNotSelected) {
  const Json results = judge_copy(all_passed(), launch("memory.Copy", "exited", 0));
  EXPECT_EQ(results["entries"].back()["outcome"], "not-selected");
  EXPECT_EQ(outcome(results, "memory.Soak.A"), "not listed");
}

TEST_F(ReportResults, OnlySelectedEntriesCount) {
  records.run.selection = {{"driver.Gate", "driver", "quick"}, {"memory.Gate", "memory", "quick"}};
  add_passed_gates();
  EXPECT_EQ(judge(records)["verdict"], "conformant");
}

TEST_F(ReportResults, ASelectedEntryWithoutARecordIsAnError) {
  add_passed_gates();
  const Json results = judge(records);
  EXPECT_EQ(results["verdict"], "not-conformant");
  EXPECT_EQ(outcome(results, "memory.Copy.B"), "error");
  EXPECT_EQ(first_code(results), "suite.no-record");
}

TEST_F(ReportResults, ASelectedEntryWithoutAManifestIsAnError) {
  records.run.selection = {{"driver.Gate", "driver", "quick"},
                           {"memory.Gate", "memory", "quick"},
                           {"peer.Gate", "peer", "quick"}};
  add_passed_gates();
  const Json results = judge(records);
  EXPECT_EQ(outcome(results, "peer.Gate"), "error");
  EXPECT_EQ(results["verdict"], "not-conformant");
}

TEST_F(ReportResults, AFailedGateBlocksEveryLayerAboveByItsFirstFailedTest) {
  add("driver.Gate",
      JournalText("driver.Gate")
          .start("A")
          .finding("A", "driver.not-found")
          .end("A", "failed")
          .process_end(1),
      launch("driver.Gate", "exited", 1));
  const Json results = judge(records);
  EXPECT_EQ(outcome(results, "driver.Gate.A"), "failed");
  for (const char* test : {"memory.Gate.A", "memory.Copy.A", "memory.Copy.C"}) {
    EXPECT_EQ(outcome(results, test), "blocked") << test;
    EXPECT_EQ(blocked_by(results, test), "driver.Gate.A") << test;
  }
  EXPECT_EQ(first_code(results), "driver.not-found");
  EXPECT_EQ(results["findings"].size(), 1);
}

TEST_F(ReportResults, TheFindingOfTheLowestLayerComesFirst) {
  // The upper layer's finding is older, which must not matter.
  add("driver.Gate",
      JournalText("driver.Gate")
          .start("A")
          .verified("A")
          .verified("A")
          .verified("A")
          .finding("A", "driver.old")
          .end("A", "failed")
          .process_end(1),
      launch("driver.Gate", "exited", 1));
  add("memory.Gate",
      JournalText("memory.Gate")
          .start("A")
          .finding("A", "memory.wrong")
          .end("A", "failed")
          .process_end(1),
      launch("memory.Gate", "exited", 1));
  EXPECT_EQ(first_code(judge(records)), "driver.old");
}

TEST_F(ReportResults, ATestThatDidNotEndHasCrashedAndBlocksTheRest) {
  const Json results = judge_copy(JournalText("memory.Copy").passed("A").start("B"),
                                  launch("memory.Copy", "signalled", 11, "last words"));
  EXPECT_EQ(outcome(results, "memory.Copy.A"), "passed");
  EXPECT_EQ(outcome(results, "memory.Copy.B"), "crashed");
  EXPECT_EQ(outcome(results, "memory.Copy.C"), "blocked");
  EXPECT_EQ(blocked_by(results, "memory.Copy.C"), "memory.Copy.B");
  EXPECT_EQ(first_code(results), "suite.crashed");
  EXPECT_EQ(results["first_finding"]["evidence"]["signal"], 11);
  EXPECT_EQ(results["first_finding"]["evidence"]["output"], "last words");
}

TEST_F(ReportResults, ATestAtTheLimitHasTimedOut) {
  const Json results = judge_copy(JournalText("memory.Copy").passed("A").start("B"),
                                  launch("memory.Copy", "timed-out", 0));
  EXPECT_EQ(outcome(results, "memory.Copy.B"), "timed-out");
  EXPECT_EQ(first_code(results), "suite.timed-out");
}

TEST_F(ReportResults, ALauncherThatWasKilledAfterTheLimitMeansATimeOut) {
  add_passed_gates();
  add("memory.Copy", JournalText("memory.Copy").passed("A").start("B"),
      launch_start("memory.Copy"));
  EXPECT_EQ(outcome(judge(records), "memory.Copy.B"), "timed-out");
  records.now = 1010;
  const Json early = judge(records);
  EXPECT_EQ(outcome(early, "memory.Copy.B"), "error");
  EXPECT_EQ(first_code(early), "suite.interrupted");
}

TEST_F(ReportResults, AProcessWithoutAJournalDidNotStart) {
  add_passed_gates();
  read_launch_journal(launch("memory.Copy", "exited", 127, "libcudart.so.13: cannot open"),
                      "memory.Copy", kRun, "launch", records.entries["memory.Copy"],
                      records.warnings);
  const Json results = judge(records);
  EXPECT_EQ(outcome(results, "memory.Copy.A"), "error");
  EXPECT_EQ(outcome(results, "memory.Copy.B"), "blocked");
  EXPECT_EQ(first_code(results), "suite.did-not-start");
}

TEST_F(ReportResults, ACrashBeforeTheFirstTestIsACrash) {
  const Json results =
      judge_copy(JournalText("memory.Copy"), launch("memory.Copy", "signalled", 6));
  EXPECT_EQ(outcome(results, "memory.Copy.A"), "crashed");
}

TEST_F(ReportResults, AnAbandonedProcessBlocksWhatItDidNotRun) {
  const Json results = judge_copy(JournalText("memory.Copy")
                                      .start("A")
                                      .finding("A", "runtime.context-lost")
                                      .end("A", "failed")
                                      .process_end(1, "runtime.context-lost: lost"),
                                  launch("memory.Copy", "exited", 1));
  EXPECT_EQ(outcome(results, "memory.Copy.A"), "failed");
  EXPECT_EQ(outcome(results, "memory.Copy.C"), "blocked");
  EXPECT_EQ(blocked_by(results, "memory.Copy.C"), "memory.Copy.A");
  EXPECT_EQ(results["findings"].size(), 1);
}

TEST_F(ReportResults, ATestThatAnOrderlyProcessDidNotRunIsAnError) {
  const Json results = judge_copy(JournalText("memory.Copy").passed("A").passed("B").process_end(0),
                                  launch("memory.Copy", "exited", 0));
  EXPECT_EQ(outcome(results, "memory.Copy.C"), "error");
  EXPECT_EQ(first_code(results), "suite.no-record");
}

TEST_F(ReportResults, ACrashAfterTheLastTestIsNotConformant) {
  const Json results = judge_copy(all_passed(), launch("memory.Copy", "signalled", 11));
  EXPECT_EQ(results["verdict"], "not-conformant");
  EXPECT_EQ(outcome(results, "memory.Copy.C"), "crashed");
}

TEST_F(ReportResults, AnExitCodeThatContradictsTheTestsIsNotConformant) {
  add_passed_gates();
  add("memory.Copy", all_passed(), launch("memory.Copy", "exited", 1));
  EXPECT_EQ(judge(records)["verdict"], "not-conformant");
}

TEST_F(ReportResults, SlowIsNotConformantAndIsNoFailure) {
  const Json results = judge_copy(JournalText("memory.Copy")
                                      .passed("A")
                                      .passed("B")
                                      .start("C")
                                      .verified("C")
                                      .figure("C", 0.5)
                                      .finding("C", "memory.slow")
                                      .end("C", "slow")
                                      .process_end(1),
                                  launch("memory.Copy", "exited", 1));
  EXPECT_EQ(outcome(results, "memory.Copy.C"), "slow");
  EXPECT_EQ(results["verdict"], "not-conformant");
  EXPECT_EQ(results["counts"]["failed"], 0);
}

TEST_F(ReportResults, SkipsKeepTheirReasonAndDoNotFailTheRun) {
  const Json results = judge_copy(JournalText("memory.Copy")
                                      .passed("A")
                                      .start("B")
                                      .end("B", "skipped", "needs 2 GPUs")
                                      .passed("C")
                                      .process_end(0),
                                  launch("memory.Copy", "exited", 0));
  EXPECT_EQ(results["verdict"], "conformant");
  EXPECT_NE(table(results, "/r", false).find("memory.Copy.B: needs 2 GPUs"), std::string::npos);
  EXPECT_NE(junit(results).find("<skipped message=\"needs 2 GPUs\"/>"), std::string::npos);
}

TEST_F(ReportResults, OnlySkipsAreNotConformant) {
  records.run.selection = {{"memory.Copy", "memory", "standard"}};
  add("memory.Copy",
      JournalText("memory.Copy")
          .start("A")
          .end("A", "skipped", "x")
          .start("B")
          .end("B", "skipped", "x")
          .start("C")
          .end("C", "skipped", "x")
          .process_end(77),
      launch("memory.Copy", "exited", 77));
  const Json results = judge(records);
  EXPECT_EQ(results["verdict"], "not-conformant");
  EXPECT_EQ(first_code(results), "suite.run-verified-nothing");
}

TEST_F(ReportResults, AnEmptySelectionIsNotConformant) {
  records.run.selection.emplace();
  const Json results = judge(records);
  EXPECT_EQ(results["verdict"], "not-conformant");
  EXPECT_EQ(first_code(results), "suite.run-verified-nothing");
}

TEST_F(ReportResults, APassWithoutAnythingVerifiedIsAFailure) {
  const Json results = judge_copy(JournalText("memory.Copy")
                                      .start("A")
                                      .end("A", "passed")
                                      .passed("B")
                                      .passed("C")
                                      .process_end(0),
                                  launch("memory.Copy", "exited", 0));
  EXPECT_EQ(outcome(results, "memory.Copy.A"), "failed");
  EXPECT_EQ(first_code(results), "suite.nothing-verified");
}

TEST_F(ReportResults, AJournalOfAnotherRunIsLeftOut) {
  add_passed_gates();
  EntryRecord& record = records.entries["memory.Copy"];
  read_launch_journal(launch("memory.Copy", "exited", 0), "memory.Copy", kRun, "launch", record,
                      records.warnings);
  read_suite_journal(all_passed().text(), "memory.Copy", "run-2", "suite", record,
                     records.warnings);
  EXPECT_TRUE(record.tests.empty());
  EXPECT_FALSE(records.warnings.empty());
}

TEST_F(ReportResults, AJournalCutAnywhereIsNeverConformant) {
  add_passed_gates();
  const std::string whole = all_passed().text();
  const Records before = records;
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    records = before;
    EntryRecord& record = records.entries["memory.Copy"];
    read_launch_journal(launch("memory.Copy", "signalled", 9), "memory.Copy", kRun, "launch",
                        record, records.warnings);
    read_suite_journal(whole.substr(0, bytes), "memory.Copy", kRun, "suite", record,
                       records.warnings);
    const Json results = judge(records);
    ASSERT_EQ(results["verdict"], "not-conformant") << "cut after byte " << bytes;
    ASSERT_FALSE(first_code(results).empty()) << "cut after byte " << bytes;
    ASSERT_EQ(results["tests"].size(), 5) << "cut after byte " << bytes;
    const bool whole_lines = bytes == 0 || whole[bytes - 1] == '\n';
    ASSERT_EQ(results["warnings"].empty(), whole_lines) << "cut after byte " << bytes;
  }
}

TEST_F(ReportResults, ADamagedLineIsAWarningAndNoCrash) {
  add_passed_gates();
  JournalText journal("memory.Copy");
  journal.passed("A").passed("B").passed("C").process_end(0);
  std::string text = journal.text();
  for (const char* line :
       {"", "null", "[]", "{", "[[[[[[[[", "\"\xff\"", "{\"type\":5}", "{\"type\":\"x\"}",
        "{\"type\":\"test-start\",\"time\":1}", "{\"type\":\"fact\",\"time\":\"now\"}",
        "{\"type\":\"verified\",\"test\":\"memory.Copy.A\",\"count\":-1,\"what\":\"x\",\"time\":1}",
        "{\"type\":\"verified\",\"test\":\"memory.Copy.A\",\"count\":1e999,\"what\":\"x\"}",
        "{\"type\":\"figure\",\"test\":\"memory.Copy.A\",\"samples\":\"many\"}",
        "{\"type\":\"test-end\",\"test\":\"memory.Copy.A\",\"outcome\":\"perfect\"}"}) {
    text += std::string(line) + '\n';
  }
  EntryRecord& record = records.entries["memory.Copy"];
  read_launch_journal(launch("memory.Copy", "exited", 0), "memory.Copy", kRun, "launch", record,
                      records.warnings);
  read_suite_journal(text, "memory.Copy", kRun, "suite", record, records.warnings);
  const Json results = judge(records);
  // Ten warnings and one that says how many more: what was recorded before stays valid.
  EXPECT_EQ(results["warnings"].size(), 11) << results["warnings"].dump(2);
  EXPECT_EQ(results["verdict"], "conformant");
}

TEST_F(ReportResults, CountsThatOverflowStayLarge) {
  add_passed_gates();
  JournalText journal("memory.Copy");
  journal.start("A").verified("A", 18446744073709551615u).verified("A", 2).end("A", "passed");
  journal.passed("B").passed("C").process_end(0);
  add("memory.Copy", journal, launch("memory.Copy", "exited", 0));
  EXPECT_EQ(judge(records)["verdict"], "conformant");
}

TEST_F(ReportResults, AFigureThatIsNoNumberIsKept) {
  const Json results = judge_copy(JournalText("memory.Copy")
                                      .passed("A")
                                      .passed("B")
                                      .start("C")
                                      .verified("C")
                                      .figure("C", nullptr)
                                      .finding("C", "memory.slow")
                                      .end("C", "slow")
                                      .process_end(1),
                                  launch("memory.Copy", "exited", 1));
  EXPECT_TRUE(results["warnings"].empty()) << results["warnings"];
  EXPECT_FALSE(junit(results).empty());
  EXPECT_FALSE(table(results, "/r", false).empty());
}

TEST_F(ReportResults, LayersThatNeedEachOtherAreAWarning) {
  records.manifests = {{"a", {"b"}, {}}, {"b", {"a"}, {}}};
  order_by_need(records.manifests, records.warnings);
  EXPECT_EQ(records.manifests.size(), 2);
  EXPECT_EQ(records.warnings.size(), 1);
}

TEST_F(ReportResults, ASimulatedRunSaysSoEverywhere) {
  records.run.simulated = true;
  records.run.selection = {{"driver.Gate", "driver", "quick"}, {"memory.Gate", "memory", "quick"}};
  add_passed_gates();
  const Json results = judge(records);
  EXPECT_TRUE(table(results, "/r", false).starts_with("simulated: CUDA conformance"));
  const std::string xml = junit(results);
  EXPECT_NE(xml.find("<testsuites name=\"simulated: CUDA conformance\""), std::string::npos);
  EXPECT_NE(xml.find("<testsuite name=\"simulated: memory.Gate\""), std::string::npos);
  EXPECT_EQ(xml.find("<testsuite name=\"memory.Gate\""), std::string::npos);
  EXPECT_NE(html(results).find("<title>simulated: "), std::string::npos);
  EXPECT_NE(xml.find("name=\"figures\" value=\"of modelled time\""), std::string::npos);
  EXPECT_NE(html(results).find("<b>Simulated GPUs.</b>"), std::string::npos);
  EXPECT_EQ(figures_title(results), "Figures, of modelled time");
}

/// Text that breaks whatever is not escaped.
const std::string kHostile = std::string("]]><script>\x1b[31m&\"'\xff\xc3\0\r\n", 24) + "\uFFFE😀";

TEST_F(ReportResults, HostileTextLeavesEveryReportWellFormed) {
  add_passed_gates();
  JournalText journal("memory.Copy");
  journal.passed("A").start("B").finding("B", kHostile, kHostile).verified("B");
  journal.add({{"type", "message"}, {"test", "memory.Copy.B"}, {"text", kHostile}});
  journal.add({{"type", "fact"}, {"name", kHostile}, {"value", kHostile}});
  for (const char* kind : {"pair", kHostile.c_str()}) {
    journal.add({{"type", "figure"},
                 {"test", "memory.Copy.B"},
                 {"name", kHostile + "-8B"},
                 {"value", 1.0},
                 {"unit", kHostile},
                 {"subject", {{"kind", kind}, {"name", kHostile}}},
                 {"samples", {1.0, 2.0}},
                 {"formula", kHostile},
                 {"limit", {{"value", 3.0}, {"source", kHostile}}},
                 {"floor", {{"value", 1.0}, {"reason", kHostile}}}});
  }
  journal.add(
      {{"type", "claim"}, {"test", "memory.Copy.B"}, {"text", kHostile}, {"source", kHostile}});
  journal.end("B", "failed").start("C").end("C", "skipped", kHostile).process_end(1);
  add("memory.Copy", journal, launch("memory.Copy", "exited", 1, kHostile));
  const Json results =
      Json::parse(judge(records).dump(2, ' ', false, Json::error_handler_t::replace));

  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / fmt::format("junit-{}.xml", ::getpid());
  write_file(path, junit(results));
  ChildOptions options;
  options.argv = {"xmllint", "--noout", "--schema", JUNIT_SCHEMA, path.native()};
  const ChildResult lint = run_child(options);
  EXPECT_TRUE(lint.succeeded()) << lint.describe() << lint.error;
  std::filesystem::remove(path);

  EXPECT_EQ(html(results).find("<script>"), std::string::npos);
  for (const char control : {'\x1b', '\r', '\0'}) {
    EXPECT_EQ(metrics(results).find(control), std::string::npos);
    EXPECT_EQ(measurements(records.entries["memory.Copy"]).find(control), std::string::npos);
  }
  const std::string shown = table(results, kHostile, false);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
  EXPECT_EQ(shown.find('\r'), std::string::npos);
}

TEST_F(ReportResults, TheTableShowsTheVerdictOnDriverAndToolkit) {
  add_passed_gates();
  EXPECT_EQ(table(judge(records), "/r", false).find("Versions:"), std::string::npos);
  JournalText journal("memory.Copy");
  journal.add({{"type", "fact"}, {"name", "driver.verdict"}, {"value", "driver 1 x toolkit 2"}});
  journal.passed("A").passed("B").passed("C").process_end(0);
  add("memory.Copy", journal, launch("memory.Copy", "exited", 0));
  EXPECT_NE(table(judge(records), "/r", false).find("\n  Versions: driver 1 x toolkit 2\n"),
            std::string::npos);
}

TEST_F(ReportResults, TheTableIsNeverWiderThan120Characters) {
  add_passed_gates();
  JournalText journal("memory.Copy");
  const std::string much(500, 'x');
  journal.passed("A")
      .start("B")
      .verified("B")
      .figure("B", 1234567.891)
      .finding("B", "memory." + much, much + " " + much)
      .end("B", "failed")
      .start("C")
      .end("C", "skipped", much)
      .process_end(1);
  add("memory.Copy", journal, launch("memory.Copy", "exited", 1));
  const std::string shown = table(judge(records), "/" + much, false);
  for (std::size_t start = 0; start < shown.size();) {
    const std::size_t end = shown.find('\n', start);
    EXPECT_LE(length(shown.substr(start, end - start)), 120u);
    start = end + 1;
  }
}

}  // namespace
}  // namespace conformance::report
