// cuda-gdb on a program with debug information.

#include <fmt/format.h>

#include "fixtures/scratch_folder.h"
#include "suites/toolchain/findings.h"
#include "suites/toolchain/toolchain_test.h"

namespace conformance::toolchain {
namespace {

class Debugger : public ToolchainTest {};

TEST_F(Debugger, StopsInAKernelAndShowsItsVariable) {
  claim(
      "cuda-gdb stops at a breakpoint in a kernel that was compiled with -G, and prints the value "
      "of "
      "one of its variables",
      "CUDA-GDB: Breakpoints and Watchpoints, Inspecting Program State");
  constexpr std::chrono::seconds kLength{120};
  const CudaInventory& devices = require_shared_gpus();
  const Toolkit found = toolkit();
  const std::string tool = require_tool(found, "cuda-gdb");
  const ScratchFolder scratch(scratch_beginning());
  const ComputeCapability gpu{devices.front().major, devices.front().minor};
  Order order{"words", {"words.cu"}, {arch_option(gpu), "-g", "-G"}};
  const std::vector<std::string> runtime = shared_runtime(found);
  order.options.insert(order.options.end(), runtime.begin(), runtime.end());
  const Program program = build(found, scratch.path(), order);
  if (!expect_built(program)) return;

  // No file of the user's or of the folder is read (-nx).
  const ChildResult session =
      run({tool, "-nx", "-batch", "-ex", "break conformance::kernels::module_probe_kernel", "-ex",
           "run", "-ex", "print seed", "--args", program.path, std::to_string(gpu.major),
           std::to_string(gpu.minor)},
          kLength);
  const auto said = [&](std::string_view text) {
    return session.output.find(text) != std::string::npos;
  };
  const Subject subject{"tool", "cuda-gdb"};
  const std::string seen =
      fmt::format("it {} and printed {}", session.describe(), readable(session.output));
  const bool stopped = said("hit Breakpoint 1");
  // A debugger that watched the program come to its end works, and was blind.
  if (!stopped && !said("right: ")) {
    fail_and_end(Finding(tool_failed, subject, seen, {{"output", session.output}}));
  }
  expect(stopped && said("$1 = 77\n"),
         Finding(debugger_wrong, subject, seen, {{"output", session.output}}));
  verified(1, "variables");
}

}  // namespace
}  // namespace conformance::toolchain
