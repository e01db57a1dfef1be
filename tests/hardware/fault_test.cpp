#include "tests/hardware/fault.h"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace conformance::hardware {
namespace {

/// Why a text is no fault; empty if it is one.
std::string refusal(const std::string& text) {
  try {
    parse_fault(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(Fault, KeysStandInAnyOrder) {
  const Fault fault = parse_fault("copy-flips-bit bit=7 at=9 least=8 occurrence=2 to=1 from=host");
  EXPECT_EQ(fault.kind, FaultKind::copy_flips_bit);
  EXPECT_EQ(fault.name, "copy-flips-bit");
  EXPECT_EQ(fault.from, kHost);
  EXPECT_EQ(fault.to, 1);
  EXPECT_EQ(fault.occurrence, 2U);
  EXPECT_EQ(fault.least, 8U);
  EXPECT_EQ(fault.at, 9U);
  EXPECT_EQ(fault.bit, 7U);
}

TEST(Fault, TheFunctionIsNamed) {
  const Fault fault = parse_fault("gemm-slow device=3 call=cublasGemmEx percent=30");
  EXPECT_EQ(fault.kind, FaultKind::gemm_slow);
  EXPECT_EQ(fault.device, 3);
  EXPECT_EQ(fault.call, "cublasGemmEx");
  EXPECT_EQ(fault.percent, 30U);
}

TEST(Fault, OnEveryGpuNoneIsNamed) {
  const Fault fault = parse_fault("gemms-flip-bit call=cublasSgemm least=1 at=2 bit=3");
  EXPECT_EQ(fault.kind, FaultKind::gemms_flip_bit);
  EXPECT_NE(refusal("gemms-flip-bit call=cublasSgemm least=1 at=2 bit=3 device=0").find("no key"),
            std::string::npos);
}

TEST(Fault, WhatIsNotUnderstoodIsRefused) {
  EXPECT_NE(refusal("").find("names no kind"), std::string::npos);
  EXPECT_NE(refusal("gemm-odd device=0").find("kind is not known"), std::string::npos);
  EXPECT_NE(refusal("gemm-slow device").find("has no value"), std::string::npos);
  EXPECT_NE(refusal("gemm-slow rank=0").find("no key \"rank\""), std::string::npos);
  EXPECT_NE(refusal("gemm-slow device=0 device=0").find("stands twice"), std::string::npos);
  EXPECT_NE(refusal("gemm-slow device=0 percent=30").find("\"call\" is missing"),
            std::string::npos);
}

TEST(Fault, ValuesOutOfRangeAreRefused) {
  for (const char* value : {"-1", "x", "", "1x", "0x1", "91", "18446744073709551616"}) {
    EXPECT_NE(refusal("gemm-slow device=0 call=cublasSgemm percent=" + std::string(value))
                  .find("percent is a number from 1 to 90"),
              std::string::npos)
        << value;
  }
  EXPECT_NE(refusal("gemm-slow device=0 call=cublasHgemm percent=30").find("call is"),
            std::string::npos);
  EXPECT_NE(refusal("gemm-slow device=host call=cublasSgemm percent=30").find("device is"),
            std::string::npos);
  EXPECT_NE(refusal("copy-flips-bit from=0 to=1 occurrence=1 least=1 at=0 bit=8").find("bit is"),
            std::string::npos);
}

}  // namespace
}  // namespace conformance::hardware
