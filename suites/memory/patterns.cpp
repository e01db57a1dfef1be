// Does every word of a GPU's memory keep what was written to it?

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/memory/bandwidth_limit.h"
#include "suites/memory/findings.h"
#include "suites/memory/whole_memory.h"

namespace conformance::memory {
namespace {

using kernels::PatternKind;

/// Its tests hold most of each GPU's memory in turn: taking and giving it back takes longer than a
/// test does, so it is kept from one to the next.
class Patterns : public GpuTest {
 protected:
  using Memory = std::map<int, std::unique_ptr<WholeMemory>>;  ///< by ordinal
  static void TearDownTestSuite() { held().clear(); }
  static Memory& held() {
    static Memory memory;
    return memory;
  }
};
class Soak : public GpuTest {};
class Retention : public GpuTest {};

constexpr std::string_view kSource = "CUDA C++ Programming Guide: Device Memory";

/// A pass over less than this much of a GPU's memory says too little about the GPU.
constexpr double kLeastCoverage = 0.5;
/// How far the lone bit of the walking pattern moves from one step to the next: of 64 steps, with
/// which every bit of every word was the lone one, each time all bits of the bus are.
constexpr std::uint64_t kStrideOfWalk = 32;

std::uint64_t seed() { return Session::current().settings().seed; }

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

/// Runs `work` on most of each GPU's memory, all at once; what of it is not in `held` is put there.
void for_each_memory(const CudaInventory& devices,
                     std::map<int, std::unique_ptr<WholeMemory>>& held,
                     const std::function<void(const CudaDevice&, WholeMemory&)>& work) {
  for (const CudaDevice& device : devices) held[device.ordinal];
  for_each_device(devices, [&](const CudaDevice& device) {
    std::unique_ptr<WholeMemory>& memory = held.at(device.ordinal);
    if (!memory) memory = std::make_unique<WholeMemory>(device);
    if (covers_enough(*memory, device.subject())) work(device, *memory);
  });
}
void for_each_memory(const CudaInventory& devices,
                     const std::function<void(const CudaDevice&, WholeMemory&)>& work) {
  std::map<int, std::unique_ptr<WholeMemory>> held;
  for_each_memory(devices, held, work);
}

/// A pattern, then its complement, so that every bit was both 0 and 1. All of the memory is written
/// before any of it is compared, so that two addresses which share a cell are seen.
struct PassTimes {
  std::vector<double> fill_seconds, check_seconds;
};
bool run_pass(WholeMemory& memory, const Pattern& pattern, PassTimes& times) {
  bool all_right = true;
  for (const Pattern& each : {pattern, pattern.complement()}) {
    bool right = false;
    times.fill_seconds.push_back(memory.fill(each));
    times.check_seconds.push_back(memory.check(each, right));
    all_right = all_right && right;
  }
  return all_right;
}
bool run_pass(WholeMemory& memory, const Pattern& pattern) {
  PassTimes times;
  return run_pass(memory, pattern, times);
}

/// Moving inversions: from the bottom up and from the top down, each word is read and at once
/// turned into its complement, so that it changes while the words before it have changed and those
/// behind it have not. `seconds` gets the time of each way.
bool run_inversions(WholeMemory& memory, const Pattern& pattern, std::vector<double>& seconds) {
  bool up = false, down = false, end = false;
  memory.fill(pattern);
  seconds.push_back(memory.invert(pattern, /*upwards=*/true, up));
  seconds.push_back(memory.invert(pattern.complement(), /*upwards=*/false, down));
  memory.check(pattern, end);
  return up && down && end;
}
bool run_inversions(WholeMemory& memory, const Pattern& pattern) {
  std::vector<double> seconds;
  return run_inversions(memory, pattern, seconds);
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
  claim(
      "Device memory that was written by a kernel is read unchanged by a later kernel, and each "
      "address is a place of its own",
      kSource);
  for_each_memory(require(Devices{1}), held(), [](const CudaDevice& device, WholeMemory& memory) {
    PassTimes times;
    run_pass(memory, {.seed = seed()}, times);
    verified(memory.words(), "words, each as a pattern and as its complement");
    record(bandwidth("memory-write-bandwidth", "bytes / seconds of the kernels that fill them",
                     device, memory.bytes(), times.fill_seconds));
    record(bandwidth("memory-read-bandwidth", "bytes / seconds of the kernels that compare them",
                     device, memory.bytes(), times.check_seconds));
  });
}

TEST_F(Patterns, EveryWordKeepsItsValueWhileItsNeighboursAreInverted) {
  claim("Device memory keeps what was written to it while words next to it are written", kSource);
  for_each_memory(require(Devices{1}), held(), [](const CudaDevice& device, WholeMemory& memory) {
    std::vector<double> seconds;
    run_inversions(memory, {.seed = seed()}, seconds);
    record(bandwidth("memory-inversion-bandwidth",
                     "2 x bytes / seconds of the kernels that read and write them", device,
                     2 * memory.bytes(), seconds));
    verified(memory.words(), "words, inverted upwards and downwards");
  });
}

TEST_F(Patterns, ALoneBitStaysAloneOnEveryLine) {
  claim(
      "A word of device memory that has one bit unlike all others is read as it was written, "
      "whichever bit that is",
      kSource);
  for_each_memory(require(Devices{1}), held(), [](const CudaDevice&, WholeMemory& memory) {
    for (std::uint64_t step = 0; step < 64; step += kStrideOfWalk) {
      run_pass(memory, {.seed = step, .kind = PatternKind::walking});
    }
    verified(memory.words() * (64 / kStrideOfWalk), "words with a lone one, and with a lone zero");
  });
}

TEST_F(Patterns, EveryWordKeepsRandomBits) {
  claim("Device memory holds random bits as well as regular ones", kSource);
  for_each_memory(require(Devices{1}), held(), [](const CudaDevice&, WholeMemory& memory) {
    run_pass(memory, {.seed = seed(), .kind = PatternKind::random});
    verified(memory.words(), "random words, and their complements");
  });
}

TEST_F(Patterns, NeighbouringRowsHoldOppositeBits) {
  claim("Device memory keeps what was written to it between rows that hold the opposite", kSource);
  for_each_memory(require(Devices{1}), held(), [](const CudaDevice&, WholeMemory& memory) {
    run_pass(memory, {.kind = PatternKind::rows});
    verified(memory.words(), "words of a checkerboard, and of its complement");
  });
}

TEST_F(Soak, EveryWordOfTheFreeMemoryKeepsChangingPatternsForTheWholeTime) {
  claim(
      "Device memory that was written by a kernel is read unchanged by a later kernel, every time",
      kSource);
  for_each_memory(require(Devices{1}), [](const CudaDevice&, WholeMemory& memory) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    std::uint64_t passes = 0;
    bool right = true;
    // A GPU whose memory was wrong once has failed; more findings of the same would hide others'.
    do {
      const std::uint64_t own = kernels::pattern_word(passes, seed());
      switch (passes % 5) {
        case 0:
          right = run_pass(memory, {.seed = own});
          break;
        case 1:
          right = run_inversions(memory, {.seed = own});
          break;
        case 2:
          right = run_pass(memory, {.seed = own, .kind = PatternKind::random});
          break;
        case 3:
          right = run_pass(memory, {.seed = passes / 5, .kind = PatternKind::walking});
          break;
        case 4:
          right = run_pass(memory, {.seed = passes / 5 % 2, .kind = PatternKind::rows});
          break;
      }
      ++passes;
    } while (right && Clock::now() - start < Session::current().settings().stress_length);
    verified(memory.words() * passes, "words, each as a pattern and as its complement");
  });
}

TEST_F(Retention, EveryWordKeepsItsValueThroughAWait) {
  claim("Device memory that nobody uses keeps what was written to it", kSource);
  for_each_memory(require(Devices{1}), [](const CudaDevice&, WholeMemory& memory) {
    const Pattern pattern{.seed = seed(), .kind = PatternKind::random};
    for (const Pattern& each : {pattern, pattern.complement()}) {
      bool right = false;
      memory.fill(each);
      std::this_thread::sleep_for(Session::current().settings().stress_length / 2.0);
      memory.check(each, right);
    }
    verified(memory.words(), "words, each as a pattern and as its complement");
  });
}

}  // namespace
}  // namespace conformance::memory
