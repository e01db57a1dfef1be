#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fixtures/child.h"

namespace conformance {
namespace {

ChildResult audit(std::vector<std::string> arguments) {
  ChildOptions options;
  options.argv = {AUDIT_PROGRAM};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  return run_child(options);
}

// The self-test builds the suites' kernels for sm_90, with PTX.
const std::string kSuite = SUITE_WITH_KERNELS;

TEST(Audit, CodeForTheArchitectureIsFound) {
  const ChildResult result = audit({"--for", "sm_90,10.0", kSuite});
  EXPECT_EQ(result.code, 0) << result.output << result.error;
  EXPECT_NE(result.output.find("sm_90: exact"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("10.0: PTX only"), std::string::npos) << result.output;
}

TEST(Audit, CodeThatIsMissingIsTold) {
  const ChildResult result = audit({"--for", "sm_90,sm_80", kSuite});
  EXPECT_EQ(result.code, 1) << result.output << result.error;
  EXPECT_NE(result.output.find("sm_80: missing"), std::string::npos) << result.output;
}

TEST(Audit, WhatCannotBeJudgedIsNoSuccess) {
  EXPECT_EQ(audit({"--for", "sm_90", "/nonexistent"}).code, 2);
  EXPECT_EQ(audit({"--for", "sm_90", AUDIT_PROGRAM}).code, 2) << "it carries no device code";
  EXPECT_EQ(audit({"--for", "sm_90", AUDIT_PROGRAM, kSuite}).code, 0);
  EXPECT_EQ(audit({"--for", "sm_90", "/nonexistent", kSuite}).code, 2);
  EXPECT_EQ(audit({"--for", "hopper", kSuite}).code, 2);
  EXPECT_EQ(audit({"--for", "sm_90"}).code, 2);
}

}  // namespace
}  // namespace conformance
