// Does every word of a GPU's memory keep what was written to it?

#include <chrono>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/memory/bandwidth_limit.h"
#include "suites/memory/findings.h"
#include "suites/memory/whole_memory.h"

namespace conformance::memory {
namespace {

class Patterns : public GpuTest {};
class Soak : public GpuTest {};

/// A pass over less than this much of a GPU's memory says too little about the GPU.
constexpr double kLeastCoverage = 0.5;

/// True if the memory in hand is enough of the device's for a verdict; otherwise a finding.
bool covers_enough(const WholeMemory& memory, const Subject& subject) {
  const double covered =
      static_cast<double>(memory.bytes()) / static_cast<double>(memory.total_bytes());
  record(Figure{.name = "memory-coverage",
                .unit = "%",
                .subject = subject,
                .samples = {100 * covered},
                .formula = "bytes under test / bytes that cudaMemGetInfo reports as the total"});
  return expect(
      covered >= kLeastCoverage,
      Finding(finding::out_of_memory, subject,
              fmt::format("only {} of {} bytes are free, so only {:.1f} % of the memory could be "
                          "tested, and not the {:.0f} % that a verdict needs",
                          memory.free_bytes(), memory.total_bytes(), 100 * covered,
                          100 * kLeastCoverage),
              {{"free_bytes", std::uint64_t{memory.free_bytes()}},
               {"total_bytes", std::uint64_t{memory.total_bytes()}},
               {"tested_bytes", memory.bytes()}}));
}

/// One pattern, then its complement, so that every bit was both 0 and 1. All of the memory is
/// written before any of it is compared, so that two addresses which share a cell are seen.
struct PassTimes {
  std::vector<double> fill_seconds, check_seconds;
};
bool run_pass(WholeMemory& memory, std::uint64_t seed, PassTimes& times) {
  bool all_right = true;
  const Pattern pattern{.seed = seed};
  for (const Pattern& each : {pattern, pattern.complement()}) {
    bool right = false;
    times.fill_seconds.push_back(memory.fill(each));
    times.check_seconds.push_back(memory.check(each, right));
    all_right = all_right && right;
  }
  return all_right;
}

Figure bandwidth(const char* name, const char* formula, const CudaDevice& device,
                 std::uint64_t bytes, const std::vector<double>& seconds) {
  Figure figure{.name = name,
                .unit = "GB/s",
                .subject = device.subject(),
                .samples = {},
                .formula = formula,
                .limit = memory_bandwidth_limit(device)};
  for (const double time : seconds) {
    figure.samples.push_back(static_cast<double>(bytes) / time / kGiga);
  }
  return figure;
}

TEST_F(Patterns, EveryWordOfTheFreeMemoryKeepsAPatternAndItsComplement) {
  claim("Device memory that was written by a kernel is read unchanged by a later kernel",
        "CUDA C++ Programming Guide: Device Memory");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    WholeMemory memory(device);
    if (!covers_enough(memory, device.subject())) return;
    PassTimes times;
    run_pass(memory, Session::current().settings().seed, times);
    verified(memory.words(), "words, each as a pattern and as its complement");
    record(bandwidth("memory-write-bandwidth", "bytes / seconds of the kernels that fill them",
                     device, memory.bytes(), times.fill_seconds));
    record(bandwidth("memory-read-bandwidth", "bytes / seconds of the kernels that compare them",
                     device, memory.bytes(), times.check_seconds));
  });
}

TEST_F(Soak, EveryWordOfTheFreeMemoryKeepsChangingPatternsForTheWholeTime) {
  claim(
      "Device memory that was written by a kernel is read unchanged by a later kernel, every time",
      "CUDA C++ Programming Guide: Device Memory");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    using Clock = std::chrono::steady_clock;
    const Settings& settings = Session::current().settings();
    const Clock::time_point start = Clock::now();
    WholeMemory memory(device);
    if (!covers_enough(memory, device.subject())) return;
    std::uint64_t passes = 0;
    bool right = true;
    // A GPU whose memory was wrong once has failed; more findings of the same would hide others'.
    do {
      PassTimes times;
      right = run_pass(memory, kernels::pattern_word(passes, settings.seed), times);
      ++passes;
    } while (right && Clock::now() - start < settings.stress_length);
    verified(memory.words() * passes, "words, each as a pattern and as its complement");
  });
}

}  // namespace
}  // namespace conformance::memory
