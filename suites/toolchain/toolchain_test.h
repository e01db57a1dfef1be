#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/child.h"
#include "fixtures/device_code.h"
#include "fixtures/gpu_test.h"
#include "fixtures/toolkit.h"

namespace conformance::toolchain {

/// Base of the layer's tests, whose own process uses no GPU: programs that it starts do.
class ToolchainTest : public GpuTest {
 protected:
  /// The toolkit; ends the test with a finding if CUDA_PATH names none, or if it has no nvcc.
  static Toolkit toolkit();
  /// The GPUs, for programs of which several run at once; ends the test as skipped where a GPU
  /// admits one process only.
  const CudaInventory& require_shared_gpus();
  /// A program of the toolkit; ends the test as skipped if there is none.
  static std::string require_tool(const Toolkit& toolkit, std::string_view name);
};

/// Starts a program in this process's own environment, which is the user's, and waits for it.
ChildResult run(std::vector<std::string> argv, std::chrono::seconds length,
                std::map<std::string, std::optional<std::string>> environment = {});

/// A new folder where programs may be built and run: not that for temporary files, on which many
/// hosts let nothing run.
std::filesystem::path scratch_beginning();

/// A file of programs/, which lies beside this executable.
std::string source(std::string_view name);

/// What nvcc is asked for.
struct Order {
  std::string name;  ///< of the program, in the scratch folder
  std::vector<std::string> sources;
  std::vector<std::string> options;
};
struct Program {
  std::string path;
  std::vector<std::string> command;
  ChildResult built;
};
Program build(const Toolkit& toolkit, const std::filesystem::path& folder, const Order& order);
/// Fails the test unless the program was built; yields whether it was.
bool expect_built(const Program& program);

/// For the linker: the shared runtime, to be found where this toolkit has it unless LD_LIBRARY_PATH
/// says otherwise. This is how CMake links programs that are run where they are built.
std::vector<std::string> shared_runtime(const Toolkit& toolkit);

/// The architectures for which nvcc makes machine code, as it lists them; ends the test with a
/// finding if it does not.
std::set<ComputeCapability> nvcc_targets(const Toolkit& toolkit);
/// "sm_90"
std::string target_name(ComputeCapability gpu);
/// "sm_75, sm_90"
std::string names(const std::set<ComputeCapability>& targets);
/// The option for the architecture of one GPU: "-arch=sm_90".
std::string arch_option(ComputeCapability gpu);
/// Each architecture that the GPUs have, once.
std::set<ComputeCapability> architectures(const CudaInventory& devices);

/// Configures and builds a CMake project of programs/ with the toolkit, in `folder`. Ends the test
/// with a finding of kind `failed` if that cannot be done, and as skipped where there is no CMake.
void build_cmake_project(const Toolkit& toolkit, std::string_view project,
                         const std::filesystem::path& folder, const FindingKind& failed,
                         const std::vector<std::string>& settings = {});

Subject file_subject(std::string_view path);
/// A command as a person would type it.
std::string command_text(const std::vector<std::string>& argv);

}  // namespace conformance::toolchain
