#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/gpu_test.h"
#include "suites/frameworks/record.h"

namespace conformance::frameworks {

/// The claims of one framework, in the order in which they stand on each other. Its process looks
/// at everything in one go, since its import and its contexts take seconds; each test judges a part
/// of what it said. A claim that takes the ground from those after it ends the suite's process, so
/// that these are blocked by it and not failed.
class FrameworkTest : public GpuTest {
 protected:
  explicit FrameworkTest(const Framework& framework) : framework_(framework) {}

  void is_importable();
  void is_built_for_cuda();
  void driver_is_new_enough();
  void finds_its_libraries();
  void shows_the_gpus_of_this_process();
  void has_code_for_each_gpu();
  void loads_one_set_of_libraries();
  void products_are_exact();
  void sums_over_all_gpus_are_exact();

 private:
  void claims(std::string_view what, std::string_view source = {});
  /// What the framework said, which is asked once. Skips the test if it is not installed, ends the
  /// process if it did not come to say `fact`.
  const Record& require_fact(std::string_view fact);
  [[noreturn]] void end_here(const FindingKind& kind, const Subject& subject,
                             const std::string& detail, Evidence evidence = {});
  [[noreturn]] void end_unanswered(const Record& record);
  void judge_computed(const Record& record, const std::vector<Computed>& all, std::string_view what,
                      const FindingKind& wrong);
  Subject subject() const;
  Subject subject_of(const CudaDevice& device) const;
  /// A name for facts: "frameworks.torch.<what>".
  std::string fact_name(std::string_view what) const;

  const Framework& framework_;
};

}  // namespace conformance::frameworks
