#include "fixtures/host_compiler.h"

#include <gtest/gtest.h>

namespace conformance {
namespace {

using Family = HostCompiler::Family;

TEST(HostCompiler, IsReadFromWhatItMadeOfTheProbe) {
  const auto gcc = parse_host_compiler(
      "# 1 \"probe.cu\"\nint x;\nconformance_host_compiler 12 __clang_major__\n");
  ASSERT_TRUE(gcc);
  EXPECT_EQ(gcc->text(), "GCC 12");
  const auto clang = parse_host_compiler("conformance_host_compiler 4 18\n");
  ASSERT_TRUE(clang);
  EXPECT_EQ(clang->text(), "Clang 18");
  EXPECT_FALSE(parse_host_compiler("conformance_host_compiler __GNUC__ __clang_major__\n"));
  EXPECT_FALSE(parse_host_compiler("conformance_host_compiler"));
  EXPECT_FALSE(parse_host_compiler(""));
}

TEST(HostCompiler, LimitsAreReadFromTheConditionsOfTheErrors) {
  const HostCompilerLimits limits = parse_host_compiler_limits(
      "#if defined(__GNUC__)\n\n#if __GNUC__ > 15\n\n"
      "#error -- unsupported GNU version! gcc versions later than 15 are not supported!\n"
      "#endif /* __GNUC__ > 15 */\n"
      "#if (__clang_major__ >= 19) || (__clang_major__ < 3)\n"
      "#error -- unsupported HOS clang version!\n#endif\n"
      "#if (__clang_major__ >= 21) || (__clang_major__ < 3)\n"
      "#error -- unsupported clang version! clang version must be less than 21\n#endif\n");
  EXPECT_EQ(limits.newest(Family::gcc), 15);
  EXPECT_EQ(limits.newest(Family::clang), 20);
}

TEST(HostCompiler, ATextWithoutLimitsHasNone) {
  for (const char* text :
       {"", "#error -- unsupported GNU version!",
        "#if __GNUC__\n#error -- unsupported GNU version!",
        "#if __GNUC__ < 3\n#error -- unsupported GNU version!", "#if __GNUC__ > 15"}) {
    EXPECT_FALSE(parse_host_compiler_limits(text).newest(Family::gcc)) << text;
  }
}

}  // namespace
}  // namespace conformance
