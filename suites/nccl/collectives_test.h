#pragma once

#include <memory>

#include "fixtures/gpu_test.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

/// Base of what is claimed of collectives over all GPUs. Its tests share the communicators, because
/// setting them up takes longer than all that they do; a test that fails leaves them to none.
class Collectives : public GpuTest {
 protected:
  /// A rank on each GPU.
  static Ranks& all_ranks(const CudaInventory& devices) {
    if (!shared()) {
      shared() = std::make_unique<Ranks>(devices, scaled_to(std::size_t{512} << 20, devices));
    }
    return *shared();
  }
  /// The size of most cases: enough for every protocol of NCCL.
  static std::size_t usual_bytes(const CudaInventory& devices) {
    return scaled_to(std::size_t{64} << 20, devices) / 16;
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

}  // namespace conformance::nccl
