#include "fixtures/deadline.h"

#include <cstdlib>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace conformance {
namespace {

using namespace std::chrono_literals;

TEST(Deadline, IsScaledByTheEnvironmentIfThatNamesANumberAboveZero) {
  const std::map<std::string, std::chrono::milliseconds> expected{
      {"0.25", 5s}, {"3", 60s},  {"1", 20s},    {"", 20s},
      {"0", 20s},   {"-1", 20s}, {"much", 20s}, {"inf", 20s}};
  for (const auto& [scale, deadline] : expected) {
    ::setenv("CONFORMANCE_DEADLINE_SCALE", scale.c_str(), 1);
    EXPECT_EQ(deadline_of(20s), deadline) << scale;
  }
  ::unsetenv("CONFORMANCE_DEADLINE_SCALE");
  EXPECT_EQ(deadline_of(20s), 20s);
}

}  // namespace
}  // namespace conformance
