#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "ci/report/journals.h"
#include "ci/report/progress.h"
#include "ci/report/run.h"
#include "fixtures/scratch_folder.h"

namespace conformance::report {
namespace {

class ReportProgress : public testing::Test {
 protected:
  ReportProgress() {
    prepare(folder);
    Json selection = Json::array();
    for (const char* name : {"memory.Gate", "memory.Patterns", "memory.Soak"}) {
      selection.push_back(
          {{"name", name},
           {"layer", "memory"},
           {"level", std::string_view(name).ends_with("Soak") ? "stress" : "quick"}});
    }
    write_file(folder.run(), Json{{"schema", "cuda-conformance/run"},
                                  {"schema_version", 1},
                                  {"id", "run-1"},
                                  {"started", 1000.0},
                                  {"level", "stress"},
                                  {"cuda_origin", "any"},
                                  {"simulated", true},
                                  {"selection", selection},
                                  {"ctest", nullptr}}
                                 .dump());
  }

  void start(const std::string& entry, double time, int limit) {
    launch += Json{{"type", "entry-start"},
                   {"run", "run-1"},
                   {"entry", entry},
                   {"limit_seconds", limit},
                   {"time", time}}
                  .dump() +
              '\n';
    write_file(folder.launch_journal(entry), launch);
    launch.clear();
  }
  void end(const std::string& entry) {
    write_file(
        folder.launch_journal(entry),
        Json{{"type", "entry-end"}, {"run", "run-1"}, {"entry", entry}, {"time", 0}}.dump() + '\n');
  }
  void test(const std::string& entry, const std::string& name, double time) {
    write_file(folder.suite_journal(entry),
               Json{{"test", name}, {"time", time}, {"type", "test-start"}}.dump() +
                   "\n{\"type\":\"figure\",\"test\":\"\"}\n{\"type\":\"test-e");
  }

  const ScratchFolder scratch{testing::TempDir() + "/progress"};
  const Folder folder{scratch.path()};
  std::string launch;
};

TEST_F(ReportProgress, SaysWhatRunsAndHowLongItMayTake) {
  Progress progress(folder, "run-1", std::chrono::seconds(60));
  EXPECT_EQ(progress.line(1001, 100), "");
  start("memory.Gate", 1000, 60);
  EXPECT_EQ(progress.line(1002, 100), "[0 of 3] memory.Gate, 2 s, at most 58 s left");
  test("memory.Gate", "memory.Gate.Works", 1000.5);
  EXPECT_EQ(progress.line(1002, 100), "[0 of 3] memory.Gate.Works, 2 s, at most 58 s left");
  end("memory.Gate");
  EXPECT_EQ(progress.line(1003, 100), "");
  start("memory.Patterns", 1003, 300);
  start("memory.Soak", 1004, 608400);
  EXPECT_EQ(progress.line(1008, 100), "[1 of 3] memory.Patterns, 5 s, at most 5 min left (1 more)");
  end("memory.Patterns");
  test("memory.Soak", "memory.Soak.Holds", 1010);
  EXPECT_EQ(progress.line(1020, 100), "[2 of 3] memory.Soak.Holds, 16 s, about 50 s left");
  EXPECT_EQ(progress.line(1020, 20), "[2 of 3] memory.Soa…");
}

TEST_F(ReportProgress, SaysHowLongTheRunWillTakeIfAnEarlierOneTells) {
  const auto entry = [](const char* name, double seconds) {
    return Json{{"name", name}, {"seconds", seconds}};
  };
  write_file(
      folder.results(),
      Json{{"schema", "cuda-conformance/results"},
           {"schema_version", 1},
           {"run", {{"started", 0.0}, {"ended", 20.0}}},
           {"entries",
            {entry("memory.Gate", 2), entry("memory.Patterns", 20), entry("memory.Soak", 18)}}}
          .dump());
  Progress progress(folder, "run-1", std::chrono::seconds(60));
  end("memory.Gate");
  start("memory.Patterns", 1000, 120);
  EXPECT_EQ(progress.line(1010, 100),
            "[1 of 3] memory.Patterns, 10 s, at most 2 min left; in all about 14 s");
}

TEST_F(ReportProgress, TheLineStandsBelowWhatIsPassedOnAndGoesAtTheEnd) {
  start("memory.Gate", unix_time(), 60);
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  ASSERT_EQ(::pipe(in.data()), 0);
  ASSERT_EQ(::pipe(out.data()), 0);
  ASSERT_EQ(::write(in[1], "a line\n", 7), 7);
  ::close(in[1]);
  Progress progress(folder, "run-1", std::chrono::seconds(60));
  pass_on_with_progress(in[0], out[1], progress);
  ::close(in[0]);
  ::close(out[1]);
  std::array<char, 200> seen{};
  EXPECT_GT(::read(out[0], seen.data(), seen.size() - 1), 0);
  ::close(out[0]);
  const std::string_view text = seen.data();
  EXPECT_TRUE(text.starts_with("a line\n[0 of 3] memory.Gate, ")) << text;
  EXPECT_TRUE(text.ends_with(" s left\r\x1b[K")) << text;
}

TEST_F(ReportProgress, TheLineFitsTheTerminalAndLeavesNothingOfItself) {
  start("memory.Gate", unix_time(), 60);
  const int screen = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(screen, 0);
  ASSERT_EQ(::grantpt(screen), 0);
  ASSERT_EQ(::unlockpt(screen), 0);
  const int terminal = ::open(::ptsname(screen), O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  winsize size{};
  size.ws_col = 20;
  ASSERT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
  std::array<int, 2> in{};
  ASSERT_EQ(::pipe(in.data()), 0);
  ASSERT_EQ(::write(in[1], "a line\n", 7), 7);
  ::close(in[1]);
  Progress progress(folder, "run-1", std::chrono::seconds(60));
  pass_on_with_progress(in[0], terminal, progress);
  ::close(in[0]);
  // What was written arrives in pieces, all of it before the error by which the screen tells that
  // nobody has the terminal open.
  ::close(terminal);
  std::string seen;
  for (char byte = 0; ::read(screen, &byte, 1) == 1;) seen += byte;
  ::close(screen);
  // Of twenty columns the last stays free, so that nothing wraps.
  EXPECT_EQ(seen, "a line\r\n[0 of 3] memory.Ga…\r\x1b[K");
}

TEST_F(ReportProgress, OfAnotherRunNothingIsSaid) {
  Progress progress(folder, "run-2", std::chrono::seconds(60));
  start("memory.Gate", 1000, 60);
  EXPECT_EQ(progress.line(1002, 100), "");
}

}  // namespace
}  // namespace conformance::report
