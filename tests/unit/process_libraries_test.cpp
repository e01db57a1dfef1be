#include "fixtures/process_libraries.h"

#include <algorithm>
#include <string>
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

}  // namespace
}  // namespace conformance
