#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "ci/report/journals.h"

namespace conformance::report {

/// A results.json of a healthy host with GPUs of one model, of which tests change what they are
/// about.
struct MadeResults {
  explicit MadeResults(std::size_t gpus = 2) {
    const auto bus = [](std::size_t gpu) { return fmt::format("00000000:0{}:00.0", gpu + 1); };
    const auto uuid = [](std::size_t gpu) { return fmt::format("GPU-{}", gpu); };
    json = {{"schema", "cuda-conformance/results"},
            {"schema_version", 1},
            {"title", "CUDA conformance"},
            {"verdict", "conformant"},
            {"simulated", false},
            {"run",
             {{"id", "run"},
              {"started", 1.0},
              {"ended", 2.0},
              {"level", "standard"},
              {"cuda_origin", "any"},
              {"selection", "ctest"}}},
            {"counts",
             {{"passed", 3},
              {"failed", 0},
              {"slow", 0},
              {"skipped", 1},
              {"crashed", 0},
              {"timed-out", 0},
              {"error", 0},
              {"blocked", 0}}},
            {"first_finding", nullptr},
            {"findings", Json::array()},
            {"facts", Json::array()},
            {"layers", Json::array()},
            {"entries", Json::array()},
            {"tests", Json::array()},
            {"warnings", Json::array()}};
    for (const char* layer : {"environment", "driver", "devices", "memory", "peer", "nccl"}) {
      json["layers"].push_back(
          {{"name", layer}, {"requires", Json::array()}, {"outcome", "passed"}});
    }
    add_fact("driver.version", "580.159.04");
    add_fact("toolkit.version", "13.0");
    add_fact("nccl.version", "2.28.3");
    add_fact("nccl.environment", "NCCL_DEBUG=WARN NCCL_VERSION=2.28.3-1");
    add_fact("devices.visible-list", "not set");
    std::string access;
    std::string paths;
    add_test("memory.Copy.Right");
    add_test("memory.Copy.Fast");
    add_test("peer.Speed.Fast");
    add_test("peer.Data.OfThree", "skipped", "needs 3 GPUs; this process sees 2");
    for (std::size_t gpu = 0; gpu < gpus; ++gpu) {
      add_fact(fmt::format("devices.gpu-{}", gpu),
               fmt::format("NVIDIA Test, Large, {}, {}, compute capability 9.0, 132 "
                           "multiprocessors, 143155 MiB",
                           uuid(gpu), bus(gpu)));
      add_fact("devices.nvlinks." + bus(gpu), 18u);
      access += gpu > 0 ? " " : "";
      paths += gpu > 0 ? " | " : "";
      for (std::size_t other = 0; other < gpus; ++other) {
        access += other == gpu ? '-' : '1';
        paths += std::string(other > 0 ? " " : "") + (other == gpu ? "-" : "NV18");
        if (other == gpu) continue;
        add_figure("peer.Speed.Fast", "peer-copy-bandwidth", "GB/s", "pair",
                   fmt::format("GPU {} -> GPU {} ({} -> {})", gpu, other, bus(gpu), bus(other)),
                   {395, 396, 397});
        add_figure("peer.Speed.Fast", "peer-load-latency", "ns", "pair",
                   fmt::format("GPU {} -> GPU {} ({} -> {})", gpu, other, bus(gpu), bus(other)),
                   {830, 828, 832});
      }
      add_figure("memory.Copy.Fast", "device-copy-bandwidth", "GB/s", "device",
                 fmt::format("GPU {} ({}, {})", gpu, uuid(gpu), bus(gpu)), {4180, 4200, 4190});
    }
    if (gpus > 1) {
      add_fact("peer.access-matrix", access);
      add_fact("peer.paths", paths);
    }
  }

  void add_fact(const std::string& name, Json value) {
    json["facts"].push_back({{"name", name}, {"value", std::move(value)}, {"entry", "some.Entry"}});
  }
  void set_fact(const std::string& name, Json value) {
    for (Json& fact : json["facts"]) {
      if (fact["name"] == name) fact["value"] = value;
    }
  }
  void remove_fact(const std::string& name) {
    Json kept = Json::array();
    for (Json& fact : json["facts"]) {
      if (fact["name"] != name) kept.push_back(fact);
    }
    json["facts"] = kept;
  }
  void add_test(const std::string& name, const std::string& outcome = "passed",
                const std::string& skip_reason = "") {
    const std::string entry = name.substr(0, name.rfind('.'));
    const std::string layer = name.substr(0, name.find('.'));
    bool known = false;
    for (const Json& item : json["entries"]) known = known || item["name"] == entry;
    if (!known) {
      json["entries"].push_back({{"name", entry},
                                 {"layer", layer},
                                 {"level", "standard"},
                                 {"gate", false},
                                 {"selected", true},
                                 {"outcome", "passed"},
                                 {"seconds", 1.0},
                                 {"process", nullptr}});
    }
    json["tests"].push_back({{"name", name},
                             {"entry", entry},
                             {"layer", layer},
                             {"outcome", outcome},
                             {"claim", "Something holds"},
                             {"source", "a document"},
                             {"blocked_by", nullptr},
                             {"skip_reason", outcome == "skipped" ? Json(skip_reason) : Json()},
                             {"seconds", 0.5},
                             {"verified", Json::array({{{"count", 1}, {"what", "things"}}})},
                             {"figures", Json::array()},
                             {"messages", Json::array()},
                             {"findings", Json::array()}});
  }
  Json& test(const std::string& name) {
    for (Json& test : json["tests"]) {
      if (test["name"] == name) return test;
    }
    throw std::out_of_range(name);
  }
  void remove_test(const std::string& name) {
    Json kept = Json::array();
    for (Json& item : json["tests"]) {
      if (item["name"] != name) kept.push_back(item);
    }
    json["tests"] = kept;
  }
  void add_figure(const std::string& of, const std::string& name, const std::string& unit,
                  const std::string& kind, const std::string& subject,
                  const std::vector<double>& samples) {
    test(of)["figures"].push_back({{"name", name},
                                   {"value", samples[samples.size() / 2]},
                                   {"unit", unit},
                                   {"subject", {{"kind", kind}, {"name", subject}}},
                                   {"samples", samples},
                                   {"formula", "bytes / seconds"}});
  }
  /// Multiplies all samples of the figures of a name.
  void scale(const std::string& name, double factor) {
    for (Json& test : json["tests"]) {
      for (Json& figure : test["figures"]) {
        if (figure["name"] != name) continue;
        figure["value"] = figure["value"].get<double>() * factor;
        for (Json& sample : figure["samples"]) sample = sample.get<double>() * factor;
      }
    }
  }

  Json json;
};

}  // namespace conformance::report
