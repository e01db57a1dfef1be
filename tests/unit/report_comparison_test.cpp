#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ci/report/checked.h"
#include "ci/report/comparison.h"
#include "ci/report/merge.h"
#include "ci/report/statistics.h"
#include "fixtures/child.h"
#include "tests/support/scratch.h"
#include "tests/unit/made_results.h"

namespace conformance::report {
namespace {

Comparison compared(const MadeResults& before, const MadeResults& after) {
  return compare(before.json, "before.json", after.json, "after.json");
}

/// Of the difference that is of exactly that, or else the first one that begins with it.
std::string effect_of(const Comparison& comparison, const std::string& what) {
  const Difference* found = nullptr;
  for (const Difference& difference : comparison.differences) {
    if (difference.what == what || (found == nullptr && difference.what.starts_with(what))) {
      found = &difference;
    }
  }
  if (found == nullptr) return "none";
  switch (found->effect) {
    case Effect::worse:
      return "worse";
    case Effect::better:
      return "better";
    case Effect::changed:
      return "changed";
    case Effect::expected:
      return "expected";
  }
  return "unknown";
}

TEST(ReportComparison, ARunIsTheSameAsItself) {
  const MadeResults made(3);
  const Comparison comparison = compared(made, made);
  EXPECT_EQ(comparison.verdict(), "same");
  EXPECT_TRUE(comparison.differences.empty());
  EXPECT_EQ(comparison.gpus, 3);
  EXPECT_EQ(comparison.tests, 4);
  EXPECT_EQ(comparison.figures, 3 + 2 * 6);
  EXPECT_GT(comparison.facts, 4);
}

TEST(ReportComparison, WhatChangedIsJudgedByWhatItIs) {
  struct Case {
    std::function<void(MadeResults&)> change;
    std::string what, effect, verdict;
  };
  const auto outcome = [](const char* test, const char* now) {
    return [=](MadeResults& made) { made.test(test)["outcome"] = now; };
  };
  const auto fact = [](const char* name, const Json& value) {
    return [=](MadeResults& made) { made.set_fact(name, value); };
  };
  const std::vector<Case> cases{
      {outcome("memory.Copy.Right", "failed"), "memory.Copy.Right", "worse", "worse"},
      {outcome("memory.Copy.Right", "slow"), "memory.Copy.Right", "worse", "worse"},
      {outcome("memory.Copy.Right", "skipped"), "memory.Copy.Right", "worse", "worse"},
      {outcome("memory.Copy.Right", "crashed"), "memory.Copy.Right", "worse", "worse"},
      {outcome("peer.Data.OfThree", "passed"), "peer.Data.OfThree", "better", "better"},
      {[](MadeResults& made) { made.remove_test("memory.Copy.Right"); }, "memory.Copy.Right",
       "worse", "worse"},
      {[](MadeResults& made) { made.remove_test("peer.Data.OfThree"); }, "peer.Data.OfThree",
       "changed", "same"},
      {[](MadeResults& made) { made.add_test("memory.Copy.New"); }, "memory.Copy.New", "changed",
       "same"},
      {[](MadeResults& made) { made.add_test("memory.Copy.New", "failed"); }, "memory.Copy.New",
       "worse", "worse"},
      {fact("peer.access-matrix", "-1 0-"), "GPU 1 -> GPU 0: peer access", "worse", "worse"},
      {fact("peer.paths", "- NV18 | NV17 -"), "GPU 1 -> GPU 0: path", "worse", "worse"},
      {fact("peer.paths", "- NV18 | NV20 -"), "GPU 1 -> GPU 0: path", "better", "better"},
      {fact("devices.nvlinks.00000000:02:00.0", 17u), "GPU 1: NVLinks", "worse", "worse"},
      {fact("driver.version", "590.01"), "driver.version", "expected", "same"},
      {fact("nccl.environment", "NCCL_P2P_DISABLE=1"), "nccl.environment", "changed", "same"},
      {[](MadeResults& made) {
         std::string text = made.json.dump();
         for (std::size_t at = 0; (at = text.find("GPU-1", at)) != std::string::npos; ++at) {
           text[at + 4] = '7';
         }
         made.json = Json::parse(text);
       },
       "GPU 1", "changed", "same"},
      {fact("devices.gpu-1",
            "NVIDIA Test, Large, GPU-1, 00000000:02:00.0, compute capability 9.0, 132 "
            "multiprocessors, 90000 MiB"),
       "GPU 1: memory", "worse", "worse"},
      {fact("devices.gpu-1",
            "NVIDIA Test, Large, GPU-1, 00000000:02:00.0, compute capability 9.0, 132 "
            "multiprocessors, 143000 MiB"),
       "GPU 1: memory", "changed", "same"},
      {[](MadeResults& made) { made.scale("device-copy-bandwidth", 0.5); },
       "device-copy-bandwidth of GPU 0", "worse", "worse"},
      {[](MadeResults& made) { made.scale("peer-copy-bandwidth", 0.5); },
       "peer-copy-bandwidth of GPU 1 -> GPU 0", "worse", "worse"},
      {[](MadeResults& made) { made.scale("peer-load-latency", 2); },
       "peer-load-latency of GPU 0 -> GPU 1", "worse", "worse"},
      {[](MadeResults& made) { made.scale("peer-load-latency", 0.25); },
       "peer-load-latency of GPU 0 -> GPU 1", "better", "better"},
      {[](MadeResults& made) { made.test("memory.Copy.Fast")["figures"].erase(0); },
       "device-copy-bandwidth of GPU 0", "worse", "worse"},
      {[](MadeResults& made) { made.test("memory.Copy.Fast")["figures"][0]["value"] = nullptr; },
       "device-copy-bandwidth of GPU 0", "worse", "worse"},
  };
  for (const Case& each : cases) {
    MadeResults after;
    each.change(after);
    const Comparison comparison = compared(MadeResults(), after);
    EXPECT_EQ(effect_of(comparison, each.what), each.effect) << each.what << '\n'
                                                             << comparison_text(comparison, false);
    EXPECT_EQ(comparison.verdict(), each.verdict) << each.what;
  }
}

TEST(ReportComparison, FactsOfEachHostAreJudgedByTheirNames) {
  struct Case {
    std::string name;
    Json before, after;
    std::string effect;
  };
  for (const Case& each :
       std::vector<Case>{{"devices.ecc.00000000:01:00.0", true, false, "worse"},
                         {"devices.remapped-rows.00000000:01:00.0", 0, 2, "worse"},
                         {"devices.ecc-uncorrected-in-lifetime.00000000:01:00.0", 3, 4, "worse"},
                         {"devices.fabric-state.00000000:01:00.0", 3, 1, "worse"},
                         {"devices.pcie.00000000:01:00.0", "generation 5 of 5, 16 of 16 lanes",
                          "generation 5 of 5, 8 of 16 lanes", "worse"},
                         {"devices.pcie.00000000:01:00.0", "generation 4 of 5, 16 of 16 lanes",
                          "generation 5 of 5, 16 of 16 lanes", "better"},
                         {"devices.mig.00000000:01:00.0", false, true, "changed"},
                         {"devices.other-processes.00000000:01:00.0", 7, 6, "none"},
                         {"devices.nvlink-crc-data.00000000:01:00.0", 7, 9, "none"},
                         {"cublas.fp64.00000000:01:00.0", "at 1980 MHz", "at 1965 MHz", "none"},
                         {"cublas.version", "13.1.0", "13.2.0", "changed"},
                         {"nccl.shared-memory", "room for 7 bytes", "room for 8 bytes", "none"},
                         {"process.libnccl", "/a", "/b", "changed"}}) {
    MadeResults before;
    MadeResults after;
    before.add_fact(each.name, each.before);
    after.add_fact(each.name, each.after);
    const std::string shown = each.name.substr(0, each.name.find(".0000"));
    EXPECT_EQ(effect_of(compared(before, after), shown), each.effect) << each.name;
  }
}

TEST(ReportComparison, WhatFollowsFromAnUpgradeIsExpected) {
  MadeResults before;
  MadeResults after;
  for (const char* name :
       {"process.libcuda", "process.libnvidia-ml", "driver.nvml-version", "process.libcudart"}) {
    before.add_fact(name, "one");
    after.add_fact(name, "other");
  }
  after.set_fact("driver.version", "590.01");
  const Comparison comparison = compared(before, after);
  for (const char* name : {"process.libcuda", "process.libnvidia-ml", "driver.nvml-version"}) {
    EXPECT_EQ(effect_of(comparison, name), "expected") << name;
  }
  // No version of the toolkit changed.
  EXPECT_EQ(effect_of(comparison, "process.libcudart"), "changed");
  EXPECT_EQ(comparison.verdict(), "same");
}

TEST(ReportComparison, ALibraryFromAnotherPlaceIsToldApartFromAnotherLibrary) {
  for (const auto& [now, note] : std::vector<std::pair<std::string, std::string>>{
           {"/b/libnccl.so.2, build id 12", "the same build, from another place"},
           {"/a/libnccl.so.2, build id 34", "nothing that it belongs to has another version"},
           {"/b/libnccl.so.2", "nothing that it belongs to has another version"}}) {
    MadeResults before;
    MadeResults after;
    before.add_fact("process.libnccl", "/a/libnccl.so.2, build id 12");
    after.add_fact("process.libnccl", now);
    const Comparison comparison = compared(before, after);
    ASSERT_EQ(comparison.differences.size(), 1);
    EXPECT_EQ(comparison.differences.front().note, note);
    EXPECT_EQ(comparison.differences.front().part, "Libraries");
  }
}

TEST(ReportComparison, AGpuIsKnownByItsUuidWhereverItIs) {
  MadeResults after;
  after.set_fact("devices.gpu-0",
                 "NVIDIA Test, Large, GPU-1, 00000000:02:00.0, compute capability 9.0, 132 "
                 "multiprocessors, 143155 MiB");
  after.set_fact("devices.gpu-1",
                 "NVIDIA Test, Large, GPU-0, 00000000:01:00.0, compute capability 9.0, 132 "
                 "multiprocessors, 143155 MiB");
  for (Json& test : after.json["tests"]) {
    for (Json& figure : test["figures"]) {
      std::string name = figure["subject"]["name"];
      // CUDA counts them the other way round now.
      if (name.starts_with("GPU 0 (")) {
        name[4] = '1';
      } else if (name.starts_with("GPU 1 (")) {
        name[4] = '0';
      }
      figure["subject"]["name"] = name;
    }
  }
  after.test("memory.Copy.Fast")["figures"][1]["value"] = 2000;
  after.test("memory.Copy.Fast")["figures"][1]["samples"] = {2000, 2001, 1999};
  const Comparison comparison = compared(MadeResults(), after);
  EXPECT_EQ(effect_of(comparison, "device-copy-bandwidth of GPU 1"), "worse")
      << comparison_text(comparison, false);
  EXPECT_EQ(comparison.differences.size(), 1) << comparison_text(comparison, false);
}

TEST(ReportComparison, ALostGpuIsSaidOnceAndNotWithItsFigures) {
  const Comparison comparison = compared(MadeResults(2), MadeResults(1));
  EXPECT_EQ(effect_of(comparison, "GPU 1"), "worse");
  EXPECT_EQ(std::ranges::count(comparison.differences, Effect::worse, &Difference::effect), 1)
      << comparison_text(comparison, false);
  EXPECT_EQ(effect_of(compared(MadeResults(1), MadeResults(2)), "new GPU 1"), "changed");
}

/// Runs of one healthy host: clocks and heat move all samples of a run together by some percent,
/// and its samples differ by less, with one now and then that is far off.
MadeResults healthy_run(std::mt19937& random) {
  MadeResults made;
  std::normal_distribution<double> of_run(1, 0.015);
  std::normal_distribution<double> of_sample(1, 0.005);
  std::uniform_real_distribution<double> share(0, 1);
  for (Json& test : made.json["tests"]) {
    for (Json& figure : test["figures"]) {
      const double middle = figure["value"].get<double>() * of_run(random);
      Json samples = Json::array();
      for (int i = 0; i < 9; ++i) {
        const double factor = share(random) < 0.1 ? 0.5 : of_sample(random);
        samples.push_back(middle * factor);
      }
      std::vector<double> sorted = samples.get<std::vector<double>>();
      std::ranges::sort(sorted);
      figure["value"] = sorted[4];
      figure["samples"] = samples;
    }
  }
  return made;
}

TEST(ReportComparison, TenHealthyRunsAreTheSamePairwiseAndHalfAsFastIsFoundInEach) {
  std::mt19937 random(7);
  std::vector<MadeResults> runs;
  for (int i = 0; i < 10; ++i) runs.push_back(healthy_run(random));
  for (const MadeResults& before : runs) {
    for (const MadeResults& after : runs) {
      const Comparison comparison = compared(before, after);
      EXPECT_TRUE(comparison.differences.empty()) << comparison_text(comparison, false);
    }
    for (const double factor : {0.5, 0.25, 0.125}) {
      MadeResults slow = healthy_run(random);
      slow.scale("device-copy-bandwidth", factor);
      const Comparison comparison = compared(before, slow);
      EXPECT_EQ(std::ranges::count(comparison.differences, Effect::worse, &Difference::effect), 2)
          << comparison_text(comparison, false);
    }
  }
}

TEST(ReportComparison, AChangeWithinTheNoiseOfTheSamplesIsNone) {
  MadeResults before;
  MadeResults after;
  before.add_figure("memory.Copy.Fast", "noisy", "GB/s", "host", "host", {60, 100, 140, 80, 120});
  after.add_figure("memory.Copy.Fast", "noisy", "GB/s", "host", "host", {50, 70, 110, 60, 90});
  EXPECT_EQ(compared(before, after).verdict(), "same");
}

TEST(ReportComparison, WhatCannotBeComparedIsRefused) {
  MadeResults simulated;
  simulated.json["simulated"] = true;
  EXPECT_THROW(compared(MadeResults(), simulated), CannotRun);
  EXPECT_THROW(compared(simulated, MadeResults()), CannotRun);
  EXPECT_EQ(compared(simulated, simulated).verdict(), "same");
  MadeResults others;
  others.json["tests"] = Json::array();
  others.add_test("else.Where.Else");
  EXPECT_THROW(compared(MadeResults(), others), CannotRun);
  MadeResults strange;
  strange.set_fact("devices.gpu-1", "a toaster");
  EXPECT_THROW(compared(MadeResults(), strange), CannotRun);
}

TEST(ReportComparison, WhatIsWrongInResultsIsSaidWithItsPlace) {
  const support::ScratchFolder scratch(testing::TempDir() + "/comparison");
  const std::filesystem::path file = scratch.path() / "results.json";
  const auto refusal = [&](const std::function<void(Json&)>& damage) {
    MadeResults made;
    damage(made.json);
    write_file(file, made.json.dump());
    try {
      load_checked_results(file);
    } catch (const CannotRun& error) {
      return std::string(error.what());
    }
    return std::string("no refusal");
  };
  EXPECT_EQ(refusal([](Json&) {}), "no refusal");
  const std::vector<std::pair<std::function<void(Json&)>, std::string>> cases{
      {[](Json& json) { json["schema_version"] = 2; }, "schema_version: is another version than 1"},
      {[](Json& json) { json["schema"] = "x"; }, "schema: must be"},
      {[](Json& json) { json.erase("facts"); }, "\"facts\" is missing"},
      {[](Json& json) { json["simulated"] = 1; }, "simulated: must be true or false"},
      {[](Json& json) { json["run"]["started"] = "now"; }, "run.started: must be a number"},
      {[](Json& json) { json["facts"][0]["value"] = Json::array(); }, "facts[0].value: must be"},
      {[](Json& json) { json["tests"][1].erase("figures"); }, "tests[1]: \"figures\" is missing"},
      {[](Json& json) { json["tests"][1]["figures"][0]["value"] = "fast"; },
       "tests[1].figures[0].value: must be a number"},
      {[](Json& json) { json["tests"][1]["figures"][0]["samples"] = {"x"}; },
       "tests[1].figures[0].samples[0]: must be a number"},
      {[](Json& json) { json["tests"] = "none"; }, "tests: must be an array"},
      {[](Json& json) { json = Json::array(); }, "must be an object"},
  };
  for (const auto& [damage, words] : cases) {
    EXPECT_NE(refusal(damage).find(words), std::string::npos) << refusal(damage);
  }
  write_file(file, "{\"schema\": \"cuda-conf");
  EXPECT_THROW(load_checked_results(file), CannotRun);
  EXPECT_THROW(load_checked_results(scratch.path()), CannotRun);
}

TEST(ReportComparison, HostileTextsAndNumbersDoNoHarm) {
  MadeResults before;
  MadeResults after;
  const std::string hostile = "</td><script>x\x1b[31m\xff\n]]>&\"'";
  before.add_fact("some.fact", hostile);
  after.add_fact("some.fact", "x");
  after.add_test(hostile, "failed");
  for (const double value : {1e308, -1e308, 0.0, 5e-324}) {
    const std::string name = fmt::format("extreme {}", value);
    before.add_figure("memory.Copy.Fast", name, "GB/s", "host", "host", {value, value, value});
    after.add_figure("memory.Copy.Fast", name, "GB/s", "host", "host", {-value, 0, value});
  }
  const Comparison comparison = compared(before, after);
  EXPECT_EQ(comparison.verdict(), "worse");
  EXPECT_EQ(comparison_html(comparison).find("<script"), std::string::npos);
  EXPECT_EQ(comparison_text(comparison, false).find('\x1b'), std::string::npos);
  const support::ScratchFolder scratch(testing::TempDir() + "/comparison");
  for (const std::string& text : {comparison_junit(comparison), comparison_html(comparison)}) {
    write_file(scratch.path() / "view", text);
    ChildOptions options;
    const bool page = text.starts_with("<!DOCTYPE");
    options.argv = {"xmllint", "--noout"};
    for (const char* option :
         page ? std::vector{"--html"} : std::vector{"--schema", JUNIT_SCHEMA}) {
      options.argv.emplace_back(option);
    }
    options.argv.push_back((scratch.path() / "view").native());
    options.merge_streams = true;
    const ChildResult lint = run_child(options);
    EXPECT_TRUE(lint.succeeded()) << lint.output;
  }
}

/// The merged report of nodes of these names.
Json job_of(const std::map<std::string, MadeResults>& nodes) {
  std::vector<NodeReport> reports;
  reports.reserve(nodes.size());
  for (const auto& [name, made] : nodes) reports.push_back({name, made.json, ""});
  return merge(reports, {}, {});
}

TEST(ReportComparison, JobsAreComparedNodeByNode) {
  const auto compared_jobs = [](const Json& before, const Json& after) {
    return compare_jobs(before, "before.json", after, "after.json");
  };
  const MadeResults healthy;
  // A name of a host has dots, and may be the beginning of another one.
  const Json before = job_of({{"a", healthy}, {"a.b", healthy}, {"c", healthy}});
  const Comparison same = compared_jobs(before, before);
  EXPECT_EQ(same.verdict(), "same");
  EXPECT_TRUE(same.differences.empty());
  EXPECT_EQ(same.nodes, 3U);
  EXPECT_EQ(same.gpus, 3 * compared(healthy, healthy).gpus);
  EXPECT_EQ(same.figures, 3 * compared(healthy, healthy).figures);
  EXPECT_EQ(same.facts, 3 * compared(healthy, healthy).facts);

  MadeResults bad;
  bad.test("memory.Copy.Right")["outcome"] = "failed";
  const Comparison worse =
      compared_jobs(before, job_of({{"a", healthy}, {"a.b", bad}, {"d", healthy}}));
  EXPECT_EQ(worse.nodes, 2U);
  EXPECT_EQ(effect_of(worse, "a.b: memory.Copy.Right"), "worse");
  EXPECT_EQ(effect_of(worse, "a: "), "none");
  EXPECT_EQ(effect_of(worse, "c"), "worse") << "it is lost";
  EXPECT_EQ(effect_of(worse, "d"), "changed");
  EXPECT_NE(comparison_junit(worse).find("name=\"Nodes\""), std::string::npos);
  EXPECT_NE(comparison_text(worse, false).find("2 nodes, "), std::string::npos);

  EXPECT_THROW(compared_jobs(before, healthy.json), CannotRun);
  EXPECT_THROW(compared_jobs(healthy.json, before), CannotRun);
  EXPECT_THROW(compared_jobs(before, job_of({{"e", healthy}})), CannotRun);
}

TEST(ReportComparison, WhatAllNodesOfAJobHadTogetherCounts) {
  const MadeResults healthy;
  MadeResults older;
  older.set_fact("driver.version", "570.10");
  const Json before = job_of({{"a", healthy}, {"b", healthy}});
  const Comparison comparison =
      compare_jobs(before, "1", job_of({{"a", healthy}, {"b", older}}), "2");
  EXPECT_EQ(effect_of(comparison, "job.NodesAreAlike"), "worse");
}

TEST(ReportComparison, EveryViewNamesWhatGotWorseAndThatItWasSimulated) {
  MadeResults before;
  MadeResults after;
  before.json["simulated"] = true;
  after.json["simulated"] = true;
  after.test("memory.Copy.Right")["outcome"] = "failed";
  after.set_fact("driver.version", "590.01");
  const Comparison comparison = compared(before, after);
  const std::string junit = comparison_junit(comparison);
  // Where a name may be broken is no part of it.
  const std::string html = std::regex_replace(comparison_html(comparison), std::regex("<wbr>"), "");
  for (const std::string& text : {comparison_text(comparison, true), junit, html}) {
    for (const char* words : {"simulated: ", "memory.Copy.Right", "driver.version", "580.159.04"}) {
      EXPECT_NE(text.find(words), std::string::npos) << words << '\n' << text;
    }
  }
  EXPECT_NE(junit.find("tests=\"6\" failures=\"1\""), std::string::npos) << junit;
  EXPECT_NE(comparison_text(comparison, true).find("\x1b[1;31m"), std::string::npos);
}

TEST(ReportStatistics, TheSpreadIsThatOfTheMiddleSamples) {
  const std::vector<double> normal{10, 11, 9, 12, 8};
  EXPECT_DOUBLE_EQ(spread(normal), 1.4826);
  const std::vector<double> with_outlier{10, 11, 9, 12, -1000};
  EXPECT_DOUBLE_EQ(spread(with_outlier), 1.4826);
  EXPECT_EQ(spread(std::vector<double>{7}), 0);
  EXPECT_TRUE(std::isnan(spread({})));
}

TEST(ReportStatistics, UnitsSayWhichWayIsBetter) {
  EXPECT_EQ(kind_of("copy", "GB/s").better, Better::more);
  EXPECT_EQ(kind_of("product", "TFLOP/s").better, Better::more);
  EXPECT_EQ(kind_of("memory-coverage", "%").better, Better::more);
  EXPECT_EQ(kind_of("soak-rate", "%").better, Better::more);
  for (const char* unit : {"ns", "us", "ms", "s"}) {
    EXPECT_EQ(kind_of("latency", unit).better, Better::less) << unit;
  }
  EXPECT_EQ(kind_of("matmul-verification", "%").better, Better::neither);
  EXPECT_EQ(kind_of("error", "of its bound").better, Better::neither);
  EXPECT_EQ(kind_of("", "").better, Better::neither);
}

}  // namespace
}  // namespace conformance::report
