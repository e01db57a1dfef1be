#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "suites/peer/schedule.h"

namespace conformance::peer {
namespace {

constexpr double kAlone = 10;

CudaDevice gpu(int ordinal) {
  CudaDevice device;
  device.ordinal = ordinal;
  device.name = "GPU";
  return device;
}

/// Four GPUs in two rounds: {0 -> 3, 1 -> 2}, {0 -> 1, 2 -> 3}.
std::vector<std::vector<PairFigure>> two_rounds() {
  const Path path{.kind = Path::Kind::one_switch, .links = 0, .gigabytes = 16, .source = "PCIe"};
  const auto pair = [&](int from, int to) { return PairFigure{{gpu(from), gpu(to)}, path}; };
  return {{pair(0, 3), pair(1, 2)}, {pair(0, 1), pair(2, 3)}};
}

bool crosses(const PairFigure& figure) {
  return (figure.pair.from.ordinal < 2) != (figure.pair.to.ordinal < 2);
}

TEST(PeerSchedule, RoundsStandWhereNoPairIsFasterAlone) {
  auto rounds = two_rounds();
  const Schedule schedule = measure_rounds(rounds, [](std::span<PairFigure> pairs) {
    for (PairFigure& pair : pairs) pair.samples = {pairs.size() == 1 ? kAlone : kAlone * 0.99};
  });
  EXPECT_EQ(schedule.rounds, 2U);
  EXPECT_EQ(schedule.broken_up, 0U);
  EXPECT_NEAR(schedule.largest_gain, 0.0101, 1e-4);
  // One pair of each round was the proof.
  for (const auto& round : rounds) {
    EXPECT_EQ(std::count_if(round.begin(), round.end(), [](auto& one) { return one.alone; }), 1);
  }
}

TEST(PeerSchedule, PairsThatShareAWayAreMeasuredAlone) {
  auto rounds = two_rounds();
  const Schedule schedule = measure_rounds(rounds, [](std::span<PairFigure> pairs) {
    const auto sharing = std::count_if(pairs.begin(), pairs.end(), crosses);
    // The second one waits for the first.
    for (PairFigure& pair : pairs) pair.samples = {kAlone};
    if (sharing > 1) pairs.back().samples = {kAlone / 2};
  });
  EXPECT_EQ(schedule.rounds, 2U);
  EXPECT_EQ(schedule.broken_up, 1U);
  for (const PairFigure& figure : rounds.front()) {
    EXPECT_TRUE(figure.alone);
    EXPECT_EQ(figure.value(), kAlone);
  }
}

TEST(PeerSchedule, APairThatIsSlowAloneTooDoesNotBreakItsRoundUp) {
  auto rounds = two_rounds();
  const Schedule schedule = measure_rounds(rounds, [](std::span<PairFigure> pairs) {
    for (PairFigure& pair : pairs) pair.samples = {pair.pair.from.ordinal == 1 ? 5 : kAlone};
  });
  EXPECT_EQ(schedule.broken_up, 0U);
  EXPECT_EQ(rounds.front().back().value(), 5);
}

TEST(PeerSchedule, TheHigherOneOfBothFloorsCounts) {
  auto rounds = two_rounds();
  std::vector<PairFigure>& figures = rounds.front();
  figures[0].samples = {4};
  figures[1].samples = {10};
  EXPECT_DOUBLE_EQ(floor_of(figures, 0, 1, 0.5)->value, 0.9 * 10);
  EXPECT_DOUBLE_EQ(floor_of(figures, 1, 1, 0.5)->value, 0.5 * 16);
  EXPECT_DOUBLE_EQ(floor_of(figures, 1, 2, 0.5)->value, 0.5 * 32);
  EXPECT_DOUBLE_EQ(floor_of(figures, 1, 1, 0)->value, 0.9 * 4);
}

TEST(PeerSchedule, UnlikePairsSetNoFloor) {
  auto rounds = two_rounds();
  std::vector<PairFigure>& figures = rounds.front();
  figures[0].samples = {4};
  figures[1].samples = {10};
  figures[1].path.kind = Path::Kind::system;
  EXPECT_FALSE(floor_of(figures, 0, 1, 0));
  figures[1].path.kind = Path::Kind::one_switch;
  figures[1].pair.to.name = "another GPU";
  EXPECT_FALSE(floor_of(figures, 0, 1, 0));
}

TEST(PeerSchedule, WhatNvmlDoesNotTellIsNotJudged) {
  auto rounds = two_rounds();
  std::vector<PairFigure>& figures = rounds.front();
  for (PairFigure& figure : figures) {
    figure.samples = {4};
    figure.path = {};
  }
  EXPECT_FALSE(floor_of(figures, 0, 1, 0.5));
}

}  // namespace
}  // namespace conformance::peer
