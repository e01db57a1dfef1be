#include <array>
#include <chrono>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "fixtures/child.h"
#include "suites/environment/environment_test.h"
#include "suites/environment/findings.h"

namespace conformance::environment {
namespace {

class Compiler : public EnvironmentTest {};

TEST_F(Compiler, NvccAcceptsTheHostCompiler) {
  claim("nvcc preprocesses a CUDA source with the host compiler that it is given",
        "CUDA Installation Guide for Linux: Host Compiler Support Policy");
  const Toolkit found = toolkit();
  const auto compiler = found.compiler();
  if (!compiler) {
    fail_and_end(Finding(compiler_missing, file_subject(found.root() + "/bin/nvcc"),
                         "there is no nvcc to run"));
  }
  ChildOptions options;
  options.argv = {*compiler};
  if (const char* host = std::getenv("CUDAHOSTCXX"); host != nullptr && host[0] != '\0') {
    options.argv.insert(options.argv.end(), {"-ccbin", host});
  }
  // -E runs the host compiler's preprocessor over crt/host_config.h, where nvcc's own table of host
  // compilers is.
  options.argv.insert(options.argv.end(), {"-E", "-x", "cu", "/dev/null", "-o", "/dev/null"});
  options.deadline = std::chrono::seconds(60);
  options.merge_streams = true;
  const ChildResult result = run_child(options);
  const bool unsupported = result.output.find("unsupported GNU version") != std::string::npos ||
                           result.output.find("unsupported clang version") != std::string::npos;
  if (expect(result.succeeded(),
             Finding(
                 unsupported ? host_compiler_unsupported : compiler_failed, file_subject(*compiler),
                 fmt::format("nvcc {} and printed {}", result.describe(), readable(result.output)),
                 {{"command", fmt::format("{}", fmt::join(options.argv, " "))}}))) {
    verified(1, "compilations");
  }
}

}  // namespace
}  // namespace conformance::environment
