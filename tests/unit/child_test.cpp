#include "fixtures/child.h"

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace conformance {
namespace {

using End = ChildResult::End;

ChildOptions shell(const std::string& script) {
  ChildOptions options;
  options.argv = {"sh", "-c", script};
  return options;
}

TEST(Child, ExitCodeAndBothStreamsComeBack) {
  const ChildResult result = run_child(shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(result.end, End::exited);
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.error, "err\n");
}

TEST(Child, MergedStreamsKeepTheirOrder) {
  ChildOptions options = shell("echo 1; echo 2 >&2; echo 3");
  options.merge_streams = true;
  EXPECT_EQ(run_child(options).output, "1\n2\n3\n");
}

TEST(Child, ASignalIsNoExitCode) {
  const ChildResult result = run_child(shell("kill -SEGV $$"));
  EXPECT_EQ(result.end, End::signalled);
  EXPECT_EQ(result.code, SIGSEGV);
}

TEST(Child, AProgramThatIsNotThereIsNotStarted) {
  ChildOptions options;
  options.argv = {"/nonexistent/program"};
  const ChildResult result = run_child(options);
  EXPECT_EQ(result.end, End::not_started);
  EXPECT_EQ(result.code, ENOENT);
}

TEST(Child, AnArgumentWithANulIsRefused) {
  ChildOptions options;
  options.argv = {"echo", std::string("a\0b", 3)};
  EXPECT_EQ(run_child(options).end, End::not_started);
}

TEST(Child, TheProcessorTimeAndMemoryOfDescendantsCount) {
  const ChildResult result =
      run_child(shell("sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; true"));
  EXPECT_GT(result.cpu_seconds, 0.02);
  EXPECT_LT(result.cpu_seconds, result.seconds + 0.05);
  EXPECT_GT(result.peak_bytes, 100'000U);
#if defined(__SANITIZE_ADDRESS__)
  // The child begins with the memory of this process, which is larger under sanitizers.
  EXPECT_LT(result.peak_bytes, 500'000'000U);
#else
  EXPECT_LT(result.peak_bytes, 100'000'000U);
#endif
}

TEST(Child, ADeadlineEndsTheChildAndItsChildren) {
  ChildOptions options = shell("sleep 1000 & echo $!; wait");
  options.deadline = std::chrono::milliseconds(500);
  const ChildResult result = run_child(options);
  EXPECT_EQ(result.end, End::timed_out);
  EXPECT_LT(result.seconds, 30);
  const int grandchild = std::stoi(result.output);
  // The kernel removes it a little later.
  for (int i = 0; i < 500 && ::kill(grandchild, 0) == 0; ++i) {
    std::string state;
    std::ifstream stat("/proc/" + std::to_string(grandchild) + "/stat");
    for (int field = 0; field < 3; ++field) stat >> state;
    if (state == "Z") return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_NE(::kill(grandchild, 0), 0);
}

TEST(Child, AGrandchildThatHoldsThePipesDoesNotKeepUsWaiting) {
  const ChildResult result = run_child(shell("sleep 1000 & echo done"));
  EXPECT_EQ(result.end, End::exited);
  EXPECT_EQ(result.output, "done\n");
}

TEST(Child, CancellingEndsTheChild) {
  ChildOptions options = shell("echo started; exec sleep 1000");
  bool seen = false;
  options.on_output = [&](std::string_view) { seen = true; };
  options.cancelled = [&] { return seen; };
  EXPECT_EQ(run_child(options).end, End::cancelled);
}

TEST(Child, OfMuchOutputTheEndIsKept) {
  ChildOptions options = shell("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done");
  options.output_limit = 64;
  std::size_t passed_on = 0;
  options.on_output = [&](std::string_view piece) { passed_on += piece.size(); };
  const ChildResult result = run_child(options);
  EXPECT_TRUE(result.output_cut);
  EXPECT_EQ(result.output.size(), 64u);
  EXPECT_TRUE(result.output.ends_with("19998\n19999\n"));
  EXPECT_EQ(passed_on, 108890u);
}

TEST(Child, DescriptorsAreHandedOnInTheirOrder) {
  // Those of the second come first, and have the numbers that the child knows others by.
  int first[2], second[2];
  ASSERT_EQ(::pipe2(first, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(second, O_CLOEXEC), 0);
  ASSERT_EQ(::write(first[1], "one\n", 4), 4);
  ASSERT_EQ(::write(second[1], "two\n", 4), 4);
  ChildOptions options =
      shell("read a <&3; read b <&4; echo $a $b; [ ! -e /dev/fd/5 ] && echo end");
  options.descriptors = {second[0], first[0]};
  EXPECT_EQ(run_child(options).output, "two one\nend\n");
  options.descriptors = {-1};
  EXPECT_EQ(run_child(options).end, End::not_started);
  for (const int file : {first[0], first[1], second[0], second[1]}) ::close(file);
}

TEST(Child, TheEnvironmentIsInheritedWithTheChanges) {
  ChildOptions options = shell("echo \"$ADDED|${HOME-unset}|${PATH:+set}\"");
  options.environment["ADDED"] = std::string("a b=c");
  options.environment["HOME"] = std::nullopt;
  EXPECT_EQ(run_child(options).output, "a b=c|unset|set\n");
}

}  // namespace
}  // namespace conformance
