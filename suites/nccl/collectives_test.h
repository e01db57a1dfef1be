#pragma once

#include <memory>

#include "fixtures/gpu_test.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

/// Base of tests that share the communicators of a suite, because setting them up takes longer than
/// most of what they do; a test that fails leaves them to none.
class SharedRanksTest : public GpuTest {
 protected:
  /// A rank on each GPU, each with two buffers of `bytes`, which is always the same.
  static Ranks& all_ranks(const CudaInventory& devices, std::size_t bytes) {
    if (!shared()) shared() = std::make_unique<Ranks>(devices, bytes);
    return *shared();
  }

  static void TearDownTestSuite() { shared().reset(); }
  void TearDown() override {
    if (HasFailure()) shared().reset();
    GpuTest::TearDown();
  }

 private:
  static std::unique_ptr<Ranks>& shared() {
    static std::unique_ptr<Ranks> ranks;
    return ranks;
  }
};

/// Base of what is claimed of collectives over all GPUs.
class Collectives : public SharedRanksTest {
 protected:
  static Ranks& all_ranks(const CudaInventory& devices) {
    return SharedRanksTest::all_ranks(devices, scaled_to(std::size_t{512} << 20, devices));
  }
  /// The size of most cases: enough for every protocol of NCCL.
  static std::size_t usual_bytes(const CudaInventory& devices) {
    return scaled_to(std::size_t{64} << 20, devices) / 32;
  }
};

}  // namespace conformance::nccl
