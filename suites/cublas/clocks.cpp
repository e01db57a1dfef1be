#include "suites/cublas/clocks.h"

namespace conformance::cublas {

ClockWatch::ClockWatch(const NvmlSession* nvml, const CudaDevice& device) : nvml_(nvml) {
  // By UUID: NVML's order is not CUDA's.
  if (nvml_ != nullptr &&
      (*nvml_)->nvmlDeviceGetHandleByUUID(device.uuid.c_str(), &device_) != nvml::Return::success) {
    nvml_ = nullptr;
  }
}

void ClockWatch::look() {
  unsigned long long now = 0;
  if (nvml_ != nullptr &&
      (*nvml_)->nvmlDeviceGetCurrentClocksThrottleReasons(device_, &now) == nvml::Return::success) {
    known_ = true;
    reasons_ |= now;
  }
}

std::string ClockWatch::reasons() const { return known_ ? clock_reasons(reasons_) : "not known"; }

}  // namespace conformance::cublas
