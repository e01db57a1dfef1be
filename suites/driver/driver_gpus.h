#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "fixtures/device_code.h"
#include "suites/driver/driver_test.h"

namespace conformance::driver {

/// A GPU as the driver shows it.
struct DriverGpu {
  CUdevice device = 0;
  ComputeCapability capability;
  std::size_t memory = 0;  ///< bytes
  Subject subject;
};

/// A context of its own, which becomes the thread's current one; destroyed in the end, unless the
/// test did so by `destroy`. `cuda` must outlive it.
class Context {
 public:
  /// Throws StatusError.
  Context(const DriverTable& cuda, CUdevice device) : cuda_(cuda) {
    ensure(CONFORMANCE_CALL(cuda.cuCtxCreate_v2(&handle_, 0, device)));
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    if (handle_ != nullptr) cuda_.cuCtxDestroy_v2(handle_);
  }
  CUcontext get() const { return handle_; }
  CUresult destroy() { return cuda_.cuCtxDestroy_v2(std::exchange(handle_, nullptr)); }

 private:
  const DriverTable& cuda_;
  CUcontext handle_ = nullptr;
};

/// A reference to a GPU's primary context, given back in the end, unless the test did so by
/// `release`. `cuda` must outlive it.
class PrimaryContext {
 public:
  /// Throws StatusError.
  PrimaryContext(const DriverTable& cuda, CUdevice device) : cuda_(cuda), device_(device) {
    ensure(CONFORMANCE_CALL(cuda.cuDevicePrimaryCtxRetain(&handle_, device)));
  }
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;
  ~PrimaryContext() {
    if (!released_) cuda_.cuDevicePrimaryCtxRelease_v2(device_);
  }
  CUcontext get() const { return handle_; }
  CUresult release() {
    released_ = true;
    return cuda_.cuDevicePrimaryCtxRelease_v2(device_);
  }

 private:
  const DriverTable& cuda_;
  const CUdevice device_;
  CUcontext handle_ = nullptr;
  bool released_ = false;
};

/// The finding that a failed call of the driver stands for.
Finding driver_finding(const Status& status, Subject subject);

/// Base of the tests that use every GPU through the driver.
class DriverGpuTest : public DriverTest {
 protected:
  /// Initialises the driver and lists the GPUs; ends the test with a finding if that fails or there
  /// is none. First line after the claim.
  void open();
  const DriverTable& cuda() const { return *table_; }
  const std::vector<DriverGpu>& gpus() const { return gpus_; }
  /// Runs `work` for each GPU on a thread of its own, which has no current context, all at once. A
  /// StatusError becomes a finding for the GPU.
  void for_each_gpu(const std::function<void(const DriverGpu&)>& work) const;

 private:
  std::optional<DriverTable> table_;
  std::vector<DriverGpu> gpus_;
};

/// The call must have answered `expected`; otherwise `kind` is found.
void expect_code(CUresult found, CUresult expected, std::string_view call, const Subject& subject,
                 const FindingKind& kind);

}  // namespace conformance::driver
