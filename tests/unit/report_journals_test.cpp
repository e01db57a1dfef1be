#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ci/report/journals.h"

namespace conformance::report {
namespace {

/// What the journal of a process that verified these counts in one test becomes.
TestRecord read(const std::vector<VerifiedCount>& counts) {
  std::string journal;
  const auto add = [&journal](Json record) {
    record["time"] = 1.0;
    journal += record.dump() + '\n';
  };
  add({{"type", "process-start"}, {"run", "run-1"}, {"environment", {{"simulated", false}}}});
  add({{"type", "test-start"}, {"test", "memory.Copy.A"}});
  for (const VerifiedCount& each : counts) {
    add({{"type", "verified"},
         {"test", "memory.Copy.A"},
         {"count", each.count},
         {"what", each.what}});
  }
  EntryRecord record;
  std::vector<std::string> warnings;
  read_suite_journal(journal, "memory.Copy", "run-1", "suite", record, warnings);
  EXPECT_TRUE(warnings.empty()) << warnings.front();
  return record.tests.at(0);
}

TEST(ReportJournals, WhatWasVerifiedIsSummedUpByWhatItWas) {
  const TestRecord test = read({{3, "words"}, {1, "GPUs"}, {4, "words"}, {0, "GPUs"}});
  ASSERT_EQ(test.verified.size(), 2);
  EXPECT_EQ(test.verified[0].what, "words");
  EXPECT_EQ(test.verified[0].count, 7);
  EXPECT_EQ(test.verified[1].what, "GPUs");
  EXPECT_EQ(test.verified[1].count, 1);
  EXPECT_EQ(test.verified_count, 8);
}

TEST(ReportJournals, SumsDoNotOverflow) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  const TestRecord test = read({{kMost - 1, "words"}, {2, "words"}, {1, "GPUs"}});
  ASSERT_EQ(test.verified.size(), 2);
  EXPECT_EQ(test.verified[0].count, kMost);
  EXPECT_EQ(test.verified_count, kMost);
}

}  // namespace
}  // namespace conformance::report
