#include "fixtures/gpu_test.h"
#include "suites/runtime/lost_context.h"

namespace conformance::runtime {
namespace {

class Isolation : public GpuTest {};

TEST_F(Isolation, AFailedAssertStaysInItsProcess) {
  claim(
      "After a device assert() failed, every later call of that process returns cudaErrorAssert, "
      "and other processes on the GPU keep their contexts and memory",
      "CUDA Runtime API: cudaError_t: cudaErrorAssert; CUDA C++ Programming Guide: Assertion");
  expect_isolated_loss(require(Devices{1}),
                       {"fail-assert", cudaErrorAssert, "a kernel whose assert() fails"});
}

TEST_F(Isolation, ATrapStaysInItsProcess) {
  claim(
      "After __trap(), every later call of that process returns cudaErrorLaunchFailure, and other "
      "processes on the GPU keep their contexts and memory",
      "CUDA Runtime API: cudaError_t: cudaErrorLaunchFailure; CUDA C++ Programming Guide: Trap "
      "function");
  expect_isolated_loss(require(Devices{1}),
                       {"trap", cudaErrorLaunchFailure, "a kernel that calls __trap()"});
}

}  // namespace
}  // namespace conformance::runtime
