#pragma once

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "fixtures/test.h"

/// The fault that is wanted of this process: DUMMY_FAULT is "<what>:<full name of a test or
/// layer>".
inline bool is_faulty(std::string_view what, std::string_view where) {
  const char* wanted = std::getenv("DUMMY_FAULT");
  return wanted != nullptr && wanted == std::string(what) + ":" + std::string(where);
}

inline constexpr conformance::FindingKind broken{"dummy.broken", conformance::Severity::hardware,
                                                 "The dummy was told to fail.", "Do not tell it."};
inline constexpr conformance::FindingKind slow{"dummy.slow", conformance::Severity::hardware,
                                               "The dummy was told to be slow.", "Do not tell it."};

/// Starts a process that outlives us unless somebody ends it, in a process group of its own.
inline void leave_a_process_behind() {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string program = "sleep";
  std::string length = "1000";
  char* const arguments[] = {program.data(), length.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, "sleep", nullptr, &attributes, arguments, environment) == 0) {
    std::printf("LEFT %d\n", child);
    std::fflush(stdout);
  }
  posix_spawnattr_destroy(&attributes);
}

/// A test that passes, unless DUMMY_FAULT names it.
inline void dummy_test() {
  const testing::TestInfo& info = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string name = std::string(conformance::this_layer().name) + "." +
                           info.test_suite_name() + "." + info.name();
  conformance::claim("The dummy works", "nowhere");
  if (is_faulty("crash", name)) std::raise(SIGSEGV);
  if (is_faulty("exit", name)) std::_Exit(0);
  if (is_faulty("hang", name)) {
    leave_a_process_behind();
    for (;;) ::pause();
  }
  if (is_faulty("skip", name)) conformance::skip("told to skip");
  if (is_faulty("skip-silently", name)) GTEST_SKIP();
  if (is_faulty("verify-nothing", name)) return;
  if (is_faulty("fail-silently", name)) FAIL() << "told to fail";
  if (is_faulty("fail", name)) {
    conformance::fail_and_end(
        conformance::Finding(broken, conformance::host_subject(), "told to fail"));
  }
  conformance::record({.name = "speed",
                       .unit = "GB/s",
                       .subject = {"device", "GPU 0"},
                       .samples = {is_faulty("slow", name) ? 1.0 : 10.0},
                       .formula = "none",
                       .floor = conformance::Floor{5.0, "the test says so"}},
                      slow);
  conformance::verified(1, "dummies");
}

/// For this_layer(), which main calls before it opens the journal.
inline conformance::Layer dummy_layer(std::string_view name) {
  static constexpr const conformance::FindingKind* kinds[] = {&broken, &slow};
  if (is_faulty("abort-early", name)) std::abort();
  return {name, kinds};
}
