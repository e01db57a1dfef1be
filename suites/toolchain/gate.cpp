#include <fstream>

#include <fmt/format.h>

#include "fixtures/host_compiler.h"
#include "fixtures/host_facts.h"
#include "fixtures/scratch_folder.h"
#include "suites/environment/findings.h"
#include "suites/toolchain/findings.h"
#include "suites/toolchain/toolchain_test.h"

namespace conformance::toolchain {
namespace {

constexpr std::chrono::seconds kShort{60};

class Gate : public ToolchainTest {};

TEST_F(Gate, NvccHasATargetForEachGpu) {
  claim("nvcc lists the architecture of each GPU among those that it makes machine code for",
        "CUDA Compiler Driver NVCC: --list-gpu-code, GPU Compilation");
  const CudaInventory& devices = require(Devices{1});
  const std::set<ComputeCapability> targets = nvcc_targets(toolkit());
  for (const CudaDevice& device : devices) {
    const ComputeCapability gpu{device.major, device.minor};
    expect(targets.contains(gpu),
           Finding(architecture_unknown, device.subject(),
                   fmt::format("{} is of compute capability {}; nvcc knows {}", device.name,
                               gpu.text(), names(targets)),
                   {{"known", names(targets)}}));
    verified(1, "GPUs");
  }
}

TEST_F(Gate, NvccAcceptsItsHostCompilersVersion) {
  claim(
      "The host compiler that nvcc runs is not newer than the newest that the toolkit's own "
      "crt/host_config.h admits",
      "CUDA Installation Guide for Linux: Host Compiler Support Policy");
  const Toolkit found = toolkit();
  const auto header = found.header("crt/host_config.h");
  const Reading<std::string> text =
      header ? read_text_file(*header, kLargestHeader) : Reading<std::string>();
  const HostCompilerLimits limits = parse_host_compiler_limits(text ? *text : "");
  const ScratchFolder scratch(scratch_beginning());
  const std::string probe = (scratch.path() / "probe.cu").string();
  std::ofstream(probe) << kHostCompilerProbe;
  // Without this option the preprocessor would end at the limit and not say what it is.
  std::vector<std::string> command = compiler_command(*found.compiler());
  command.insert(command.end(), {"-allow-unsupported-compiler", "-E", probe});
  const ChildResult preprocessed = run(command, kShort);
  const auto compiler = parse_host_compiler(preprocessed.output);
  if (!preprocessed.succeeded() || !compiler) {
    fail_and_end(Finding(environment::compiler_failed, file_subject(command.front()),
                         fmt::format("nvcc {} and printed {}", preprocessed.describe(),
                                     readable(preprocessed.output)),
                         {{"command", command_text(command)}}));
  }
  fact("toolchain.host-compiler", compiler->text());
  const auto newest = limits.newest(compiler->family);
  if (!newest) {
    skip(fmt::format("the toolkit's crt/host_config.h names no newest version for {}",
                     compiler->text()));
  }
  fact("toolchain.host-compiler.newest", HostCompiler{compiler->family, *newest}.text());
  expect(compiler->major <= *newest,
         Finding(environment::host_compiler_unsupported, file_subject(command.front()),
                 fmt::format("its host compiler is {}; the toolkit takes {} at most",
                             compiler->text(), HostCompiler{compiler->family, *newest}.text()),
                 {{"limits", *header}, {"command", command_text(command)}}));
  verified(1, "compilers");
}

}  // namespace
}  // namespace conformance::toolchain
