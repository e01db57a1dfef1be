#include "suites/toolchain/toolchain_test.h"

#include <cstdlib>
#include <sstream>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/deadline.h"
#include "suites/environment/findings.h"
#include "suites/toolchain/findings.h"

namespace conformance::toolchain {

namespace fs = std::filesystem;

Subject file_subject(std::string_view path) { return {"file", std::string(path)}; }

std::string command_text(const std::vector<std::string>& argv) {
  return fmt::format("{}", fmt::join(argv, " "));
}

Toolkit ToolchainTest::toolkit() {
  const CudaPath path = read_cuda_path(std::getenv("CUDA_PATH"));
  if (!path.usable()) {
    fail_and_end(Finding(environment::cuda_path_unusable, {"variable", "CUDA_PATH"},
                         fmt::format("CUDA_PATH is {}: {}", readable(path.value), path.problem)));
  }
  Toolkit found(path.real_path, Session::current().settings().cuda_origin == CudaOrigin::any);
  if (!found.compiler()) {
    fail_and_end(Finding(environment::compiler_missing, file_subject(found.root() + "/bin/nvcc"),
                         "there is no nvcc to run"));
  }
  return found;
}

const CudaInventory& ToolchainTest::require_shared_gpus() {
  const CudaInventory& devices = require(Devices{1});
  skip_if_exclusive(devices);
  return devices;
}

std::string ToolchainTest::require_tool(const Toolkit& toolkit, std::string_view name) {
  const auto tool = toolkit.tool(name);
  if (!tool) skip(fmt::format("CUDA_PATH has no bin/{}", name));
  return *tool;
}

ChildResult run(std::vector<std::string> argv, std::chrono::seconds length,
                std::map<std::string, std::optional<std::string>> environment) {
  ChildOptions options;
  options.argv = std::move(argv);
  options.environment = std::move(environment);
  options.deadline = deadline_of(length);
  options.merge_streams = true;
  return run_child(options);
}

fs::path scratch_beginning() {
  std::error_code error;
  const fs::path here = fs::current_path(error);
  const bool writable = !error && ::access(here.c_str(), W_OK | X_OK) == 0;
  return (writable ? here : fs::temp_directory_path()) / "toolchain-scratch";
}

std::string source(std::string_view name) {
  return (fs::path(own_executable()).parent_path() / "programs" / name).string();
}

Program build(const Toolkit& toolkit, const fs::path& folder, const Order& order) {
  constexpr std::chrono::seconds kLength{180};
  Program program;
  program.path = (folder / order.name).string();
  program.command = compiler_command(*toolkit.compiler());
  program.command.insert(program.command.end(), order.options.begin(), order.options.end());
  program.command.insert(program.command.end(), {"-o", program.path});
  for (const std::string& file : order.sources) program.command.push_back(source(file));
  program.built = run(program.command, kLength);
  return program;
}

bool expect_built(const Program& program) {
  return expect(
      program.built.succeeded(),
      Finding(compile_failed, file_subject(program.command.front()),
              fmt::format("nvcc {} and printed {}", program.built.describe(),
                          readable(program.built.output)),
              {{"command", command_text(program.command)}, {"output", program.built.output}}));
}

std::vector<std::string> shared_runtime(const Toolkit& toolkit) {
  std::vector<std::string> options{"-cudart", "shared", "-Xlinker", "--enable-new-dtags"};
  if (const auto found = toolkit.libraries("libcudart"); !found.empty()) {
    const std::string folder = fs::path(found.front().path).parent_path().string();
    options.insert(options.end(), {"-Xlinker", "-rpath", "-Xlinker", folder});
  }
  return options;
}

std::set<ComputeCapability> nvcc_targets(const Toolkit& toolkit) {
  const std::vector<std::string> command{*toolkit.compiler(), "--list-gpu-code"};
  const ChildResult listed = run(command, std::chrono::seconds(60));
  std::set<ComputeCapability> targets;
  std::istringstream lines(listed.output);
  for (std::string line; std::getline(lines, line);) {
    if (const auto target = parse_compute_capability(line)) targets.insert(*target);
  }
  if (!listed.succeeded() || targets.empty()) {
    fail_and_end(
        Finding(environment::compiler_failed, file_subject(command.front()),
                fmt::format("nvcc {} and printed {}", listed.describe(), readable(listed.output)),
                {{"command", command_text(command)}}));
  }
  return targets;
}

std::string target_name(ComputeCapability gpu) {
  return fmt::format("sm_{}{}", gpu.major, gpu.minor);
}

std::string names(const std::set<ComputeCapability>& targets) {
  std::vector<std::string> texts;
  texts.reserve(targets.size());
  for (const ComputeCapability target : targets) texts.push_back(target_name(target));
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string arch_option(ComputeCapability gpu) { return "-arch=" + target_name(gpu); }

void build_cmake_project(const Toolkit& toolkit, std::string_view project, const fs::path& folder,
                         const FindingKind& failed, const std::vector<std::string>& settings) {
  constexpr std::chrono::seconds kLength{180};
  const auto cmake = find_in_path("cmake");
  if (!cmake) skip("there is no cmake in PATH");
  std::vector<std::string> configure{*cmake,
                                     "-S",
                                     source(project),
                                     "-B",
                                     folder.string(),
                                     "-DCMAKE_BUILD_TYPE=Release",
                                     "-DCUDAToolkit_ROOT=" + toolkit.root()};
  configure.insert(configure.end(), settings.begin(), settings.end());
  // CMake's own choice is make, which is often not there where Ninja is.
  if (std::getenv("CMAKE_GENERATOR") == nullptr) {
    if (find_in_path("ninja")) {
      configure.insert(configure.end(), {"-G", "Ninja"});
    } else if (!find_in_path("make")) {
      skip("there is neither ninja nor make in PATH");
    }
  }
  for (const auto& command : {configure, {*cmake, "--build", folder.string(), "--verbose"}}) {
    const ChildResult result = run(command, kLength);
    if (result.succeeded()) continue;
    fail_and_end(Finding(failed, {"project", std::string(project)},
                         fmt::format("\"{}\" {} and printed {}", command_text(command),
                                     result.describe(), readable(result.output)),
                         {{"output", result.output}}));
  }
}

std::set<ComputeCapability> architectures(const CudaInventory& devices) {
  std::set<ComputeCapability> found;
  for (const CudaDevice& device : devices) {
    found.insert(ComputeCapability{device.major, device.minor});
  }
  return found;
}

}  // namespace conformance::toolchain
