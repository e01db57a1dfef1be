#include <fmt/format.h>

#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "fixtures/python.h"
#include "suites/frameworks/findings.h"
#include "suites/frameworks/record.h"

namespace conformance::frameworks {
namespace {

class Gate : public GpuTest {};

TEST_F(Gate, PythonRunsOnAHostWithGpus) {
  claim(
      "This process has GPUs to hold the frameworks against, and the Python whose frameworks are "
      "tested runs, if there is one",
      "Python: Command line and environment");
  verified(require(Devices{1}).size(), "GPUs");
  const std::string interpreter = find_python();
  fact("frameworks.python", interpreter.empty() ? "there is no python3 in PATH" : interpreter);
  if (interpreter.empty()) return;
  ChildOptions options;
  options.argv = {interpreter, "-c",
                  "import ctypes, json, sys; print(*sys.version_info[:3], sep='.')"};
  options.deadline = deadline_of(std::chrono::seconds(60));
  const ChildResult run = run_child(options);
  const Subject subject{"file", interpreter};
  expect(run.succeeded() && !run.output.empty(),
         Finding(python_unusable, subject,
                 fmt::format("it {}: {}{}", run.describe(), run.output, run.error)));
  fact("frameworks.python-version", run.output.substr(0, run.output.find('\n')));
  verified(1, "interpreters");
}

}  // namespace
}  // namespace conformance::frameworks
