// A Python extension with a kernel.

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/python.h"
#include "fixtures/scratch_folder.h"
#include "suites/toolchain/findings.h"
#include "suites/toolchain/toolchain_test.h"

namespace conformance::toolchain {
namespace {

class Extension : public ToolchainTest {};

TEST_F(Extension, ANanobindModuleIsBuiltImportedAndComputes) {
  claim(
      "A Python module with a kernel is built by nanobind and CMake with this nvcc, python3 "
      "imports "
      "it, and it computes on a GPU of each architecture",
      "nanobind: Building extensions using CMake; CUDA Compiler Driver NVCC: Compilation Phases");
  constexpr std::chrono::seconds kShort{60};
  constexpr int kNotInstalled = 3;
  const CudaInventory& devices = require_shared_gpus();
  const Toolkit found = toolkit();
  const std::string python = find_python();
  if (python.empty()) skip("there is no python3 in PATH");
  const auto ask = [&](const std::vector<std::string>& command, const std::string& what) {
    ChildResult result = run(command, kShort);
    std::string& output = result.output;
    if (!output.empty() && output.back() == '\n') output.pop_back();
    if (result.end == ChildResult::End::exited && result.code == kNotInstalled) skip(output);
    if (!result.succeeded()) {
      fail_and_end(Finding(
          extension_failed, file_subject(python),
          fmt::format("{}: it {} and printed {}", what, result.describe(), readable(output)),
          {{"command", command_text(command)}, {"output", output}}));
    }
    return output;
  };
  const std::string where =
      ask({python, source("extension/where.py")}, "python3 was asked for nanobind");
  // What is called python3 may be a script that looks for one.
  const std::size_t line = where.find('\n');
  const std::string interpreter = where.substr(0, line);
  const std::string nanobind = line == std::string::npos ? "" : where.substr(line + 1);

  std::vector<std::string> targets, ordinals;
  for (const ComputeCapability gpu : architectures(devices)) {
    targets.push_back(fmt::format("{}{}-real", gpu.major, gpu.minor));
    const auto first = std::ranges::find_if(devices, [&](const CudaDevice& device) {
      return ComputeCapability{device.major, device.minor} == gpu;
    });
    ordinals.push_back(std::to_string(first->ordinal));
  }
  const ScratchFolder scratch(scratch_beginning());
  build_cmake_project(found, "extension", scratch.path(), extension_failed,
                      {"-Dnanobind_DIR=" + nanobind, "-DPython_EXECUTABLE=" + interpreter,
                       "-DCMAKE_CUDA_COMPILER=" + *found.compiler(),
                       fmt::format("-DCMAKE_CUDA_ARCHITECTURES={}", fmt::join(targets, ";"))});
  std::vector<std::string> use{python, source("extension/use.py"), scratch.path().string()};
  use.insert(use.end(), ordinals.begin(), ordinals.end());
  const std::string said = ask(use, "the extension was used");
  const std::string expected = fmt::format("right: {} words", 4096 * ordinals.size());
  expect(said == expected, Finding(extension_failed, file_subject("use.py"),
                                   fmt::format("it printed {}, not {}", readable(said), expected)));
  verified(4096 * ordinals.size(), "words");
}

}  // namespace
}  // namespace conformance::toolchain
