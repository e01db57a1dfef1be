#include "suites/devices/xid.h"

#include <gtest/gtest.h>

#include "suites/devices/findings.h"

namespace conformance::devices {
namespace {

std::vector<XidEvent> events(std::vector<std::string> lines) {
  KernelLog log;
  log.lines = std::move(lines);
  return xid_events(log);
}

TEST(Xid, LinesOfOldAndNewDriversAreRead) {
  const auto read = events({"NVRM: Xid (PCI:0000:06:00): 79, pid=1, GPU has fallen off the bus.",
                            "NVRM: Xid (0001:C6:00): 31, Ch 0000000b",
                            "NVRM: GPU at PCI:0000:06:00: GPU-01234567"});
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].number, 79U);
  EXPECT_EQ(read[0].bus_id, "00000000:06:00.0");
  EXPECT_EQ(read[1].number, 31U);
  EXPECT_EQ(read[1].bus_id, "00000001:c6:00.0");
}

TEST(Xid, BrokenLinesAreNoEvents) {
  EXPECT_TRUE(events({"NVRM: Xid (", "NVRM: Xid (PCI:0000:06:00", "NVRM: Xid (PCI:0000:06:00): ",
                      "NVRM: Xid (PCI:zz:06:00): 79", "NVRM: Xid (): 79", "Xid (0000:06:00): 79",
                      "NVRM: Xid (PCI:0000:06:00): 99999999999999999999"})
                  .empty());
}

TEST(Xid, WhatHappenedBeforeTheDriverWasLoadedAgainIsOver) {
  const auto read = events({"NVRM: Xid (PCI:0000:06:00): 119, Timeout",
                            "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05"});
  EXPECT_TRUE(read.empty());
}

TEST(Xid, ARecoveryEndsTheEventsOfItsGpuOnly) {
  const auto read = events(
      {"NVRM: Xid (PCI:0000:06:00): 119, Timeout", "NVRM: Xid (PCI:0000:16:00): 119, Timeout",
       "NVRM: Xid (PCI:0000:06:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) "
       "to 0x0 (None)",
       "NVRM: Xid (PCI:0000:16:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU "
       "Reset Required)"});
  ASSERT_EQ(read.size(), 4U);
  EXPECT_TRUE(read[0].recovered);
  EXPECT_FALSE(read[1].recovered);
  EXPECT_TRUE(read[2].recovered);
  EXPECT_FALSE(read[3].recovered);
}

TEST(Xid, AProgramsOwnErrorIsNoFaultOfTheGpu) {
  for (const unsigned number : {13U, 31U, 43U, 45U, 63U, 92U, 94U}) {
    ASSERT_NE(xid_meaning(number), nullptr) << number;
    EXPECT_EQ(xid_meaning(number)->kind, nullptr) << number;
  }
  for (const unsigned number : {48U, 62U, 64U, 74U, 79U, 95U, 119U, 120U, 140U, 143U, 144U, 150U}) {
    ASSERT_NE(xid_meaning(number), nullptr) << number;
    EXPECT_NE(xid_meaning(number)->kind, nullptr) << number;
  }
  EXPECT_EQ(xid_meaning(1), nullptr);
}

TEST(WhyMissing, TheKernelsReasonIsFound) {
  EXPECT_EQ(&why_missing({"NVRM: The NVIDIA GPU 0000:06:00.0 (PCI ID: 10de:1b06) NVRM: installed "
                          "in this system is not supported by the NVRM: NVIDIA 590.44.01 driver"},
                         not_driven),
            &unsupported_by_driver);
  EXPECT_EQ(&why_missing({"NVRM: GPU 0000:06:00.0: RmInitAdapter failed! (0x62:0xffff:2015)"},
                         missing_from_nvml),
            &start_failed);
  EXPECT_EQ(&why_missing({}, not_driven), &not_driven);
}

}  // namespace
}  // namespace conformance::devices
