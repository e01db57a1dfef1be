#include "fixtures/kernel_log.h"

#include <cerrno>
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/unit/root_folder.h"

namespace conformance {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFell =
    "NVRM: Xid (PCI:0000:06:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.";

TEST(Kmsg, TheKernelsMessagesOfTheDriverAreKept) {
  const KernelLog log = parse_kmsg(
      "6,0,0,-;Linux version 6.1.0\n"
      "4,7,1200,-;NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05\n"
      " SUBSYSTEM=pci\n DEVICE=+pci:0000:06:00.0\n"
      "4,8,1300,c;" +
      std::string(kFell) + "\n6,9,1400,-;usb 1-1: new device\n");
  EXPECT_TRUE(log.from_the_first_line);
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_EQ(log.lines[1], kFell);
}

TEST(Kmsg, WhatAProgramWroteIsNotTheKernels) {
  // Facility 1: user.
  EXPECT_TRUE(parse_kmsg("12,0,0,-;" + std::string(kFell) + "\n").lines.empty());
}

TEST(Kmsg, TheLinesOfAMessageBecomeOne) {
  const KernelLog log = parse_kmsg(
      "3,0,0,-;NVRM: The NVIDIA GPU 0000:06:00.0 (PCI ID: 10de:2335)\\x0aNVRM: installed in this "
      "system is not supported by the\\x0a\n");
  ASSERT_EQ(log.lines.size(), 1U);
  EXPECT_EQ(log.lines[0],
            "NVRM: The NVIDIA GPU 0000:06:00.0 (PCI ID: 10de:2335) NVRM: installed in this system "
            "is not supported by the");
}

TEST(Kmsg, ABufferThatDroppedItsOldestMessagesIsKnown) {
  EXPECT_FALSE(parse_kmsg("6,512,0,-;nvidia: a\n").from_the_first_line);
}

TEST(Kmsg, OtherTextsGiveNoLines) {
  for (const char* text : {"", "\n\n", "NVRM: bare", ";NVRM", "6;NVRM,", "x,0,0,-;NVRM", " NVRM"}) {
    EXPECT_TRUE(parse_kmsg(text).lines.empty()) << text;
  }
}

TEST(Syslog, OnlyTheLastBootCounts) {
  const auto log = parse_syslog(
      "Nov 20 10:00:00 host kernel: [    0.000000] Linux version 6.1.0\n"
      "Nov 20 10:00:05 host kernel: [    5.000000] NVRM: Xid (PCI:0000:06:00): 31, old\n"
      "Nov 21 10:00:00 host kernel: [    0.000000] Linux version 6.1.0\n"
      "Nov 21 10:00:01 host app[7]: NVRM: not the kernel\n"
      "Nov 21 10:00:05 host kernel: [    5.000000] NVRM: Xid (PCI:0000:06:00): 119, new\n");
  ASSERT_TRUE(log);
  ASSERT_EQ(log->lines.size(), 1U);
  EXPECT_EQ(log->lines[0], "NVRM: Xid (PCI:0000:06:00): 119, new");
}

TEST(Syslog, AFileWithoutAStartIsNotTrusted) {
  EXPECT_EQ(
      parse_syslog("Nov 21 10:00:05 host kernel: NVRM: Xid (PCI:0000:06:00): 79, x\n").error(),
      ENODATA);
}

class LogTree : public RootFolder {};

TEST_F(LogTree, WithoutAnyLogThereIsNone) { EXPECT_TRUE(read_kernel_log(root()).absent()); }

TEST_F(LogTree, WhatCannotBeReadIsNotAnEmptyLog) {
  fs::create_directories(root_ / "dev/kmsg");
  const auto log = read_kernel_log(root());
  EXPECT_TRUE(log.unreadable());
  EXPECT_EQ(log.error(), EISDIR);
}

TEST_F(LogTree, TheLogFileStandsInForTheDevice) {
  write("var/log/kern.log",
        "Nov 21 10:00:00 h kernel: Linux version 6.1\nNov 21 10:00:00 h kernel: nvidia: x\n");
  const auto log = read_kernel_log(root());
  ASSERT_TRUE(log);
  EXPECT_EQ(log->source, "/var/log/kern.log");
  write("dev/kmsg", "6,0,0,-;nvidia: y\n");
  EXPECT_EQ(read_kernel_log(root())->source, "/dev/kmsg");
}

TEST(LinesAbout, ADeviceIsFoundWithAndWithoutItsFunction) {
  KernelLog log;
  log.lines = {"NVRM: GPU 0000:06:00.0: RmInitAdapter failed! (0x62:0xffff:2015)",
               "NVRM: Xid (PCI:0000:16:00): 79, other", std::string(kFell)};
  EXPECT_EQ(lines_about(log, "00000000:06:00.0", 9).size(), 2U);
  EXPECT_EQ(lines_about(log, "00000000:06:00.0", 1), std::vector{std::string(kFell)});
  EXPECT_TRUE(lines_about(log, "00000001:06:00.0", 9).empty());
}

}  // namespace
}  // namespace conformance
