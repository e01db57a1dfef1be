// compute-sanitizer on a program in which errors are planted.

#include <algorithm>

#include <fmt/format.h>

#include "fixtures/jobs.h"
#include "fixtures/scratch_folder.h"
#include "suites/toolchain/findings.h"
#include "suites/toolchain/toolchain_test.h"

namespace conformance::toolchain {
namespace {

constexpr std::chrono::seconds kLength{120};

/// A run of one of its tools on one of the program's errors.
struct Look {
  std::string tool, planted;
  ChildResult result;
};
struct Looks {
  Program program;
  std::vector<Look> taken;  ///< none if the program was not built
};

class Sanitizer : public ToolchainTest {
 protected:
  static constexpr int kFound = 86;  // the exit code for "it found something"

  /// What `tool` says of the program; all looks are taken at the same time, by the first test.
  const Look& look(std::string_view tool, std::string_view planted) {
    static const Looks looks = look_at_all(require_shared_gpus());
    if (!expect_built(looks.program)) throw TestEnded();
    return *std::ranges::find_if(looks.taken, [&](const Look& look) {
      return look.tool == tool && look.planted == planted;
    });
  }

  /// `tool` names the error that was planted, and the source that has it.
  void expect_found(std::string_view tool, std::string_view planted, std::string_view message) {
    const Look& seen = look(tool, planted);
    expect_worked(seen);
    expect(seen.result.code == kFound && seen.result.output.find(message) != std::string::npos &&
               seen.result.output.find("planted.cu:") != std::string::npos,
           Finding(sanitizer_wrong, subject(seen),
                   fmt::format("{} was planted; it {} and printed {}", planted,
                               seen.result.describe(), readable(seen.result.output)),
                   {{"output", seen.result.output}}));
    verified(1, "planted errors");
  }

  void expect_nothing_found(std::string_view tool) {
    const Look& seen = look(tool, kNothing);
    expect_worked(seen);
    expect(seen.result.code == 0,
           Finding(sanitizer_wrong, subject(seen),
                   fmt::format("the program is sound; it {} and printed {}", seen.result.describe(),
                               readable(seen.result.output)),
                   {{"output", seen.result.output}}));
    verified(1, "sound programs");
  }

  static constexpr std::string_view kNothing = "nothing";

 private:
  static Subject subject(const Look& look) {
    return {"tool", "compute-sanitizer --tool " + look.tool};
  }

  /// It came to its end, with a summary.
  static void expect_worked(const Look& look) {
    const bool worked = look.result.end == ChildResult::End::exited &&
                        look.result.output.find("SUMMARY: ") != std::string::npos;
    if (worked) return;
    fail_and_end(Finding(
        tool_failed, subject(look),
        fmt::format("it {} and printed {}", look.result.describe(), readable(look.result.output)),
        {{"output", look.result.output}}));
  }

  static Looks look_at_all(const CudaInventory& devices) {
    const Toolkit found = toolkit();
    const std::string tool = require_tool(found, "compute-sanitizer");
    const ScratchFolder scratch(scratch_beginning());
    const ComputeCapability gpu{devices.front().major, devices.front().minor};
    Order order{"planted", {"planted.cu"}, shared_runtime(found)};
    order.options.insert(order.options.end(), {arch_option(gpu), "-lineinfo"});
    Looks looks{build(found, scratch.path(), order), {}};
    if (!looks.program.built.succeeded()) return looks;
    looks.taken = {{"memcheck", "out-of-bounds", {}},
                   {"racecheck", "race", {}},
                   {"memcheck", std::string(kNothing), {}},
                   {"racecheck", std::string(kNothing), {}}};
    std::vector<Job> jobs;
    jobs.reserve(looks.taken.size());
    for (Look& look : looks.taken) {
      jobs.push_back({subject(look), [&look, &looks, &tool] {
                        look.result =
                            run({tool, "--tool", look.tool, "--error-exitcode",
                                 std::to_string(kFound), looks.program.path, look.planted},
                                kLength);
                      }});
    }
    run_all(jobs, status_finding);
    return looks;
  }
};

TEST_F(Sanitizer, MemcheckFindsAWriteOutOfBounds) {
  claim("memcheck reports a thread's write behind its memory, with the place in the source",
        "Compute Sanitizer: Memcheck Tool");
  expect_found("memcheck", "out-of-bounds", "Invalid __global__ write of size 4 bytes");
}

TEST_F(Sanitizer, RacecheckFindsAMissingBarrier) {
  claim("racecheck reports shared memory that is read and written with no barrier in between",
        "Compute Sanitizer: Racecheck Tool");
  expect_found("racecheck", "race", "Race reported between");
}

TEST_F(Sanitizer, ASoundProgramIsFoundSound) {
  claim("memcheck and racecheck report nothing of a program that has no error",
        "Compute Sanitizer: Memcheck Tool, Racecheck Tool");
  expect_nothing_found("memcheck");
  expect_nothing_found("racecheck");
}

}  // namespace
}  // namespace conformance::toolchain
