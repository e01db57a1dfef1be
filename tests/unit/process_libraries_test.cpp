#include "fixtures/process_libraries.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace conformance {
namespace {

using namespace std::string_literals;

TEST(HowALibraryWasFound, FollowsTheLoadersOrder) {
  const std::vector<LoadedObject> objects{
      {"/app/bin/program", "", "/cuda/lib:$ORIGIN/../own", true},
      {"/cuda/lib/libcublas.so.13", "", "${ORIGIN}/deep", false},
      {"/old/lib/libold.so", "/old/rpath", "", false},
      {"/new/lib/libnew.so", "/ignored", "/new/runpath", false}};
  const LoaderSettings settings{"/pre/libx.so", "/ldpath/:/cuda/first",
                                "…/cached/liby.so\0/usr/lib/libz.so\0"s};
  const auto how = [&](const std::string& path) { return how_found(path, objects, settings); };
  EXPECT_EQ(how("/pre/libx.so"), "LD_PRELOAD");
  EXPECT_EQ(how("/old/rpath/libx.so"), "RPATH of libold.so");
  EXPECT_EQ(how("/ldpath/libx.so"), "LD_LIBRARY_PATH");
  EXPECT_EQ(how("/cuda/lib/libcudart.so.13"), "RUNPATH of the program");
  EXPECT_EQ(how("/app/own/libx.so"), "RUNPATH of the program");
  EXPECT_EQ(how("/cuda/lib/deep/libx.so"), "RUNPATH of libcublas.so.13");
  EXPECT_EQ(how("/usr/lib/libz.so"), "ld.so.cache");
  EXPECT_EQ(how("/usr/lib/libother.so"), "default directory");
  EXPECT_EQ(how("/ignored/libx.so"), "full path");
  EXPECT_EQ(how_found("/x/liba.so", {}, {}), "full path");
}

TEST(ProcessLibraries, TheCLibraryOfThisProcessIsAmongThem) {
  const std::vector<ProcessLibrary> libraries = process_libraries();
  const auto c = std::find_if(libraries.begin(), libraries.end(),
                              [](const ProcessLibrary& library) { return library.name == "libc"; });
  ASSERT_NE(c, libraries.end());
  EXPECT_NE(c->description.find("SONAME libc.so.6, 64-bit"), std::string::npos) << c->description;
  EXPECT_EQ(c->description.find("full path"), std::string::npos) << c->description;
}

std::vector<std::string> conflicts(const std::vector<std::pair<std::string, std::string>>& files) {
  std::vector<ProcessLibrary> libraries;
  for (const auto& [name, path] : files) libraries.push_back({name, {path, path}, {}});
  std::vector<std::string> found;
  for (const LibraryConflict& conflict : library_conflicts(libraries)) {
    found.push_back(
        (conflict.kind == LibraryConflict::Kind::twice ? "two of " : "drivers mixed: ") +
        conflict.name);
  }
  return found;
}

TEST(ProcessLibraries, OneOfEachAndOfOneDriverIsNoConflict) {
  EXPECT_EQ(conflicts({}), (std::vector<std::string>{}));
  EXPECT_EQ(conflicts({{"libcuda", "/a/libcuda.so.580.95.05"},
                       {"libnvidia-ml", "/b/libnvidia-ml.so.580.95.05"},
                       {"libnvidia-container", "/b/libnvidia-container.so.1.18.0"},
                       {"libcudart", "/cuda/libcudart.so.13.0.88"},
                       {"libstdc++", "/usr/lib/libstdc++.so.6.0.30"}}),
            (std::vector<std::string>{}));
}

TEST(ProcessLibraries, TwoFilesOfOneLibraryAreAConflict) {
  EXPECT_EQ(conflicts({{"libstdc++", "/usr/lib/libstdc++.so.6.0.30"},
                       {"libcudart", "/cuda/libcudart.so.13.0.88"},
                       {"libstdc++", "/app/libstdc++.so.6.0.33"},
                       {"libcudart", "/cuda/libcudart.so.13.0.88"},
                       {"libcudart", "/old/libcudart.so.12.9.79"}}),
            (std::vector<std::string>{"two of libstdc++", "two of libcudart"}));
}

TEST(ProcessLibraries, LibrariesOfTwoDriversAreAConflict) {
  EXPECT_EQ(conflicts({{"libcuda", "/a/libcuda.so.580.95.05"},
                       {"libnvidia-ml", "/a/libnvidia-ml.so.570.86"}}),
            (std::vector<std::string>{"drivers mixed: libnvidia-ml"}));
  EXPECT_EQ(
      conflicts({{"libcuda", "/a/libcuda.so.1"}, {"libnvidia-nvvm", "/b/libnvidia-nvvm.so.4"}}),
      (std::vector<std::string>{"drivers mixed: libnvidia-nvvm"}));
}

TEST(ProcessLibraries, ACompatibilityPackageIsHeldAgainstItself) {
  EXPECT_EQ(conflicts({{"libcuda", "/usr/local/cuda-13.0/compat/libcuda.so.580.95.05"},
                       {"libnvidia-ml", "/usr/lib/libnvidia-ml.so.535.54.03"},
                       {"libnvidia-nvvm", "/usr/local/cuda-13.0/compat/libnvidia-nvvm.so.570.86"}}),
            (std::vector<std::string>{"drivers mixed: libnvidia-nvvm"}));
}

}  // namespace
}  // namespace conformance
