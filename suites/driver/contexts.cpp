#include <latch>
#include <memory>
#include <thread>

#include <fmt/format.h>

#include "suites/driver/driver_gpus.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

class Contexts : public DriverGpuTest {
 protected:
  /// A reference to a GPU's primary context.
  class PrimaryContext {
   public:
    PrimaryContext(const DriverTable& cuda, CUdevice device) : cuda_(cuda), device_(device) {
      ensure(CONFORMANCE_CALL(cuda.cuDevicePrimaryCtxRetain(&handle_, device)));
    }
    PrimaryContext(const PrimaryContext&) = delete;
    PrimaryContext& operator=(const PrimaryContext&) = delete;
    ~PrimaryContext() { cuda_.cuDevicePrimaryCtxRelease_v2(device_); }
    CUcontext get() const { return handle_; }

   private:
    const DriverTable& cuda_;
    const CUdevice device_;
    CUcontext handle_ = nullptr;
  };

  void expect_current(const DriverGpu& gpu, CUcontext expected, std::string_view when) const {
    CUcontext current = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuCtxGetCurrent(&current)));
    if (expect(current == expected,
               Finding(context_wrong, gpu.subject,
                       fmt::format("{} the thread's current context is {}, not {}", when,
                                   static_cast<void*>(current), static_cast<void*>(expected))))) {
      verified(1, "current contexts");
    }
  }
};

TEST_F(Contexts, ThePrimaryContextLivesAsLongAsItIsRetained) {
  claim(
      "a GPU's primary context is active from its first retain to its last release, is one and the "
      "same for all who retain it, and cannot be released more often than it was retained",
      "CUDA Driver API, Primary Context Management: cuDevicePrimaryCtxRetain, "
      "cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxGetState");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const auto expect_active = [&](bool expected, std::string_view when) {
      unsigned flags = 0;
      int active = -1;
      ensure(CONFORMANCE_CALL(cuda().cuDevicePrimaryCtxGetState(gpu.device, &flags, &active)));
      if (expect(
              active == (expected ? 1 : 0),
              Finding(context_wrong, gpu.subject,
                      fmt::format("{} cuDevicePrimaryCtxGetState says active = {}", when, active),
                      {{"active", std::int64_t{active}}, {"flags", std::uint64_t{flags}}}))) {
        verified(1, "states");
      }
    };
    const auto release = [&] { return cuda().cuDevicePrimaryCtxRelease_v2(gpu.device); };
    expect_active(false, "before anyone retained it");
    CUcontext first = nullptr, second = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuDevicePrimaryCtxRetain(&first, gpu.device)));
    expect_active(true, "retained once");
    ensure(CONFORMANCE_CALL(cuda().cuDevicePrimaryCtxRetain(&second, gpu.device)));
    expect(first == second && first != nullptr,
           Finding(context_wrong, gpu.subject,
                   fmt::format("retained twice, the primary context is {} and {}",
                               static_cast<void*>(first), static_cast<void*>(second))));
    expect_code(release(), CUDA_SUCCESS, "the first cuDevicePrimaryCtxRelease", gpu.subject,
                context_wrong);
    expect_active(true, "retained twice and released once");
    expect_code(release(), CUDA_SUCCESS, "the second cuDevicePrimaryCtxRelease", gpu.subject,
                context_wrong);
    expect_active(false, "released as often as retained");
    expect_code(release(), CUDA_ERROR_INVALID_CONTEXT, "one cuDevicePrimaryCtxRelease too many",
                gpu.subject, context_wrong);
  });
}

TEST_F(Contexts, TheCurrentContextIsTheTopOfTheThreadsStack) {
  claim(
      "each thread has a stack of contexts: what is made or pushed becomes current, what is popped "
      "or destroyed uncovers the one below, and without any the calls say so",
      "CUDA Driver API, Context Management: cuCtxCreate, cuCtxPushCurrent, cuCtxPopCurrent, "
      "cuCtxDestroy, cuCtxGetCurrent, cuCtxGetDevice");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const auto expect_device = [&] {
      CUdevice device = -1;
      ensure(CONFORMANCE_CALL(cuda().cuCtxGetDevice(&device)));
      expect(device == gpu.device,
             Finding(context_wrong, gpu.subject,
                     fmt::format("cuCtxGetDevice says {} in a context of {}", device, gpu.device)));
    };
    expect_current(gpu, nullptr, "at its start");
    CUdevice device = -1;
    expect_code(cuda().cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT,
                "cuCtxGetDevice without a context", gpu.subject, context_wrong);
    Context below(cuda(), gpu.device);
    expect_current(gpu, below.get(), "after cuCtxCreate");
    expect_device();
    Context above(cuda(), gpu.device);
    expect_current(gpu, above.get(), "after a second cuCtxCreate");
    CUcontext popped = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuCtxPopCurrent_v2(&popped)));
    expect(popped == above.get(), Finding(context_wrong, gpu.subject,
                                          "cuCtxPopCurrent yields another context than the "
                                          "current one"));
    expect_current(gpu, below.get(), "after cuCtxPopCurrent");
    ensure(CONFORMANCE_CALL(cuda().cuCtxPushCurrent_v2(popped)));
    expect_current(gpu, above.get(), "after cuCtxPushCurrent");
    expect_device();
    expect_code(above.destroy(), CUDA_SUCCESS, "cuCtxDestroy of the current context", gpu.subject,
                context_wrong);
    expect_current(gpu, below.get(), "after cuCtxDestroy of the upper one");
    expect_code(below.destroy(), CUDA_SUCCESS, "cuCtxDestroy of the last context", gpu.subject,
                context_wrong);
    expect_current(gpu, nullptr, "after cuCtxDestroy of the last one");
  });
}

TEST_F(Contexts, AThreadLearnsThatItsContextWasDestroyed) {
  claim(
      "a context that one thread destroys stays current to another, whose next use of it returns "
      "CUDA_ERROR_CONTEXT_IS_DESTROYED",
      "CUDA Driver API, Context Management: cuCtxDestroy");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    Context context(cuda(), gpu.device);
    CUcontext popped = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuCtxPopCurrent_v2(&popped)));
    std::latch taken(1), destroyed(1);
    CUresult pushed = CUDA_ERROR_UNKNOWN, used = CUDA_ERROR_UNKNOWN;
    CUresult ended = CUDA_ERROR_UNKNOWN;
    {
      const std::jthread other([&] {
        pushed = cuda().cuCtxPushCurrent_v2(popped);
        taken.count_down();
        destroyed.wait();
        used = cuda().cuCtxSynchronize();
      });
      taken.wait();
      ended = context.destroy();
      destroyed.count_down();
    }
    ensure(to_status(pushed, "cuCtxPushCurrent on another thread"));
    expect_code(ended, CUDA_SUCCESS, "cuCtxDestroy of another thread's context", gpu.subject,
                context_wrong);
    expect_code(used, CUDA_ERROR_CONTEXT_IS_DESTROYED,
                "cuCtxSynchronize in a context that another thread destroyed", gpu.subject,
                context_wrong);
  });
}

TEST_F(Contexts, ADestroyedContextGivesItsMemoryBack) {
  claim("cuCtxDestroy frees the memory that was allocated in the context",
        "CUDA Driver API, Context Management: cuCtxDestroy");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const PrimaryContext observer(cuda(), gpu.device);
    ensure(CONFORMANCE_CALL(cuda().cuCtxPushCurrent_v2(observer.get())));
    const auto free_bytes = [&] {
      std::size_t free = 0, total = 0;
      ensure(CONFORMANCE_CALL(cuda().cuMemGetInfo_v2(&free, &total)));
      return static_cast<std::int64_t>(free);
    };
    constexpr int kContexts = 3, kAttempts = 3;
    const std::size_t size = gpu.memory / 64;
    // Other processes come and go, and a first context brings what stays: only memory that is lost
    // again and again was not given back.
    const std::int64_t most = static_cast<std::int64_t>(size) * kContexts / 2;
    std::int64_t lost = 0;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const std::int64_t before = free_bytes();
      for (int i = 0; i < kContexts; ++i) {
        Context context(cuda(), gpu.device);
        CUdeviceptr memory = 0;
        ensure(CONFORMANCE_CALL(cuda().cuMemAlloc_v2(&memory, size)));
        ensure(to_status(context.destroy(), "cuCtxDestroy"));
      }
      lost = before - free_bytes();
      if (lost <= most) break;
    }
    CUcontext popped = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuCtxPopCurrent_v2(&popped)));
    if (expect(lost <= most,
               Finding(context_leak, gpu.subject,
                       fmt::format("after {} contexts with {} bytes each, {} bytes are missing",
                                   kContexts, size, lost),
                       {{"bytes in each", std::uint64_t{size}},
                        {"contexts", std::int64_t{kContexts}},
                        {"bytes missing", lost},
                        {"attempts", std::int64_t{kAttempts}}}))) {
      verified(kContexts, "contexts");
    }
  });
}

}  // namespace
}  // namespace conformance::driver
