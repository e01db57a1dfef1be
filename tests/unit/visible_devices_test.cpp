#include "fixtures/visible_devices.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace conformance {
namespace {

const std::vector<std::string>& gpus() {
  static const std::vector<std::string> uuids{
      "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
      "GPU-8932f9aa-0000-4106-c12f-20bd9faed9f7",
      "GPU-17aa3b60-1111-4106-c12f-20bd9faed9f8",
  };
  return uuids;
}
using Uuids = std::vector<std::string>;

VisibleGpus of(const char* value) { return predict_visibility(std::string(value), gpus()); }

TEST(VisibleDevices, AllAreVisibleIfTheVariableIsNotSet) {
  const VisibleGpus seen = predict_visibility(std::nullopt, gpus());
  EXPECT_EQ(seen.uuids, gpus());
  EXPECT_EQ(seen.unsettled, "");
}

TEST(VisibleDevices, NoneIsVisibleIfTheVariableIsEmpty) {
  const VisibleGpus seen = of("");
  EXPECT_TRUE(seen.uuids.empty());
  EXPECT_EQ(seen.unsettled, "");
  EXPECT_FALSE(seen.ends_at.has_value());
}

TEST(VisibleDevices, IndicesSelectInTheirOrder) {
  const VisibleGpus seen = of("2,0");
  EXPECT_EQ(seen.uuids, (Uuids{gpus()[2], gpus()[0]}));
  EXPECT_EQ(seen.unsettled, "");
}

TEST(VisibleDevices, TheListEndsAtTheFirstInvalidIndex) {
  for (const char* value : {"0,2,-1,1", "0,2,3,1", "0,2,4294967296,1", "0,2,4294967295,1",
                            "0,2,99999999999999999999999999,1"}) {
    const VisibleGpus seen = of(value);
    EXPECT_EQ(seen.uuids, (Uuids{gpus()[0], gpus()[2]})) << value;
    EXPECT_EQ(seen.ends_at, 2u) << value;
    EXPECT_EQ(seen.unsettled, "") << value;
  }
}

TEST(VisibleDevices, WholeAndAbbreviatedUuidsSelect) {
  const VisibleGpus seen = of("GPU-17aa,GPU-8932f937-d72c-4106-c12f-20bd9faed9f6");
  EXPECT_EQ(seen.uuids, (Uuids{gpus()[2], gpus()[0]}));
  EXPECT_EQ(seen.unsettled, "");
}

TEST(VisibleDevices, WhatTheDocumentationLeavesOpenIsSaid) {
  for (const char* value : {"0,0",          "GPU-17aa,GPU-17aa3b60",
                            "0,GPU-17aa",   "GPU-17aa,0",
                            "GPU-17aa,-1",  "GPU-8932f9",
                            "GPU-",         "GPU-ffffffff",
                            "GPU-8932F937", "MIG-1",
                            " 0",           "0 ",
                            "00",           "01",
                            "+1",           "-0",
                            "0x1",          "1gpu",
                            "0,,1",         ",",
                            "0,",           "-",
                            "all",          "0;1",
                            "\xff\xfe",     "1e0"}) {
    EXPECT_NE(of(value).unsettled, "") << value;
  }
}

TEST(VisibleDevices, AUuidLongerThanAnyMatchesNone) {
  const VisibleGpus seen = of("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6-and-more");
  EXPECT_TRUE(seen.uuids.empty());
  EXPECT_EQ(seen.ends_at, 0u);
}

TEST(VisibleDevices, AHostWithoutGpusShowsNone) {
  for (const char* value : {"0", "", "-1"}) {
    EXPECT_TRUE(predict_visibility(std::string(value), {}).uuids.empty()) << value;
  }
  EXPECT_TRUE(predict_visibility(std::nullopt, {}).uuids.empty());
}

TEST(VisibleDevices, AVeryLongListIsParsed) {
  std::string value = "0";
  for (int i = 0; i < 100'000; ++i) value += ",0";
  EXPECT_EQ(parse_visible_devices(value).size(), 100'001u);
  EXPECT_EQ(of(value.c_str()).uuids, Uuids{gpus()[0]});
}

TEST(VisibleDevices, EntriesKeepTheirText) {
  const auto entries = parse_visible_devices("7,-2,GPU-1,MIG-2,x");
  ASSERT_EQ(entries.size(), 5u);
  using Kind = VisibleEntry::Kind;
  EXPECT_EQ(entries[0].kind, Kind::index);
  EXPECT_EQ(entries[0].index, 7u);
  EXPECT_EQ(entries[1].kind, Kind::negative);
  EXPECT_EQ(entries[2].kind, Kind::uuid);
  EXPECT_EQ(entries[3].kind, Kind::mig);
  EXPECT_EQ(entries[4].kind, Kind::other);
  EXPECT_EQ(entries[4].text, "x");
}

}  // namespace
}  // namespace conformance
