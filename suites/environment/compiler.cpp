#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/child.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"

namespace conformance::environment {
namespace {

class Compiler : public EnvironmentTest {
 protected:
  /// Runs nvcc on an empty source with the host compiler that it is to use; `arguments` say what
  /// for. Ends the test with a finding if it fails.
  static std::string compile_nothing(std::vector<std::string> arguments) {
    const Toolkit found = toolkit();
    const auto compiler = found.compiler();
    if (!compiler) {
      fail_and_end(Finding(compiler_missing, file_subject(found.root() + "/bin/nvcc"),
                           "there is no nvcc to run"));
    }
    ChildOptions options;
    options.argv = compiler_command(*compiler);
    options.argv.insert(options.argv.end(), {"-x", "cu", "/dev/null"});
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.deadline = std::chrono::seconds(60);
    options.merge_streams = true;
    ChildResult result = run_child(options);
    if (!result.succeeded()) {
      const bool unsupported = result.output.find("unsupported GNU version") != std::string::npos ||
                               result.output.find("unsupported clang version") != std::string::npos;
      fail_and_end(Finding(
          unsupported ? host_compiler_unsupported : compiler_failed, file_subject(*compiler),
          fmt::format("nvcc {} and printed {}", result.describe(), readable(result.output)),
          {{"command", fmt::format("{}", fmt::join(options.argv, " "))}}));
    }
    return std::move(result.output);
  }
};

TEST_F(Compiler, NvccAcceptsTheHostCompiler) {
  claim("nvcc preprocesses a CUDA source with the host compiler that it is given",
        "CUDA Installation Guide for Linux: Host Compiler Support Policy");
  // -E runs the host compiler's preprocessor over crt/host_config.h, where nvcc's own table of host
  // compilers is.
  compile_nothing({"-E", "-o", "/dev/null"});
  verified(1, "compilations");
}

TEST_F(Compiler, NvccWritesThePtxOfItsRelease) {
  claim("nvcc compiles a CUDA source to PTX of the version that came with the toolkit's release",
        "PTX ISA: Release Notes, PTX Release History");
  const Toolkit found = toolkit();
  InstalledVersions versions;
  versions.headers = toolkit_version(found);
  const Subject subject = file_subject(found.root() + "/bin/nvcc");
  const std::string text = compile_nothing({"-ptx", "-o", "-"});
  versions.ptx = parse_ptx_version(text);
  if (!versions.ptx) {
    fail_and_end(
        Finding(compiler_failed, subject, fmt::format("nvcc -ptx printed {}", readable(text))));
  }
  fact("toolkit.ptx", versions.ptx->text());
  verified(1, "compilations");
  expect_agreement(versions, subject);
}

}  // namespace
}  // namespace conformance::environment
