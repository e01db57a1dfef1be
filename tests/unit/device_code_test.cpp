#include "fixtures/device_code.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "fixtures/child.h"

namespace conformance {
namespace {

using Kind = DeviceCode::Kind;
using Scope = DeviceCode::Scope;

/// Fat binaries as nvcc writes them, put together by hand.
class Sample {
 public:
  Sample& module(std::initializer_list<std::vector<std::byte>> entries) {
    std::uint64_t size = 0;
    for (const auto& entry : entries) size += entry.size();
    put(std::uint32_t{0xba55ed50});
    put(std::uint16_t{1});
    put(std::uint16_t{16});
    put(size);
    for (const auto& entry : entries) bytes_.insert(bytes_.end(), entry.begin(), entry.end());
    return *this;
  }
  Sample& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  static std::vector<std::byte> entry(std::uint16_t kind, std::uint32_t architecture,
                                      std::uint64_t flags = 0, std::uint32_t compressed = 0) {
    Sample one;
    one.put(kind);
    one.put(std::uint16_t{0x101});
    one.put(std::uint32_t{64});
    one.put(std::uint64_t{32});
    one.put(compressed);
    one.put(std::uint32_t{0});
    one.put(std::uint16_t{3});
    one.put(std::uint16_t{8});
    one.put(architecture);
    one.put(std::uint64_t{0});
    one.put(flags);
    one.zeros(64 + 32 - one.bytes_.size());
    return one.bytes_;
  }

 private:
  template <typename T>
  void put(T value) {
    const auto raw = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  std::vector<std::byte> bytes_;
};

constexpr std::uint16_t kPtx = 1, kBinary = 2;

Sample typical() {
  Sample sample;
  sample.module({Sample::entry(kBinary, 80), Sample::entry(kPtx, 80, 0, 20)})
      .zeros(8)
      .module({Sample::entry(kBinary, 90, 0x10'0011), Sample::entry(kBinary, 100, 0x20'0011),
               Sample::entry(kPtx, 120), Sample::entry(64, 90)});
  return sample;
}

TEST(DeviceCode, EntriesAreReadWithTargetAndLanguage) {
  const DeviceCodeReading read = parse_fat_binary(typical().bytes());
  ASSERT_EQ(read.error, "");
  ASSERT_EQ(read.modules.size(), 2U);
  const DeviceModule& first = read.modules[0];
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].name(), "sm_80");
  EXPECT_EQ(first[0].size, 32U);
  EXPECT_FALSE(first[0].compressed);
  EXPECT_EQ(first[1].name(), "compute_80");
  EXPECT_EQ(first[1].ptx_major, 8);
  EXPECT_EQ(first[1].ptx_minor, 3);
  EXPECT_TRUE(first[1].compressed);
  EXPECT_EQ(first[1].size, 20U);
  const DeviceModule& second = read.modules[1];
  ASSERT_EQ(second.size(), 4U);
  EXPECT_EQ(second[0].name(), "sm_90a");
  EXPECT_EQ(second[1].name(), "sm_100f");
  EXPECT_EQ(second[2].name(), "compute_120");
  EXPECT_EQ(second[3].kind, Kind::other);
}

TEST(DeviceCode, BytesCutAnywhereAreRefusedWithoutHarm) {
  const std::vector<std::byte> whole = typical().bytes();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    // Exactly as long as it says, so that a sanitizer sees the first byte beyond.
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(size));
    const DeviceCodeReading read = parse_fat_binary(part);
    EXPECT_TRUE(read.modules.empty() || read.error.empty());
  }
}

TEST(DeviceCode, EveryByteMayBeAnythingWithoutHarm) {
  const std::vector<std::byte> whole = typical().bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned value : {0x00U, 0x01U, 0x7fU, 0x80U, 0xffU}) {
      std::vector<std::byte> changed = whole;
      changed[at] = static_cast<std::byte>(value);
      const DeviceCodeReading read = parse_fat_binary(changed);
      EXPECT_TRUE(read.modules.empty() || read.error.empty()) << at;
      for (const DeviceModule& module : read.modules) {
        for (const DeviceCode& code : module) {
          EXPECT_LE(code.offset + code.size, changed.size()) << at;
          coverage(code, {9, 0});
          EXPECT_FALSE(code.name().empty());
        }
      }
    }
  }
}

TEST(DeviceCode, MachineCodeRunsWithinItsMajorRevision) {
  const DeviceCode sm_86{Kind::binary, Scope::portable, {8, 6}};
  EXPECT_EQ(coverage(sm_86, {8, 6}), Coverage::exact);
  EXPECT_EQ(coverage(sm_86, {8, 9}), Coverage::compatible);
  EXPECT_EQ(coverage(sm_86, {8, 0}), Coverage::missing);
  EXPECT_EQ(coverage(sm_86, {9, 0}), Coverage::missing);
}

TEST(DeviceCode, PtxRunsOnEveryNewerGpu) {
  const DeviceCode compute_80{Kind::ptx, Scope::portable, {8, 0}};
  EXPECT_EQ(coverage(compute_80, {8, 0}), Coverage::ptx);
  EXPECT_EQ(coverage(compute_80, {12, 0}), Coverage::ptx);
  EXPECT_EQ(coverage(compute_80, {7, 5}), Coverage::missing);
}

TEST(DeviceCode, SuffixesNarrowWhereCodeRuns) {
  const DeviceCode sm_90a{Kind::binary, Scope::architecture, {9, 0}};
  EXPECT_EQ(coverage(sm_90a, {9, 0}), Coverage::exact);
  const DeviceCode compute_100a{Kind::ptx, Scope::architecture, {10, 0}};
  EXPECT_EQ(coverage(compute_100a, {10, 0}), Coverage::ptx);
  EXPECT_EQ(coverage(compute_100a, {10, 3}), Coverage::missing);
  const DeviceCode sm_100f{Kind::binary, Scope::family, {10, 0}};
  EXPECT_EQ(coverage(sm_100f, {10, 0}), Coverage::exact);
  EXPECT_EQ(coverage(sm_100f, {10, 3}), Coverage::compatible);
  EXPECT_EQ(coverage(sm_100f, {10, 1}), Coverage::missing);
  EXPECT_EQ(coverage(sm_100f, {11, 0}), Coverage::missing);
  const DeviceCode compute_120f{Kind::ptx, Scope::family, {12, 0}};
  EXPECT_EQ(coverage(compute_120f, {12, 1}), Coverage::ptx);
  EXPECT_EQ(coverage(compute_120f, {10, 0}), Coverage::missing);
  // What is neither runs nowhere.
  EXPECT_EQ(coverage(DeviceCode{Kind::other, Scope::portable, {9, 0}}, {9, 0}), Coverage::missing);
}

TEST(DeviceCode, TheBestOfSeveralCounts) {
  const DeviceModule module{{Kind::ptx, Scope::portable, {8, 0}},
                            {Kind::binary, Scope::portable, {8, 0}}};
  EXPECT_EQ(coverage(module, {8, 0}), Coverage::exact);
  EXPECT_EQ(coverage(module, {8, 6}), Coverage::compatible);
  EXPECT_EQ(coverage(module, {9, 0}), Coverage::ptx);
  EXPECT_EQ(coverage(module, {7, 5}), Coverage::missing);
  EXPECT_EQ(coverage(DeviceModule{}, {7, 5}), Coverage::missing);
}

TEST(DeviceCode, ComputeCapabilitiesAreReadInTheirSpellings) {
  EXPECT_EQ(parse_compute_capability("sm_90"), (ComputeCapability{9, 0}));
  EXPECT_EQ(parse_compute_capability("sm_120"), (ComputeCapability{12, 0}));
  EXPECT_EQ(parse_compute_capability("8.6"), (ComputeCapability{8, 6}));
  EXPECT_EQ(parse_compute_capability("sm_90a"), (ComputeCapability{9, 0}));
  EXPECT_EQ(parse_compute_capability("compute_100f"), (ComputeCapability{10, 0}));
  for (const char* text :
       {"", "sm_", "sm_9", "sm_90x", "sm_a", "sm_-90", "90", "9.", ".0", "9.0.1", "9.10"}) {
    EXPECT_FALSE(parse_compute_capability(text)) << text;
  }
}

TEST(DeviceCode, WhatIsNoFileOrHoldsNoneIsTold) {
  EXPECT_NE(read_device_code("/nonexistent").error, "");
  EXPECT_NE(read_device_code("/").error, "");
  EXPECT_NE(read_device_code("/etc/passwd").error, "");
  // This program carries no device code.
  const DeviceCodeReading own = read_device_code(own_executable());
  EXPECT_EQ(own.error, "");
  EXPECT_TRUE(own.modules.empty());
}

/// How many entries of each target cuobjdump lists in a file: "sm_90a", "compute_80". It leaves the
/// suffix of a family off.
std::map<std::string, int> listed_by_cuobjdump(const std::string& tool, const std::string& file) {
  ChildOptions options;
  options.argv = {tool, "--list-elf", "--list-ptx", file};
  options.deadline = std::chrono::seconds(60);
  options.output_limit = 64 << 20;
  const ChildResult child = run_child(options);
  EXPECT_TRUE(child.succeeded()) << child.describe() << child.error;
  EXPECT_FALSE(child.output_cut);
  std::map<std::string, int> targets;
  std::istringstream lines(child.output);
  // "ELF file    1: name.1.sm_90a.cubin"
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = line.rfind('.');
    const std::size_t start = end == std::string::npos ? end : line.rfind('.', end - 1);
    if (start == std::string::npos || !line.substr(start).starts_with(".sm_")) continue;
    std::string target = line.substr(start + 1, end - start - 1);
    if (target.back() == 'f') target.pop_back();
    if (line.starts_with("PTX")) target.replace(0, 2, "compute");
    ++targets[target];
  }
  return targets;
}

TEST(DeviceCode, AgreesWithCuobjdump) {
  const char* const root = std::getenv("CUDA_PATH");
  const std::filesystem::path toolkit = root != nullptr ? root : "/usr/local/cuda";
  const char* const given = std::getenv("CUOBJDUMP");
  const std::string tool = given != nullptr ? given : (toolkit / "bin/cuobjdump").string();
  if (!std::filesystem::exists(tool)) GTEST_SKIP() << "there is no cuobjdump at " << tool;
  int compared = 0;
  for (const char* const name : {"libcublas.so", "libcublasLt.so", "libnccl.so", "libcufft.so"}) {
    const std::filesystem::path file = toolkit / "lib64" / name;
    if (!std::filesystem::exists(file)) continue;
    const DeviceCodeReading read = read_device_code(file.string());
    ASSERT_EQ(read.error, "") << file;
    std::map<std::string, int> targets;
    for (const DeviceModule& module : read.modules) {
      for (DeviceCode code : module) {
        if (code.scope == Scope::family) code.scope = Scope::portable;
        if (code.kind != Kind::other) ++targets[code.name()];
      }
    }
    EXPECT_EQ(targets, listed_by_cuobjdump(tool, file.string())) << file;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace conformance
