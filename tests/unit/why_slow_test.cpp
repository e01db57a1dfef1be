#include "suites/cublas/why_slow.h"

#include <gtest/gtest.h>

#include "suites/cublas/findings.h"

namespace conformance::cublas {
namespace {

std::string_view why(std::optional<unsigned long long> reasons, std::optional<double> clock_mhz,
                     std::optional<double> peers_clock_mhz = 1980, double share = 0.5) {
  Conditions own;
  own.reasons = reasons;
  own.clock_mhz = clock_mhz;
  return why_slow(own, peers_clock_mhz, share).code;
}

constexpr unsigned long long kPower = nvml::reason_sw_power_cap;
constexpr unsigned long long kHeat = nvml::reason_sw_thermal_slowdown | nvml::reason_hw_slowdown;

TEST(WhySlow, IsWhatKeepsTheClocksDown) {
  EXPECT_EQ(why(kPower, 990), power_capped.code);
  EXPECT_EQ(why(nvml::reason_hw_power_brake_slowdown, 990), power_capped.code);
  EXPECT_EQ(why(kHeat, 990), thermally_slowed.code);
  EXPECT_EQ(why(kHeat | kPower, 990), thermally_slowed.code);
}

TEST(WhySlow, IsNoPowerCapThatPeersHaveToo) {
  EXPECT_EQ(why(kPower, 1900), slow.code);
  EXPECT_EQ(why(kHeat, 1900), slow.code);
  // Half of what is missing of the speed, or just not.
  EXPECT_EQ(why(kPower, 0.75 * 1980), power_capped.code);
  EXPECT_EQ(why(kPower, 0.76 * 1980), slow.code);
}

TEST(WhySlow, IsNotKnownWithoutReasons) {
  EXPECT_EQ(why(std::nullopt, 990), slow.code);
  EXPECT_EQ(why(0, 990), slow.code);
  EXPECT_EQ(why(nvml::reason_applications_clocks_setting, 990), slow.code);
}

TEST(WhySlow, GoesByTheReasonsWhereClocksAreNotKnown) {
  EXPECT_EQ(why(kPower, std::nullopt), power_capped.code);
  EXPECT_EQ(why(kHeat, 990, std::nullopt), thermally_slowed.code);
}

TEST(Conditions, AreToldAsFarAsTheyAreKnown) {
  Conditions conditions;
  EXPECT_EQ(conditions.text(),
            "MHz not known, W not known, °C not known, clocks lowered by: not known");
  conditions = {kPower, 1500, 1980, 690, 700, 61};
  EXPECT_EQ(conditions.text(),
            "1500 of 1980 MHz, 690 of 700 W, 61 °C, clocks lowered by: software power cap");
  EXPECT_EQ(conditions.evidence().items().size(), 6U);
}

}  // namespace
}  // namespace conformance::cublas
