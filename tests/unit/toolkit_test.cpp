#include "fixtures/toolkit.h"

#include <string>

#include <gtest/gtest.h>

namespace conformance {
namespace {

TEST(CudaPathValue, OnlyAnAbsoluteDirectoryIsUsable) {
  EXPECT_FALSE(read_cuda_path(nullptr).set);
  EXPECT_TRUE(read_cuda_path("/").usable());
  EXPECT_TRUE(read_cuda_path("/usr/").usable());
  EXPECT_EQ(read_cuda_path("/usr/").real_path, "/usr");
  for (const std::string& value :
       {std::string(), std::string("usr"), std::string("/etc/passwd"), std::string("/a\nb"),
        std::string("/\xff\xfe"), std::string("/usr:/lib"), "/" + std::string(100'000, 'x')}) {
    const CudaPath path = read_cuda_path(value.c_str());
    EXPECT_FALSE(path.usable());
    EXPECT_FALSE(path.problem.empty());
    EXPECT_LT(readable(value).size(), 600U);
  }
  EXPECT_NE(read_cuda_path("/usr:/lib").problem.find("list"), std::string::npos);
}

TEST(PathComponents, APrefixOfANameIsNoParent) {
  EXPECT_TRUE(lies_in("/nix/store/x", "/nix/store"));
  EXPECT_TRUE(lies_in("/nix/store", "/nix/store/"));
  EXPECT_FALSE(lies_in("/nix/store2/x", "/nix/store"));
  EXPECT_TRUE(lies_in("/x", "/"));
  EXPECT_FALSE(lies_in("/x", ""));
}

TEST(LoaderTrace, FoundAndMissingLibrariesAreTold) {
  const auto libraries = parse_loader_trace(
      "\tlinux-vdso.so.1 (0x1)\n\tlibcudart.so.13 => /opt/a (b)/libcudart.so.13 (0x00007f)\n"
      "\tlibnccl.so.2 => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x2)\n");
  ASSERT_EQ(libraries.size(), 2U);
  EXPECT_EQ(libraries[0].name, "libcudart.so.13");
  EXPECT_EQ(libraries[0].path, "/opt/a (b)/libcudart.so.13");
  EXPECT_EQ(libraries[1].path, "");
}

}  // namespace
}  // namespace conformance
