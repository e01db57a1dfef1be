// The simulator's own rules: what it accepts, and when a fault fires.

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/simulator/core/device.h"
#include "tests/simulator/core/device_attributes.h"
#include "tests/simulator/core/fault.h"
#include "tests/simulator/core/machine.h"
#include "tests/simulator/cublas/gemm.h"

namespace conformance::sim {
namespace {

using nlohmann::json;

/// What the machine's reader complains of; empty if nothing.
std::string machine_complaint(const std::string& text) {
  try {
    read_machine(json::parse(text), 2);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

std::string fault_complaint(const std::string& text) {
  try {
    const Faults faults(json::parse(text), "");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(SimulatedMachine, HasTheGpusAskedForAndEachSaysThatItIsSimulated) {
  const Machine machine = read_machine(json::object(), 3);
  ASSERT_EQ(machine.gpus.size(), 3u);
  for (const Gpu& gpu : machine.gpus) EXPECT_EQ(gpu.name.rfind("Simulated ", 0), 0u);
  EXPECT_NE(machine.gpus[0].uuid, machine.gpus[1].uuid);
  EXPECT_NE(machine.gpus[0].pci_bus_id(), machine.gpus[1].pci_bus_id());
}

TEST(SimulatedMachine, NamesAGpuSimulatedThatIsNot) {
  const Machine machine = read_machine(json::parse(R"({"gpu": {"name": "H100"}})"), 1);
  EXPECT_EQ(machine.gpus[0].name, "Simulated H100");
}

TEST(SimulatedMachine, ReadsLinksOfAPairOnTopOfThoseOfAll) {
  const Machine machine = read_machine(json::parse(R"({"links": {"all": {"kind": "pcie"},
                                "pairs": [{"from": 0, "to": 1, "kind": "none"}]}})"),
                                       2);
  EXPECT_FALSE(peers_reach(machine, 0, 1));
  EXPECT_TRUE(peers_reach(machine, 1, 0));
  EXPECT_FALSE(peers_reach(machine, 0, 0));
}

TEST(SimulatedMachine, RefusesMistakesAndNamesThem) {
  EXPECT_EQ(machine_complaint(R"({"gpus": 2})"), "");
  EXPECT_EQ(machine_complaint(R"({"gpsu": 2})"), R"(machine: unknown key "gpsu")");
  EXPECT_EQ(machine_complaint(R"({"gpu": {"memory_bytes": "many"}})"),
            R"(machine.gpu.memory_bytes: wrong type: "many")");
  EXPECT_EQ(machine_complaint(R"({"cuda_order": [0, 0]})"),
            "machine.cuda_order: must name GPUs, each once at most");
  EXPECT_EQ(machine_complaint(R"({"links": {"pairs": [{"from": 0, "to": 2}]}})"),
            "machine.links.pairs[0]: from and to must be two different GPUs");
}

TEST(SimulatedMachine, ShowsTheGpusThatTheListNamesUpToTheFirstThatItDoesNot) {
  const Machine machine = read_machine(json::parse(R"({"cuda_order": [2, 0, 1]})"), 3);
  using Gpus = std::vector<int>;
  EXPECT_EQ(visible_gpus(machine, nullptr, nullptr), (Gpus{2, 0, 1}));
  EXPECT_EQ(visible_gpus(machine, "PCI_BUS_ID", nullptr), (Gpus{0, 1, 2}));
  EXPECT_EQ(visible_gpus(machine, nullptr, "1, 0"), (Gpus{0, 2}));
  EXPECT_EQ(visible_gpus(machine, "PCI_BUS_ID", "1,0"), (Gpus{1, 0}));
  EXPECT_EQ(visible_gpus(machine, nullptr, "1,3,0"), (Gpus{0}));
  EXPECT_EQ(visible_gpus(machine, nullptr, "1,0,1"), Gpus{});
  EXPECT_EQ(visible_gpus(machine, nullptr, ""), Gpus{});
}

TEST(SimulatedMachine, ResolvesUuidsAmongTheGpusThatCudaShows) {
  const char* const gpus = R"("gpus": [{"uuid": "GPU-aa"}, {"uuid": "GPU-ab"}, {"uuid": "GPU-b"}])";
  const Machine all = read_machine(json::parse("{" + std::string(gpus) + "}"), -1);
  EXPECT_EQ(visible_gpus(all, nullptr, "GPU-b,GPU-ab"), (std::vector<int>{2, 1}));
  EXPECT_EQ(visible_gpus(all, nullptr, "GPU-b,GPU-a"), (std::vector<int>{2})) << "ambiguous";
  const Machine some =
      read_machine(json::parse(R"({"cuda_order": [2, 1], )" + std::string(gpus) + "}"), -1);
  EXPECT_EQ(visible_gpus(some, nullptr, "GPU-a,GPU-b"), (std::vector<int>{1, 2}));
  EXPECT_EQ(visible_gpus(some, nullptr, "GPU-aa"), std::vector<int>{}) << "CUDA hides it";
}

TEST(SimulatedFaults, RefuseMistakesAndNameThem) {
  EXPECT_EQ(fault_complaint(R"([{"call": "cudaMalloc", "effect": "return", "code": 2}])"), "");
  EXPECT_EQ(fault_complaint(R"([{"call": "cudaMalloc", "effect": "return"}])"),
            R"(faults[0]: "code" is missing)");
  EXPECT_EQ(fault_complaint(R"([{"call": "cudaMalloc", "effect": "retrun", "code": 2}])"),
            R"(faults[0].effect: unknown effect "retrun")");
  EXPECT_EQ(fault_complaint(R"([{"call": "x", "effect": "hang", "code": 2}])"),
            R"(faults[0]: unknown key "code")");
  EXPECT_EQ(fault_complaint(R"([{"call": "x", "effect": "hang", "occurrence": 0}])"),
            "faults[0].occurrence: counts from 1");
  EXPECT_EQ(fault_complaint(R"([{"call": "x", "effect": "hang", "subject": {"pair": [1]}}])"),
            "faults[0].subject.pair: must be [from, to]");
}

TEST(SimulatedFaults, FireAtTheirOccurrenceOfTheirCallOnTheirSubjectOnly) {
  Faults faults(json::parse(R"([{"call": "a", "occurrence": 2, "subject": {"pair": [0, 1]},
                                 "effect": "return", "code": 7}])"),
                "");
  EXPECT_FALSE(faults.at({"a", 0, 1}).code);
  EXPECT_FALSE(faults.at({"b", 0, 1}).code);
  EXPECT_FALSE(faults.at({"a", 1, 0}).code);
  EXPECT_EQ(faults.at({"a", 0, 1}).code, 7);
  EXPECT_FALSE(faults.at({"a", 0, 1}).code);
}

TEST(SimulatedFaults, LeaveALineForEachFiring) {
  const std::string file = testing::TempDir() + "simulated_faults_fired";
  std::remove(file.c_str());
  Faults faults(json::parse(R"([{"call": "a", "effect": "slow", "factor": 2},
                                {"call": "b", "effect": "slow", "factor": 3}])"),
                file);
  EXPECT_EQ(faults.at({"b"}).slow, 3);
  faults.at({"b"});
  std::ifstream lines(file);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_EQ(line.rfind("1 b ", 0), 0u);
  EXPECT_EQ(count, 2);
  std::remove(file.c_str());
}

TEST(SimulatedDamage, ChangesOneElementToAnotherFiniteValue) {
  for (const float value : {0.0f, 1.0f, -3.5f, 1e30f}) {
    float data[3] = {value, value, value};
    Firing firing;
    firing.data.push_back({DataFault::Kind::wrong_element, 1});
    damage(firing, data, sizeof(data), sizeof(float), {});
    EXPECT_EQ(data[0], value);
    EXPECT_NE(data[1], value);
    EXPECT_TRUE(std::isfinite(data[1]));
    EXPECT_EQ(data[2], value);
  }
}

TEST(SimulatedDamage, DropsAWriteByBringingBackWhatWasThere) {
  char data[4] = {1, 1, 1, 1};
  Firing firing;
  firing.data.push_back({DataFault::Kind::drop_write, 1, 2});
  ASSERT_TRUE(keeps_old_bytes(firing));
  damage(firing, data, sizeof(data), 1, {0, 0, 0, 0});
  EXPECT_EQ(std::vector<char>(std::begin(data), std::end(data)), (std::vector<char>{1, 0, 0, 1}));
}

TEST(SimulatedGemm, HonoursTransposesLeadingDimensionsAndScales) {
  // A = (1 2; 3 4), stored as its transpose with a gap; B = (5 6; 7 8); C = 2·A·B - C.
  const double a[] = {1, 2, 99, 3, 4, 99};
  const double b[] = {5, 7, 6, 8};
  double c[] = {1, 1, 98, 1, 1, 98};
  cublas::Gemm gemm;
  gemm.transpose_a = cublas::Transpose::plain;
  gemm.m = gemm.n = gemm.k = 2;
  gemm.alpha = 2;
  gemm.beta = -1;
  gemm.type_a = gemm.type_b = gemm.type_c = cublas::Number::fp64;
  gemm.a = a;
  gemm.b = b;
  gemm.c = c;
  gemm.lda = 3;
  gemm.ldb = 2;
  gemm.ldc = 3;
  cublas::run(gemm);
  EXPECT_EQ(std::vector<double>(std::begin(c), std::end(c)),
            (std::vector<double>{37, 85, 98, 43, 99, 98}));
}

TEST(SimulatedGemm, MultipliesComplexNumbers) {
  // A = (1+2i 3), op(A) its conjugate transpose; B = (i); C = (1+i)·op(A)·B - i·C.
  const float a[] = {1, 2, 3, 0};
  const float b[] = {0, 1};
  float c[] = {1, 0, 0, 1};
  cublas::Gemm gemm;
  gemm.transpose_a = cublas::Transpose::conjugate;
  gemm.m = gemm.ldc = 2;
  gemm.n = gemm.k = gemm.lda = gemm.ldb = 1;
  gemm.alpha = {1, 1};
  gemm.beta = {0, -1};
  gemm.type_a = gemm.type_b = gemm.type_c = cublas::Number::complex_fp32;
  gemm.a = a;
  gemm.b = b;
  gemm.c = c;
  cublas::run(gemm);
  EXPECT_EQ(std::vector<float>(std::begin(c), std::end(c)), (std::vector<float>{1, 2, -2, 3}));
}

TEST(SimulatedGemm, DoesNotReadCWithBetaZero) {
  const float one = 1;
  float c = std::nanf("");
  cublas::Gemm gemm;
  gemm.m = gemm.n = gemm.k = gemm.lda = gemm.ldb = gemm.ldc = 1;
  gemm.a = gemm.b = &one;
  gemm.c = &c;
  cublas::run(gemm);
  EXPECT_EQ(c, 1);
}

}  // namespace
}  // namespace conformance::sim
