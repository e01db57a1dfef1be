#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ci/report/html.h"
#include "ci/report/junit.h"
#include "ci/report/merge.h"
#include "ci/report/table.h"

namespace conformance::report {
namespace {

/// The report of a healthy node, with one figure of one test.
NodeReport node(const std::string& name, const std::string& driver, double rate) {
  NodeReport node;
  node.name = name;
  node.results =
      Json{{"verdict", "conformant"},
           {"simulated", false},
           {"run",
            {{"id", name},
             {"started", 10.0},
             {"ended", 20.0},
             {"level", "standard"},
             {"cuda_origin", "any"}}},
           {"facts",
            {{{"name", "driver.version"}, {"value", driver}, {"entry", "driver.Versions"}},
             {{"name", "devices.gpu-0"}, {"value", "GPU A, GPU-1"}, {"entry", "devices.Gate"}}}},
           {"findings", Json::array()},
           {"warnings", Json::array()}};
  (*node.results)["tests"] = Json::array();
  (*node.results)["tests"].push_back({{"name", "memory.Bandwidth.Copies"},
                                      {"entry", "memory.Bandwidth"},
                                      {"layer", "memory"},
                                      {"outcome", "passed"},
                                      {"claim", "A claim"},
                                      {"source", "A source"},
                                      {"blocked_by", nullptr},
                                      {"skip_reason", nullptr},
                                      {"seconds", 1.0},
                                      {"verified", {{{"count", 3}, {"what", "words"}}}},
                                      {"figures",
                                       {{{"name", "copy-bandwidth"},
                                         {"value", rate},
                                         {"unit", "GB/s"},
                                         {"samples", {rate}},
                                         {"formula", "f"},
                                         {"subject", {{"kind", "device"}, {"name", "GPU 0"}}}}}},
                                      {"messages", Json::array()},
                                      {"findings", Json::array()}});
  return node;
}

std::vector<std::string> found(const Json& merged) {
  std::vector<std::string> texts;
  for (const Json& finding : merged.at("findings")) {
    texts.push_back(finding.at("code").get<std::string>() + " " +
                    finding.at("subject").at("name").get<std::string>());
  }
  return texts;
}

TEST(Merge, NodesThatAreAlikeAreConformant) {
  const Json merged =
      merge({node("a", "580", 100), node("b", "580", 101), node("c", "580", 99)}, {}, {});
  EXPECT_EQ(merged.at("verdict"), "conformant");
  EXPECT_TRUE(merged.at("first_finding").is_null());
  EXPECT_EQ(merged.at("counts").at("passed"), 6);
  EXPECT_NE(junit(merged).find("testsuite name=\"b\""), std::string::npos);
}

TEST(Merge, NodesThatDifferAreNamed) {
  const Json merged = merge({node("a", "580", 100),
                             node("b", "575", 101),
                             node("c", "580", 70),
                             {.name = "d", .results = {}, .problem = "not there"}},
                            {}, {});
  EXPECT_EQ(merged.at("verdict"), "not-conformant");
  EXPECT_EQ(found(merged),
            (std::vector<std::string>{"job.no-report d", "job.version-mix b", "job.outlier c"}));
  EXPECT_NE(table(merged, "here", false).find("on 2 of 3 nodes it is 580"), std::string::npos);
}

TEST(Merge, TwoNodesThatDifferAreBothNamedAndNeitherIsAnOutlier) {
  const Json merged = merge({node("a", "580", 100), node("b", "575", 10)}, {}, {});
  EXPECT_EQ(found(merged), (std::vector<std::string>{"job.version-mix b", "job.version-mix a"}));
}

TEST(Merge, WhatANodeFindsNamesTheNode) {
  NodeReport bad = node("b", "580", 100);
  (*bad.results)["verdict"] = "not-conformant";
  (*bad.results)["tests"][0]["outcome"] = "failed";
  (*bad.results)["findings"].push_back({{"code", "memory.copy-wrong"},
                                        {"severity", "hardware"},
                                        {"layer", "memory"},
                                        {"entry", "memory.Bandwidth"},
                                        {"test", "memory.Bandwidth.Copies"},
                                        {"outcome", "failed"},
                                        {"subject", {{"kind", "device"}, {"name", "GPU 0"}}},
                                        {"detail", "d"},
                                        {"cause", "c"},
                                        {"remedy", "r"},
                                        {"evidence", Json::object()},
                                        {"time", 1.0}});
  const Json merged = merge({node("a", "580", 100), bad}, {}, {});
  EXPECT_EQ(merged.at("verdict"), "not-conformant");
  EXPECT_EQ(merged.at("first_finding").at("subject").at("name"), "b: GPU 0");
  EXPECT_EQ(merged.at("first_finding").at("test"), "b.memory.Bandwidth.Copies");
}

TEST(Merge, ThePageOfManyNodesShowsThoseThatDiffer) {
  std::vector<NodeReport> nodes;
  nodes.reserve(201);
  for (int i = 0; i < 200; ++i) {
    nodes.push_back(node("node" + std::to_string(i), i == 150 ? "575" : "580", i == 77 ? 50 : 100));
  }
  nodes.push_back({.name = "gone", .results = {}, .problem = "not there"});
  const Json merged = merge(nodes, {}, {});
  const Json shown = for_page(merged);
  std::vector<std::string> entries;
  for (const Json& entry : shown.at("entries")) entries.push_back(entry.at("name"));
  EXPECT_EQ(entries, (std::vector<std::string>{"node0", "node77", "node150", "job"}));
  EXPECT_EQ(shown.at("nodes").size(), 201U);
  EXPECT_EQ(shown.at("counts"), merged.at("counts"));
  const std::string page = html(shown);
  EXPECT_NE(page.find("node199"), std::string::npos) << "in the table of nodes";
  EXPECT_EQ(page.find("node199.memory"), std::string::npos);
  EXPECT_LT(page.size(), html(merged).size() / 4);
  // Not only of those that are alike there may be many.
  for (NodeReport& each : nodes) {
    if (each.results) (*each.results)["verdict"] = "not-conformant";
  }
  EXPECT_EQ(for_page(merge(nodes, {}, {})).at("entries").size(), kNodesInFull + 1);
}

TEST(Merge, ARankThatCameToNoEndIsNamed) {
  RankReport rank{.name = "host-7", .record = {}};
  rank.record.facts.push_back({{"name", "rank.number"}, {"value", 3}});
  rank.record.facts.push_back({{"name", "rank.doing"}, {"value", "waiting"}});
  rank.record.tests.emplace_back().name = "nccl.Rank.0";
  const Json merged = merge({node("a", "580", 100)}, std::vector{rank}, {});
  EXPECT_EQ(merged.at("verdict"), "not-conformant");
  EXPECT_EQ(merged.at("first_finding").at("detail"), "rank-3 ended in \"waiting\"");
}

TEST(Merge, RanksThatWereAskedForMustBeThere) {
  EXPECT_EQ(found(merge({node("a", "580", 100)}, std::vector<RankReport>{}, {})),
            (std::vector<std::string>{"job.no-report all nodes"}));
}

TEST(Outliers, AreFarFromTheMedianOnTheWorseSide) {
  using Places = std::vector<std::size_t>;
  const auto of = [](std::vector<double> values, bool time) {
    return outliers(values, kind_of("figure", time ? "us" : "GB/s"));
  };
  EXPECT_EQ(of({100, 100, 89}, false), Places{2});
  EXPECT_EQ(of({100, 100, 91}, false), Places{}) << "a share that varies on healthy nodes";
  EXPECT_EQ(of({100, 80, 60}, false), Places{}) << "all nodes differ";
  EXPECT_EQ(of({100, 100, 150}, false), Places{}) << "faster";
  EXPECT_EQ(of({10, 10, 16, 10}, true), Places{2});
  EXPECT_EQ(of({10, 10, 14, 10}, true), Places{});
  EXPECT_EQ(of({100, 10}, false), Places{}) << "too few nodes";
}

}  // namespace
}  // namespace conformance::report
