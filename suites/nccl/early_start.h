#pragma once

#include <exception>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "fixtures/cuda_inventory.h"

namespace conformance::nccl {

/// Begins the processes of a suite before the first test of this one, if any test of the suite will
/// run: they take longer than what other suites in this process do meanwhile. Where that cannot be
/// done the tests find out why.
class EarlyStart : public testing::Environment {
 public:
  EarlyStart(std::string suite, void (*start)(const CudaInventory&))
      : suite_(std::move(suite)), start_(start) {}

  void SetUp() override {
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
      const testing::TestSuite& suite = *all.GetTestSuite(i);
      if (suite.name() != suite_ || !suite.should_run()) continue;
      CudaInventory devices;
      if (!read_cuda_inventory(devices).ok() || devices.empty()) return;
      try {
        start_(devices);
      } catch (const std::exception&) {
        return;
      }
    }
  }

 private:
  std::string suite_;
  void (*start_)(const CudaInventory&);
};

}  // namespace conformance::nccl
