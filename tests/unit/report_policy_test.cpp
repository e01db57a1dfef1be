#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ci/report/findings.h"
#include "ci/report/host.h"
#include "ci/report/junit.h"
#include "ci/report/policy.h"
#include "ci/report/table.h"
#include "fixtures/child.h"
#include "fixtures/finding.h"
#include "tests/support/scratch.h"
#include "tests/unit/made_results.h"

namespace conformance::report {
namespace {

class ReportPolicy : public testing::Test {
 protected:
  /// The policy after its way through a file.
  Policy stored(const Json& json) const {
    const std::filesystem::path file = scratch.path() / "policy.json";
    write_file(file, json.dump());
    return load_policy(file);
  }
  Policy recorded(const MadeResults& results) const {
    return stored(to_json(record_policy(results.json, "results.json")));
  }
  std::string refusal(const std::string& text) const {
    const std::filesystem::path file = scratch.path() / "policy.json";
    write_file(file, text);
    try {
      load_policy(file);
    } catch (const CannotRun& error) {
      return error.what();
    }
    return "no refusal";
  }

  const support::ScratchFolder scratch{testing::TempDir() + "/policy"};
};

std::vector<std::string> codes(const Json& results) {
  std::vector<std::string> codes;
  for (const Json& finding : results["findings"]) codes.push_back(finding["code"]);
  return codes;
}

using Codes = std::vector<std::string>;

TEST_F(ReportPolicy, TheHostThatWasRecordedKeepsIt) {
  for (const std::size_t gpus : {1, 2, 3}) {
    const MadeResults results(gpus);
    const Json judged = enforce(recorded(results), results.json);
    EXPECT_EQ(judged["verdict"], "conformant") << judged["findings"].dump(2);
    EXPECT_TRUE(judged["first_finding"].is_null());
    EXPECT_EQ(judged["entries"].back()["name"], "gate.Policy");
    EXPECT_EQ(judged["entries"].back()["outcome"], "passed");
    EXPECT_GT(judged["counts"]["passed"], 3);
    for (const Json& test : judged["tests"]) {
      EXPECT_GT(test["verified"][0]["count"], 0) << test;
    }
  }
}

TEST_F(ReportPolicy, EachThingThatIsMissingIsFoundAsWhatItIs) {
  struct Case {
    std::function<void(MadeResults&)> fault;
    Codes codes;
    std::string subject;
  };
  const std::vector<Case> cases{
      {[](MadeResults& made) { made.set_fact("peer.access-matrix", "-0 1-"); },
       {"gate.peer-access-missing"},
       "GPU 0 -> GPU 1 (00000000:01:00.0 -> 00000000:02:00.0)"},
      {[](MadeResults& made) { made.remove_fact("peer.access-matrix"); },
       {"gate.peer-access-missing", "gate.peer-access-missing"},
       "GPU 0 -> GPU 1 (00000000:01:00.0 -> 00000000:02:00.0)"},
      {[](MadeResults& made) { made.set_fact("peer.paths", "- NV18 | NV17 -"); },
       {"gate.link-missing"},
       "GPU 1 -> GPU 0 (00000000:02:00.0 -> 00000000:01:00.0)"},
      {[](MadeResults& made) { made.set_fact("devices.nvlinks.00000000:02:00.0", 17u); },
       {"gate.link-missing"},
       "GPU 1 (GPU-1, 00000000:02:00.0)"},
      {[](MadeResults& made) { made.set_fact("driver.version", "579.999"); },
       {"gate.version-unexpected"},
       "host"},
      {[](MadeResults& made) { made.set_fact("toolkit.version", "12.9"); },
       {"gate.version-unexpected"},
       "host"},
      {[](MadeResults& made) { made.set_fact("nccl.environment", "NCCL_P2P_DISABLE=1"); },
       {"gate.setting-unexpected"},
       "NCCL_P2P_DISABLE"},
      {[](MadeResults& made) { made.remove_test("memory.Copy.Right"); },
       {"gate.test-missing"},
       "memory.Copy.Right"},
      {[](MadeResults& made) {
         made.test("memory.Copy.Right")["outcome"] = "skipped";
         made.test("memory.Copy.Right")["skip_reason"] = "needs 3 GPUs; this process sees 2";
       },
       {"gate.skip-not-allowed"},
       "memory.Copy.Right"},
      {[](MadeResults& made) { made.test("peer.Data.OfThree")["skip_reason"] = "no reason"; },
       {"gate.skip-not-allowed"},
       "peer.Data.OfThree"},
      {[](MadeResults& made) { made.test("memory.Copy.Fast")["figures"].erase(1); },
       {"gate.figure-missing"},
       "device-copy-bandwidth"},
      {[](MadeResults& made) { made.test("memory.Copy.Fast")["figures"][0]["value"] = nullptr; },
       {"gate.figure-missing"},
       "device-copy-bandwidth"},
      {[](MadeResults& made) { made.test("memory.Copy.Fast")["figures"][1]["value"] = 3340.0; },
       {"gate.figure-out-of-bounds"},
       "GPU 1 (GPU-1, 00000000:02:00.0)"},
      {[](MadeResults& made) { made.scale("peer-load-latency", 2.1); },
       {"gate.figure-out-of-bounds", "gate.figure-out-of-bounds"},
       "GPU 0 -> GPU 1 (00000000:01:00.0 -> 00000000:02:00.0)"},
      {[](MadeResults& made) { made.json["run"]["level"] = "quick"; }, {"gate.other-run"}, "host"},
      {[](MadeResults& made) { made.json["simulated"] = true; }, {"gate.other-run"}, "host"},
  };
  const Policy policy = recorded(MadeResults());
  for (const Case& each : cases) {
    MadeResults made;
    each.fault(made);
    const Json judged = enforce(policy, made.json);
    EXPECT_EQ(codes(judged), each.codes) << judged["findings"].dump(2);
    EXPECT_EQ(judged["verdict"], "not-conformant");
    ASSERT_FALSE(judged["first_finding"].is_null());
    const std::string subject = judged["first_finding"]["subject"]["name"];
    EXPECT_EQ(subject, each.subject == "host" ? host_subject().name : each.subject);
    EXPECT_FALSE(judged["first_finding"]["remedy"].get<std::string>().empty());
    const std::string test = judged["first_finding"]["test"];
    EXPECT_NE(junit(judged).find(codes(judged).front()), std::string::npos);
    EXPECT_NE(table(judged, "here", false).find(codes(judged).front()), std::string::npos);
    EXPECT_TRUE(test.starts_with("gate.Policy.")) << test;
  }
}

TEST_F(ReportPolicy, WithinTheMarginNothingIsFound) {
  const Policy policy = recorded(MadeResults());
  MadeResults made;
  made.scale("device-copy-bandwidth", 0.85);
  made.scale("peer-load-latency", 1.9);
  made.set_fact("driver.version", "580.200");
  made.set_fact("peer.paths", "- NV19 | NV18 -");
  made.set_fact("nccl.environment", "NCCL_DEBUG=INFO");
  EXPECT_EQ(enforce(policy, made.json)["verdict"], "conformant");
}

TEST_F(ReportPolicy, AMissingGpuIsOneFindingAndBlocksWhatItIsNeededFor) {
  MadeResults made(1);
  made.set_fact("devices.visible-list", "0");
  const Json judged = enforce(recorded(MadeResults(2)), made.json);
  EXPECT_EQ(codes(judged), Codes{"gate.gpu-missing"});
  EXPECT_EQ(judged["first_finding"]["evidence"]["CUDA_VISIBLE_DEVICES"], "0");
  EXPECT_EQ(judged["counts"]["blocked"], 2);  // peers and links
}

TEST_F(ReportPolicy, WhatARunDidNotTellBecauseItLeftTestsOutIsNoFindingBesideThese) {
  MadeResults made;
  made.remove_test("memory.Copy.Right");
  made.remove_test("memory.Copy.Fast");
  for (const char* fact : {"toolkit.version", "peer.access-matrix", "peer.paths",
                           "devices.nvlinks.00000000:02:00.0", "nccl.environment"}) {
    made.remove_fact(fact);
  }
  Json judged = enforce(recorded(MadeResults()), made.json);
  EXPECT_EQ(codes(judged), Codes{"gate.test-missing"}) << judged["findings"].dump(2);
  EXPECT_EQ(judged["counts"]["blocked"], 5);  // versions, peers, links, settings, figures
  made.set_fact("driver.version", "579.999");
  judged = enforce(recorded(MadeResults()), made.json);
  EXPECT_EQ(codes(judged), (Codes{"gate.version-unexpected", "gate.test-missing"}));
  EXPECT_EQ(judged["counts"]["blocked"], 4);
}

TEST_F(ReportPolicy, OfFindingsThoseOfALayerComeBeforeWhatThePolicyMissesThere) {
  const auto finding = [](const char* layer, const char* outcome) {
    return Json{{"code", layer}, {"layer", layer}, {"outcome", outcome}};
  };
  MadeResults made(1);
  made.json["verdict"] = "not-conformant";
  made.json["findings"] = {finding("devices", "failed"), finding("nccl", "failed"),
                           finding("driver", "passed")};
  EXPECT_EQ(codes(enforce(recorded(MadeResults(2)), made.json)),
            (Codes{"devices", "gate.gpu-missing", "nccl", "driver"}));
}

TEST_F(ReportPolicy, ASettingComesBeforeWhatItCausesInNccl) {
  MadeResults made;
  made.set_fact("nccl.environment", "NCCL_P2P_DISABLE=1");
  made.json["verdict"] = "not-conformant";
  for (const char* layer : {"peer", "nccl"}) {
    made.json["findings"].push_back({{"code", layer}, {"layer", layer}, {"outcome", "failed"}});
  }
  EXPECT_EQ(codes(enforce(recorded(MadeResults()), made.json)),
            (Codes{"peer", "gate.setting-unexpected", "nccl"}));
  made.remove_fact("nccl.environment");
  EXPECT_EQ(codes(enforce(recorded(MadeResults()), made.json)),
            (Codes{"peer", "nccl", "gate.setting-unexpected"}));
}

TEST_F(ReportPolicy, EachOfItsFindingsIsInItsDocumentation) {
  const std::string text = read_file(SOURCE_DIR "/ci/POLICY.md");
  for (const FindingKind* kind : kGateFindingKinds) {
    EXPECT_TRUE(kind->code.starts_with("gate.")) << kind->code;
    EXPECT_NE(text.find(fmt::format("`{}`", kind->code)), std::string::npos) << kind->code;
  }
}

TEST_F(ReportPolicy, GpusAreNumberedByTheirAddressesAndNotByTheOrderInWhichCudaCountsThem) {
  MadeResults made;
  const Json first = fact(made.json, "devices.gpu-0");
  made.set_fact("devices.gpu-0", fact(made.json, "devices.gpu-1"));
  made.set_fact("devices.gpu-1", first);
  made.set_fact("peer.access-matrix", "-1 0-");
  EXPECT_EQ(record_policy(made.json, "run").access, (std::vector<std::string>{"-0", "1-"}));
}

TEST_F(ReportPolicy, ARunThatTellsOfNoGpuIsNotRecorded) {
  EXPECT_THROW(record_policy(MadeResults(0).json, "run"), CannotRun);
}

TEST_F(ReportPolicy, WhatIsWrongInAPolicyIsSaidWithItsPlace) {
  const std::string head = R"({"schema": "cuda-conformance/policy", "schema_version": 1, )";
  const std::string kind = head + R"("simulated": false, )";
  const std::string two = kind + R"("gpus": [{"model": "x", "count": 2}], )";
  const std::map<std::string, std::string> cases{
      {"", "is damaged"},
      {"[]", "must be an object"},
      {"{}", "\"schema\" is missing"},
      {R"({"schema": "cuda-conformance/results", "schema_version": 1})", "schema: must be"},
      {R"({"schema": "cuda-conformance/policy", "schema_version": 2})",
       "schema_version: is another"},
      {head + R"("gpus": []})", "\"simulated\" is missing"},
      {head + R"("simulated": "no"})", "simulated: must be true or false, not string"},
      {kind + R"("gpus": []})", "expects nothing"},
      {kind + "\"gp\\u001b[31mus\": []}", "is not known here"},
      {kind + R"("gpus": [{"model": "x"}]})", "gpus[0]: \"count\" is missing"},
      {kind + R"("gpus": [{"model": "", "count": 1}]})", "gpus[0].model: must be a text"},
      {kind + R"("gpus": [{"model": "x", "count": 0}]})", "gpus[0].count: must be a whole"},
      {kind + R"("gpus": [{"model": "x", "count": -1}]})", "gpus[0].count: must be a whole"},
      {kind + R"("gpus": [{"model": "x", "count": 1e300}]})", "gpus[0].count: must be a whole"},
      {two + R"("peer_access": ["-1"]})", "peer_access: must have a row for each of the 2"},
      {two + R"("peer_access": ["-1", "-1"]})", "peer_access[1]: must be 2 characters"},
      {two + R"("peer_access": ["-1", "x-"]})", "peer_access[1]: must be 2 characters"},
      {two + R"("paths": ["- NV18", "NV18 - NV18"]})", "paths[1]: must be 2 words"},
      {two + R"("paths": ["- near", "NV18 -"]})", "paths[0]: must be 2 words"},
      {two + R"("nvlinks": [18, "18"]})", "nvlinks[1]: must be a whole number"},
      {two + R"("driver": {}})", "driver: needs \"least\" or \"most\""},
      {two + R"("driver": {"least": "new"}})", "driver.least: must be numbers"},
      {two + R"("driver": {"least": "580", "most": "570.1"}})", "driver: \"least\" is above"},
      {two + R"("level": "deep"})", "level: must be quick"},
      {two + R"("figures": [{"name": "x", "unit": "GB/s"}]})", "figures[0]: needs \"least\""},
      {two + R"("figures": [{"name": "x", "unit": "s", "least": null}]})",
       "figures[0].least: must be a number, not null"},
      {two + R"("figures": [{"name": "x", "unit": "s", "least": 1e999}]})", "is damaged"},
      {two + R"("figures": {"x": 1}})", "figures: must be an array"},
      {two + R"("skips": [{"test": "x"}]})", "skips[0]: \"reason\" is missing"},
      {two + R"("tests": [7]})", "tests[0]: must be a text that is not empty, not number"},
  };
  for (const auto& [text, words] : cases) {
    const std::string said = refusal(text);
    EXPECT_NE(said.find(words), std::string::npos) << text << '\n' << said;
    EXPECT_NE(said.find("policy.json"), std::string::npos) << said;
    EXPECT_EQ(said.find('\x1b'), std::string::npos);
  }
}

TEST_F(ReportPolicy, ItsSchemaAcceptsWhatIsRecordedAndRefusesWhatIsWrong) {
  const Json good = to_json(record_policy(MadeResults().json, "run"));
  Json policies = Json::array({good});
  for (const char* key : {"schema", "simulated"}) {
    policies.push_back(good);
    policies.back().erase(key);
  }
  for (const auto& [key, value] :
       std::map<std::string, Json>{{"gpus", Json::array({Json{{"model", "x"}, {"count", 0}}})},
                                   {"peer_access", Json::array({"-2"})},
                                   {"driver", Json::object()},
                                   {"figures", Json::array({Json{{"name", "x"}, {"unit", "s"}}})},
                                   {"level", "deep"},
                                   {"something", 1}}) {
    policies.push_back(good);
    policies.back()[key] = value;
  }
  write_file(scratch.path() / "policies.json", policies.dump());
  // A host that lacks something, so that there are findings.
  const Json judged = enforce(stored(good), MadeResults(1).json);
  ASSERT_FALSE(judged["findings"].empty());
  write_file(scratch.path() / "judged.json", judged.dump());
  ChildOptions options;
  options.argv = {"python3",
                  "-c",
                  "import json, sys\n"
                  "try: import jsonschema\n"
                  "except ImportError: sys.exit(3)\n"
                  "schema, policies, results_schema, judged = ("
                  "json.load(open(path)) for path in sys.argv[1:])\n"
                  "validator = jsonschema.Draft202012Validator\n"
                  "validator.check_schema(schema)\n"
                  "print(*[validator(schema).is_valid(policy) for policy in policies])\n"
                  "print(*[error.message for error in "
                  "validator(results_schema).iter_errors(judged)])\n",
                  SOURCE_DIR "/ci/report/policy.schema.json",
                  (scratch.path() / "policies.json").native(),
                  SOURCE_DIR "/ci/report/results.schema.json",
                  (scratch.path() / "judged.json").native()};
  options.merge_streams = true;
  const ChildResult result = run_child(options);
  const bool there = result.end == ChildResult::End::exited && result.code != 3;
  if (!there) GTEST_SKIP() << "no python3-jsonschema";
  EXPECT_EQ(result.output, "True False False False False False False False False\n\n");
}

TEST(ReportPatterns, AStarStandsForAnyText) {
  EXPECT_TRUE(matches("needs * GPUs; this process sees *", "needs 3 GPUs; this process sees 2"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*", "a"));
  EXPECT_TRUE(matches("peer.*.Fast", "peer.Speed.Fast"));
  EXPECT_FALSE(matches("peer.*.Fast", "peer.Speed.Faster"));
  EXPECT_FALSE(matches("ab*b", "ab"));
  EXPECT_FALSE(matches("", "x"));
  EXPECT_FALSE(matches("a", "ab"));
}

TEST(ReportHost, PathsAreRankedByLinksThenHops) {
  EXPECT_GT(rank_of_path("NV18"), rank_of_path("NV9"));
  EXPECT_GT(rank_of_path("NV1"), rank_of_path("PIX"));
  EXPECT_GT(rank_of_path("PHB"), rank_of_path("SYS"));
  EXPECT_GT(rank_of_path("SYS"), rank_of_path("?"));
  EXPECT_EQ(rank_of_path("NV99999999999999999999"), 0);
}

TEST(ReportHost, VersionsAreComparedByTheirNumbers) {
  EXPECT_TRUE(std::is_gt(*compare_versions("580.159.04", "580.65.06")));
  EXPECT_TRUE(std::is_eq(*compare_versions("13.0", "13")));
  EXPECT_TRUE(std::is_lt(*compare_versions("9.2", "13.0")));
  EXPECT_FALSE(compare_versions("13.x", "13.0"));
  EXPECT_FALSE(compare_versions("", "1"));
}

}  // namespace
}  // namespace conformance::report
