#include "fixtures/error_findings.h"

#include <map>
#include <set>
#include <string_view>

#include <gtest/gtest.h>

namespace conformance {
namespace {

TEST(ErrorFindings, EachKnownCodeHasItsOwnCause) {
  const std::map<int, std::string_view> expected{
      {34, "runtime.stub-library"},        {35, "runtime.insufficient-driver"},
      {36, "runtime.newer-driver-needed"}, {46, "runtime.devices-unavailable"},
      {100, "devices.none-visible"},       {209, "runtime.no-kernel-image"},
      {214, "runtime.ecc-uncorrectable"},  {221, "runtime.jit-compiler-missing"},
      {222, "runtime.unsupported-ptx"},    {802, "runtime.system-not-ready"},
      {803, "runtime.driver-mismatch"},    {804, "runtime.compat-not-supported"},
      {999, "runtime.unknown-error"},
  };
  for (const auto& [error, code] : expected) {
    EXPECT_EQ(kind_of_runtime_error(error).code, code) << error;
  }
}

TEST(ErrorFindings, AnyOtherCodeIsACallThatFailed) {
  for (const int code : {1, 101, 600, -1, 123456}) {
    EXPECT_EQ(kind_of_runtime_error(code).code, "runtime.call-failed") << code;
  }
}

TEST(ErrorFindings, CodesAreUniqueAndSayWhatToDo) {
  std::set<std::string_view> codes;
  for (const FindingKind* kind : error_finding_kinds()) {
    EXPECT_TRUE(codes.insert(kind->code).second) << kind->code;
    EXPECT_TRUE(kind->code.starts_with("runtime.")) << kind->code;
    EXPECT_FALSE(kind->cause.empty()) << kind->code;
    EXPECT_FALSE(kind->remedy.empty()) << kind->code;
  }
}

}  // namespace
}  // namespace conformance
