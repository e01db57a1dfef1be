#include "fixtures/error_findings.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace conformance {
namespace {

TEST(ErrorFindings, EachKnownCodeHasItsOwnCause) {
  EXPECT_EQ(kind_of_runtime_error(34).code, "runtime.stub-library");
  EXPECT_EQ(kind_of_runtime_error(35).code, "runtime.insufficient-driver");
  EXPECT_EQ(kind_of_runtime_error(36).code, "runtime.newer-driver-needed");
  EXPECT_EQ(kind_of_runtime_error(46).code, "runtime.devices-unavailable");
  EXPECT_EQ(kind_of_runtime_error(100).code, "devices.none-visible");
  EXPECT_EQ(kind_of_runtime_error(209).code, "runtime.no-kernel-image");
  EXPECT_EQ(kind_of_runtime_error(214).code, "runtime.ecc-uncorrectable");
  EXPECT_EQ(kind_of_runtime_error(221).code, "runtime.jit-compiler-missing");
  EXPECT_EQ(kind_of_runtime_error(222).code, "runtime.unsupported-ptx");
  EXPECT_EQ(kind_of_runtime_error(802).code, "runtime.system-not-ready");
  EXPECT_EQ(kind_of_runtime_error(803).code, "runtime.driver-mismatch");
  EXPECT_EQ(kind_of_runtime_error(804).code, "runtime.compat-not-supported");
  EXPECT_EQ(kind_of_runtime_error(999).code, "runtime.unknown-error");
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
