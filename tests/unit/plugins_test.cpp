#include "fixtures/plugins.h"

#include <gtest/gtest.h>

#include "fixtures/library.h"

namespace conformance {
namespace {

const NcclPluginKind& net() { return nccl_plugin_kinds()[0]; }
const NcclPluginKind& tuner() { return nccl_plugin_kinds()[1]; }

TEST(NcclPlugins, WithoutTheVariableTheUsualNameIsLookedFor) {
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    const NcclPluginRequest request = nccl_plugin_request(net(), value);
    EXPECT_FALSE(request.by_variable);
    ASSERT_EQ(request.plugins.size(), 1U);
    EXPECT_EQ(request.plugins[0], (std::vector<std::string>{"libnccl-net.so"}));
  }
}

TEST(NcclPlugins, TheVariableNamesFilesOrSuffixes) {
  const NcclPluginRequest request = nccl_plugin_request(net(), "aws-ofi,,/opt/x/libnccl-net.so");
  EXPECT_TRUE(request.by_variable);
  ASSERT_EQ(request.plugins.size(), 2U);
  EXPECT_EQ(request.plugins[0], (std::vector<std::string>{"aws-ofi", "libnccl-net-aws-ofi.so"}));
  EXPECT_EQ(request.plugins[1][0], "/opt/x/libnccl-net.so");
  EXPECT_EQ(nccl_plugin_request(tuner(), "a,b").plugins[0][0], "a,b");
}

TEST(NcclPlugins, NoneAndBuiltInOnesAreNotLookedFor) {
  EXPECT_TRUE(nccl_plugin_request(net(), "none").plugins.empty());
  EXPECT_TRUE(nccl_plugin_request(tuner(), "STATIC_PLUGIN").plugins.empty());
  EXPECT_TRUE(nccl_plugin_request(net(), ",").plugins.empty());
}

TEST(NcclPlugins, AreToldByWhatTheyExport) {
  Elf elf;
  elf.symbols = {{"ncclNetPlugin_v10", 8, true, false, false}};
  EXPECT_TRUE(exports_plugin(elf, net()));
  EXPECT_FALSE(exports_plugin(elf, tuner()));
  elf.symbols[0].defined = false;
  EXPECT_FALSE(exports_plugin(elf, net()));
}

TEST(LibraryPath, IsSplitAtBothSeparators) {
  EXPECT_EQ(library_path_directories("/a:;/b:"), (std::vector<std::string>{"/a", "/b"}));
  EXPECT_TRUE(library_path_directories("").empty());
}

}  // namespace
}  // namespace conformance
