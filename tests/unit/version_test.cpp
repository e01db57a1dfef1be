#include "fixtures/version.h"

#include <gtest/gtest.h>

namespace conformance {
namespace {

TEST(DriverVersion, TwoOrThreePartsParseAndNothingElseDoes) {
  const auto version = DriverVersion::parse("580.159.04");
  ASSERT_TRUE(version);
  EXPECT_EQ(version->major, 580);
  EXPECT_EQ(version->minor, 159);
  EXPECT_EQ(version->patch, 4);
  EXPECT_EQ(version->text, "580.159.04");
  EXPECT_TRUE(DriverVersion::parse("570.86"));
  for (const char* text : {"", "580", "580.", "580.1.", "580.1.2.3", "580.1.2 ", " 580.1", "-1.2",
                           "580.x", "99999999999.1"}) {
    EXPECT_FALSE(DriverVersion::parse(text)) << text;
  }
}

TEST(DriverVersion, OrderIsByNumbers) {
  EXPECT_LT(*DriverVersion::parse("535.54.03"), *DriverVersion::parse("535.104.05"));
  EXPECT_EQ(*DriverVersion::parse("535.54.03"), *DriverVersion::parse("535.54.3"));
}

TEST(DriverVersion, AFileNameCarriesItOrNot) {
  EXPECT_EQ(DriverVersion::from_file_name("/usr/lib/libcuda.so.580.159.04")->text, "580.159.04");
  EXPECT_FALSE(DriverVersion::from_file_name("/usr/lib/libcuda.so.1"));
  EXPECT_FALSE(DriverVersion::from_file_name("/usr/lib/wsl/lib/libcuda.so.1.1"));
  EXPECT_FALSE(DriverVersion::from_file_name("/opt/x.so.580.1/libcuda.so"));
}

TEST(CudaVersion, NumbersConvertBothWays) {
  EXPECT_EQ(ToolkitVersion::from_number(12090)->text(), "12.9");
  EXPECT_EQ((ToolkitVersion{12, 9}.number()), 12090);
  EXPECT_EQ((DriverCudaVersion{13, 0}.number()), 13000);
  for (const int number : {0, -12090, 999, 12091})
    EXPECT_FALSE(ToolkitVersion::from_number(number));
}

TEST(CudaVersion, NvccsReleaseIsFoundInItsOutput) {
  EXPECT_EQ(parse_nvcc_version("nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, "
                               "release 13.0, V13.0.88\nBuild cuda_13.0.r13.0/compiler.1_0\n"),
            (ToolkitVersion{13, 0}));
  EXPECT_FALSE(parse_nvcc_version(""));
  EXPECT_FALSE(parse_nvcc_version("Cuda compilation tools, release"));
  EXPECT_FALSE(parse_nvcc_version("release x.y, V1"));
}

TEST(CudaVersion, DefinesAreReadAsWholeNumbersOfThatName) {
  EXPECT_EQ(parse_define(
                "/* CUDA_VERSION 1 */\n#define CUDA_VERSION_X 3\n#  define CUDA_VERSION\t13000\n",
                "CUDA_VERSION"),
            13000);
  EXPECT_EQ(parse_define("#define V 5", "V"), 5);
  EXPECT_FALSE(parse_define("#define V\n#define W 5", "V"));
  EXPECT_FALSE(parse_define("#define V 5L", "V"));
  EXPECT_FALSE(parse_define("#define", "V"));
}

TEST(CudaVersion, NcclsTwoNumberingsAreTold) {
  EXPECT_EQ(parse_nccl_version(22803)->text(), "2.28.3");
  EXPECT_EQ(parse_nccl_version(2708)->text(), "2.7.8");
  EXPECT_FALSE(parse_nccl_version(0));
}

TEST(CudaVersion, AnyMinorVersionOfASupportedMajorRuns) {
  EXPECT_TRUE(driver_supports({13, 0}, {13, 2}));
  EXPECT_TRUE(driver_supports({13, 0}, {12, 9}));
  EXPECT_FALSE(driver_supports({12, 9}, {13, 0}));
  EXPECT_EQ(oldest_driver_for({12, 9})->major, 525);
  EXPECT_EQ(oldest_driver_for({13, 1})->major, 580);
  EXPECT_FALSE(oldest_driver_for({99, 0}));
}

}  // namespace
}  // namespace conformance
