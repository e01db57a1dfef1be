#include "fixtures/compatibility.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace conformance {
namespace {

InstalledVersions whole() {
  InstalledVersions versions;
  versions.kernel_module = versions.module_in_sysfs = versions.libcuda = versions.nvml =
      versions.nvml_file = DriverVersion::parse("580.95.05");
  versions.libcuda_cuda = versions.nvml_cuda = DriverCudaVersion{13, 0};
  versions.headers = versions.compiler = versions.runtime = versions.nvrtc =
      versions.nccl_built_for = ToolkitVersion{13, 0};
  versions.ptx = PtxVersion{9, 0};
  versions.cublas = versions.cublas_lt = LibraryVersion{13, 0, 2};
  return versions;
}

std::string broken_rules(const InstalledVersions& versions) {
  std::string text;
  for (const Judgement& judgement : judge_parts(versions)) {
    EXPECT_FALSE(judgement.source.empty());
    if (!judgement.holds) text += judgement.sentence + "\n";
  }
  return text;
}

TEST(PartsOfDriverAndToolkit, AWholeOneBreaksNoRule) {
  EXPECT_EQ(broken_rules(whole()), "");
  EXPECT_EQ(judge_parts(whole()).size(), 12U);
  EXPECT_TRUE(judge_parts({}).empty());
  InstalledVersions zeros = whole();
  zeros.nvml = DriverVersion::parse("580.95.5");
  EXPECT_EQ(broken_rules(zeros), "");
}

TEST(PartsOfDriverAndToolkit, EachPartThatDiffersIsNamed) {
  const auto broken = [](void (*change)(InstalledVersions&)) {
    InstalledVersions versions = whole();
    change(versions);
    return broken_rules(versions);
  };
  EXPECT_EQ(broken([](auto& v) { v.kernel_module = DriverVersion::parse("575.57.08"); }),
            "libcuda is 580.95.05, but the kernel module 575.57.08\n"
            "NVML is 580.95.05, but the kernel module 575.57.08\n"
            "/sys/module/nvidia/version is 580.95.05, but /proc/driver/nvidia/version 575.57.08\n");
  EXPECT_EQ(broken([](auto& v) {
              v.kernel_module.reset();
              v.module_in_sysfs = DriverVersion::parse("575.57.08");
              v.nvml.reset();
            }),
            "libcuda is 580.95.05, but the kernel module 575.57.08\n");
  EXPECT_EQ(broken([](auto& v) { v.nvml_file = DriverVersion::parse("575.57.08"); }),
            "NVML's file is 575.57.08, but what NVML says 580.95.05\n");
  EXPECT_EQ(broken([](auto& v) {
              v.nvml_cuda = DriverCudaVersion{12, 9};
            }),
            "the CUDA version of libcuda is 13.0, but NVML's 12.9\n");
  EXPECT_EQ(broken([](auto& v) {
              v.compiler = ToolkitVersion{12, 9};
            }),
            "nvcc is 12.9, but the headers 13.0\n");
  EXPECT_EQ(broken([](auto& v) {
              v.runtime = ToolkitVersion{13, 1};
            }),
            "libcudart is 13.1, but the headers 13.0\n");
  EXPECT_EQ(broken([](auto& v) {
              v.nvrtc = ToolkitVersion{12, 9};
            }),
            "libnvrtc is 12.9, but the headers 13.0\n");
  EXPECT_EQ(broken([](auto& v) {
              v.cublas_lt = LibraryVersion{13, 0, 1};
            }),
            "libcublas is 13.0.2, but libcublasLt 13.0.1\n");
  EXPECT_EQ(broken([](auto& v) {
              v.ptx = PtxVersion{8, 8};
            }),
            "nvcc's PTX is 8.8, but the PTX of the headers' release 9.0\n");
  EXPECT_EQ(broken([](auto& v) {
              v.nccl_built_for = ToolkitVersion{14, 0};
            }),
            "libnccl was built for CUDA 14.0, and the driver supports up to CUDA 13.0\n");
  EXPECT_EQ(broken([](auto& v) { v.nccl_built_for = ToolkitVersion{12, 9}; }), "");
}

TEST(PartsOfDriverAndToolkit, ACompatibilityPackageReplacesLibcudaAlone) {
  InstalledVersions versions = whole();
  versions.kernel_module = versions.module_in_sysfs = versions.nvml = versions.nvml_file =
      DriverVersion::parse("570.124.06");
  versions.compat_package = true;
  EXPECT_EQ(broken_rules(versions), "");
}

/// A driver and a toolkit.
InstalledVersions pair(const char* driver, DriverCudaVersion cuda, ToolkitVersion toolkit) {
  InstalledVersions versions;
  versions.kernel_module = versions.libcuda = DriverVersion::parse(driver);
  versions.libcuda_cuda = cuda;
  versions.headers = toolkit;
  return versions;
}

void expect_verdict(const InstalledVersions& versions, Support support, std::string_view words) {
  const auto verdict = judge_pair(versions);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->support, support) << verdict->text;
  EXPECT_NE(verdict->text.find(words), std::string::npos) << verdict->text;
  EXPECT_EQ(verdict->supported(), verdict->text.find(": supported because") != std::string::npos);
  EXPECT_FALSE(verdict->source.empty());
}

TEST(PairOfDriverAndToolkit, UnknownVersionsAreNotJudged) {
  EXPECT_FALSE(judge_pair({}));
  InstalledVersions versions;
  versions.headers = ToolkitVersion{13, 0};
  EXPECT_FALSE(judge_pair(versions));
}

TEST(PairOfDriverAndToolkit, TheSameReleaseAndOlderOnesAreSupported) {
  EXPECT_EQ(judge_pair(pair("580.95.05", {13, 0}, {13, 0}))->text,
            "driver 580.95.05 (CUDA 13.0) x toolkit 13.0: supported because the driver is of the "
            "toolkit's own release of CUDA");
  expect_verdict(pair("580.95.05", {13, 0}, {12, 9}), Support::backward, "backward");
  expect_verdict(pair("590.44.01", {13, 1}, {13, 0}), Support::backward, "backward");
}

TEST(PairOfDriverAndToolkit, ANewerMinorVersionNeedsTheBranchOfTheMajorOne) {
  expect_verdict(pair("580.95.05", {13, 0}, {13, 1}), Support::minor_version,
                 "CUDA 13.x needs driver 580.65.06 or newer (minor-version compatibility); but its "
                 "PTX 9.1 is newer");
  expect_verdict(pair("525.60.13", {12, 0}, {12, 9}), Support::minor_version, "PTX 8.8 is newer");
  expect_verdict(pair("580.40.01", {13, 0}, {13, 0}), Support::driver_too_old,
                 "CUDA 13.x needs driver 580.65.06 or newer");
}

TEST(PairOfDriverAndToolkit, ANewerMajorVersionNeedsANewerDriver) {
  expect_verdict(pair("575.57.08", {12, 9}, {13, 0}), Support::driver_too_old,
                 "the package cuda-compat-13-0");
  expect_verdict(pair("470.82.01", {11, 4}, {12, 9}), Support::driver_too_old, "525.60.13");
  expect_verdict(pair("580.95.05", {13, 0}, {99, 1}), Support::driver_too_old,
                 "CUDA 99.x needs a driver of CUDA 99.0 or newer");
}

TEST(PairOfDriverAndToolkit, APackageBringsANewerLibcuda) {
  InstalledVersions versions = pair("580.95.05", {13, 0}, {13, 0});
  versions.compat_package = true;
  versions.kernel_module = DriverVersion::parse("570.124.06");
  versions.gpus = {"NVIDIA H200"};
  expect_verdict(versions, Support::forward_package, "to the kernel module 570.124.06");
  versions.gpus = {"NVIDIA H200", "NVIDIA GeForce RTX 4090"};
  expect_verdict(versions, Support::package_not_for_the_gpu, "NVIDIA GeForce RTX 4090");
  versions.headers = ToolkitVersion{14, 0};
  versions.gpus = {"NVIDIA H200"};
  expect_verdict(versions, Support::driver_too_old, "CUDA 14.x");
}

TEST(PairOfDriverAndToolkit, APackageThatIsOlderThanTheDriverIsInTheWay) {
  InstalledVersions versions = pair("570.124.06", {12, 8}, {12, 8});
  versions.compat_package = true;
  versions.kernel_module = DriverVersion::parse("580.95.05");
  expect_verdict(versions, Support::package_not_needed, "older than the driver 580.95.05");
  versions.kernel_module = versions.libcuda;
  expect_verdict(versions, Support::same_release, "own release");
}

TEST(PtxReleases, AreKnownBothWays) {
  EXPECT_EQ(newest_ptx_of({12, 6}), (PtxVersion{8, 5}));
  EXPECT_EQ(release_of({8, 5}), (ToolkitVersion{12, 5}));
  EXPECT_FALSE(newest_ptx_of({99, 0}));
  EXPECT_FALSE(release_of({1, 0}));
  EXPECT_EQ(parse_ptx_version("//\n// x\n.version 9.0\n.target sm_75\n"), (PtxVersion{9, 0}));
  EXPECT_FALSE(parse_ptx_version(""));
  EXPECT_FALSE(parse_ptx_version("\n.version nine\n"));
  EXPECT_EQ(parse_nccl_build("NCCL version 2.28.9+cuda13.0\n"), (ToolkitVersion{13, 0}));
  EXPECT_FALSE(parse_nccl_build("NCCL version 2.28.9"));
  EXPECT_FALSE(parse_nccl_build("NCCL version +cuda"));
}

TEST(CompatPackages, AreToldByTheirDirectories) {
  EXPECT_TRUE(in_compat_package("/usr/local/cuda-13.0/compat/libcuda.so.580.65.06"));
  EXPECT_TRUE(in_compat_package("/nix/store/x-cuda_compat-13.0/lib/libcuda.so.580.65.06"));
  EXPECT_FALSE(in_compat_package("/usr/lib/x86_64-linux-gnu/libcuda.so.580.65.06"));
  EXPECT_FALSE(in_compat_package("/home/compatible/libcuda.so.580.65.06"));
}

}  // namespace
}  // namespace conformance
