#include <functional>
#include <latch>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "suites/driver/driver_gpus.h"
#include "suites/driver/findings.h"

namespace conformance::driver {
namespace {

/// What an observation is about: there is a test for each.
enum class About { primary, stack, other_threads, memory };

/// Making a context takes up to a second, and longer on several GPUs at once. So each GPU's
/// primary context and one more live only once; each test judges what was seen then that concerns
/// its claim.
class Contexts : public DriverGpuTest {
 protected:
  void judge(About claim) {
    open();
    // A life that throws is lived again by the next test.
    static const Observations all = [this] {
      observed_.clear();
      for_each_gpu([this](const DriverGpu& gpu) { live(gpu); });
      return std::move(observed_);
    }();
    for (const auto& [about, observation] : all) {
      if (about == claim) observation();
    }
  }

 private:
  using Observation = std::function<void()>;
  using Observations = std::vector<std::pair<About, Observation>>;

  void note(About about, Observation observation) {
    const std::lock_guard lock(mutex_);
    observed_.emplace_back(about, std::move(observation));
  }
  void note_that(About about, bool holds, const char* what, Finding finding) {
    note(about, [holds, what, finding = std::move(finding)] {
      if (expect(holds, finding)) verified(1, what);
    });
  }
  void note_code(About about, const DriverGpu& gpu, CUresult found, CUresult expected,
                 const char* call) {
    note(about, [found, expected, call, subject = gpu.subject] {
      expect_code(found, expected, call, subject, context_wrong);
    });
  }
  void note_active(const DriverGpu& gpu, bool expected, const char* when) {
    unsigned flags = 0;
    int active = -1;
    ensure(CONFORMANCE_CALL(cuda().cuDevicePrimaryCtxGetState(gpu.device, &flags, &active)));
    note_that(About::primary, active == (expected ? 1 : 0), "states",
              Finding(context_wrong, gpu.subject,
                      fmt::format("{} cuDevicePrimaryCtxGetState says active = {}", when, active),
                      {{"active", std::int64_t{active}}, {"flags", std::uint64_t{flags}}}));
  }
  void note_current(const DriverGpu& gpu, CUcontext expected, const char* when) {
    CUcontext current = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuCtxGetCurrent(&current)));
    note_that(About::stack, current == expected, "current contexts",
              Finding(context_wrong, gpu.subject,
                      fmt::format("{} the thread's current context is {}, not {}", when,
                                  static_cast<void*>(current), static_cast<void*>(expected))));
  }
  void note_device(const DriverGpu& gpu) {
    CUdevice device = -1;
    ensure(CONFORMANCE_CALL(cuda().cuCtxGetDevice(&device)));
    note_that(
        About::stack, device == gpu.device, "devices",
        Finding(context_wrong, gpu.subject,
                fmt::format("cuCtxGetDevice says {} in a context of {}", device, gpu.device)));
  }

  CUcontext pop() const {
    CUcontext popped = nullptr;
    ensure(CONFORMANCE_CALL(cuda().cuCtxPopCurrent_v2(&popped)));
    return popped;
  }
  void push(CUcontext context) const {
    ensure(CONFORMANCE_CALL(cuda().cuCtxPushCurrent_v2(context)));
  }
  std::int64_t free_bytes() const {
    std::size_t free = 0, total = 0;
    ensure(CONFORMANCE_CALL(cuda().cuMemGetInfo_v2(&free, &total)));
    return static_cast<std::int64_t>(free);
  }

  void live(const DriverGpu& gpu) {
    note_current(gpu, nullptr, "at its start");
    CUdevice device = -1;
    note_code(About::stack, gpu, cuda().cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT,
              "cuCtxGetDevice without a context");
    note_active(gpu, false, "before anyone retained it");
    PrimaryContext primary(cuda(), gpu.device);
    note_active(gpu, true, "retained once");
    {
      PrimaryContext same(cuda(), gpu.device);
      note_that(
          About::primary, same.get() == primary.get() && same.get() != nullptr, "contexts",
          Finding(context_wrong, gpu.subject,
                  fmt::format("retained twice, the primary context is {} and {}",
                              static_cast<void*>(primary.get()), static_cast<void*>(same.get()))));
      note_code(About::primary, gpu, same.release(), CUDA_SUCCESS,
                "the first cuDevicePrimaryCtxRelease");
    }
    note_active(gpu, true, "retained twice and released once");

    push(primary.get());
    note_current(gpu, primary.get(), "after cuCtxPushCurrent");
    live_above(gpu, primary.get());
    note_current(gpu, primary.get(), "after cuCtxDestroy of the one above");
    pop();
    note_current(gpu, nullptr, "after cuCtxPopCurrent of the last one");

    note_code(About::primary, gpu, primary.release(), CUDA_SUCCESS,
              "the second cuDevicePrimaryCtxRelease");
    note_active(gpu, false, "released as often as retained");
    note_code(About::primary, gpu, cuda().cuDevicePrimaryCtxRelease_v2(gpu.device),
              CUDA_ERROR_INVALID_CONTEXT, "one cuDevicePrimaryCtxRelease too many");
  }

  /// A context of its own above the primary one, which is current before and after.
  void live_above(const DriverGpu& gpu, CUcontext primary) {
    const std::size_t size = gpu.memory / 32;
    // Other processes come and go: only memory that is lost again and again was not given back.
    constexpr int kAttempts = 3;
    const auto most = static_cast<std::int64_t>(size / 2);
    std::int64_t lost = 0;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const std::int64_t before = free_bytes();
      Context context(cuda(), gpu.device);
      CUdeviceptr memory = 0;
      ensure(CONFORMANCE_CALL(cuda().cuMemAlloc_v2(&memory, size)));
      if (attempt == 0) {
        note_current(gpu, context.get(), "after cuCtxCreate");
        note_device(gpu);
        const CUcontext popped = pop();
        note_that(About::stack, popped == context.get(), "contexts",
                  Finding(context_wrong, gpu.subject,
                          "cuCtxPopCurrent yields another context than the current one"));
        note_current(gpu, primary, "after cuCtxPopCurrent");
        push(context.get());
        note_current(gpu, context.get(), "after it was pushed again");
        note_device(gpu);
        destroy_under_another_thread(gpu, context);
      } else {
        ensure(to_status(context.destroy(), "cuCtxDestroy"));
      }
      lost = before - free_bytes();
      if (lost <= most) break;
    }
    note_that(
        About::memory, lost <= most, "contexts",
        Finding(context_leak, gpu.subject,
                fmt::format("after a context with {} bytes, {} bytes are missing", size, lost),
                {{"bytes in it", std::uint64_t{size}},
                 {"bytes missing", lost},
                 {"attempts", std::int64_t{kAttempts}}}));
  }

  void destroy_under_another_thread(const DriverGpu& gpu, Context& context) {
    std::latch taken(1), destroyed(1);
    CUresult pushed = CUDA_ERROR_UNKNOWN, used = CUDA_ERROR_UNKNOWN, ended = CUDA_ERROR_UNKNOWN;
    {
      const std::jthread other([&, handle = context.get()] {
        pushed = cuda().cuCtxPushCurrent_v2(handle);
        taken.count_down();
        destroyed.wait();
        used = cuda().cuCtxSynchronize();
      });
      taken.wait();
      ended = context.destroy();
      destroyed.count_down();
    }
    ensure(to_status(pushed, "cuCtxPushCurrent on another thread"));
    note_code(About::stack, gpu, ended, CUDA_SUCCESS, "cuCtxDestroy of the current context");
    note_code(About::other_threads, gpu, used, CUDA_ERROR_CONTEXT_IS_DESTROYED,
              "cuCtxSynchronize in a context that another thread destroyed");
  }

  std::mutex mutex_;
  Observations observed_;
};

TEST_F(Contexts, ThePrimaryContextLivesAsLongAsItIsRetained) {
  claim(
      "a GPU's primary context is active from its first retain to its last release, is one and the "
      "same for all who retain it, and cannot be released more often than it was retained",
      "CUDA Driver API, Primary Context Management: cuDevicePrimaryCtxRetain, "
      "cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxGetState");
  judge(About::primary);
}

TEST_F(Contexts, TheCurrentContextIsTheTopOfTheThreadsStack) {
  claim(
      "each thread has a stack of contexts: what is made or pushed becomes current, what is popped "
      "or destroyed uncovers the one below, and without any the calls say so",
      "CUDA Driver API, Context Management: cuCtxCreate, cuCtxPushCurrent, cuCtxPopCurrent, "
      "cuCtxDestroy, cuCtxGetCurrent, cuCtxGetDevice");
  judge(About::stack);
}

TEST_F(Contexts, AThreadLearnsThatItsContextWasDestroyed) {
  claim(
      "a context that one thread destroys stays current to another, whose next use of it returns "
      "CUDA_ERROR_CONTEXT_IS_DESTROYED",
      "CUDA Driver API, Context Management: cuCtxDestroy");
  judge(About::other_threads);
}

TEST_F(Contexts, ADestroyedContextGivesItsMemoryBack) {
  claim("cuCtxDestroy frees the memory that was allocated in the context",
        "CUDA Driver API, Context Management: cuCtxDestroy");
  judge(About::memory);
}

}  // namespace
}  // namespace conformance::driver
