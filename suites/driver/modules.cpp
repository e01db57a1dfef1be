#include <array>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fixtures/deadline.h"
#include "fixtures/error_findings.h"
#include "kernels/module_probe.h"
#include "suites/driver/driver_gpus.h"
#include "suites/driver/findings.h"
#include "suites/driver/module_images.h"

namespace conformance::driver {
namespace {

class Modules : public DriverGpuTest {
 protected:
  /// Otherwise the driver would compile PTX once and then take the result from the user's cache.
  /// CUDA Programming Guide, CUDA Environment Variables: CUDA_CACHE_DISABLE.
  static void SetUpTestSuite() { ::setenv("CUDA_CACHE_DISABLE", "1", 1); }

  /// The GPU's primary context as the thread's current one. It is retained until the process ends,
  /// so that the tests share it: making one takes up to a second.
  class Current {
   public:
    Current(const DriverTable& cuda, const DriverGpu& gpu) : cuda_(cuda) {
      CUcontext primary = nullptr;
      ensure(CONFORMANCE_CALL(cuda.cuDevicePrimaryCtxRetain(&primary, gpu.device)));
      ensure(CONFORMANCE_CALL(cuda.cuCtxPushCurrent_v2(primary)));
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    ~Current() {
      CUcontext popped = nullptr;
      cuda_.cuCtxPopCurrent_v2(&popped);
    }

   private:
    const DriverTable& cuda_;
  };

  /// A module in the current context, or why there is none.
  class Module {
   public:
    Module(const DriverTable& cuda, const void* image) : cuda_(cuda) {
      std::array<char, 8192> errors{}, notes{};
      std::array options{CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
                         CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
      const auto number = [](std::size_t value) { return std::bit_cast<void*>(value); };
      std::array<void*, 4> values{errors.data(), number(errors.size()), notes.data(),
                                  number(notes.size())};
      code =
          cuda.cuModuleLoadDataEx(&handle_, image, options.size(), options.data(), values.data());
      errors.back() = notes.back() = '\0';
      log = std::string(errors.data()) + notes.data();
    }
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;
    ~Module() {
      if (handle_ != nullptr) cuda_.cuModuleUnload(handle_);
    }
    CUmodule get() const { return handle_; }

    CUresult code = CUDA_SUCCESS;
    std::string log;

   private:
    const DriverTable& cuda_;
    CUmodule handle_ = nullptr;
  };

  /// Ends the test for this GPU with what a module that should load stands for if it does not.
  static void require_loaded(const Module& module, const DriverGpu& gpu, std::string_view what) {
    if (module.code == CUDA_SUCCESS) return;
    const FindingKind* kind = &kind_of_runtime_error(module.code);
    if (module.code == CUDA_ERROR_JIT_COMPILER_NOT_FOUND) kind = &jit_library_missing;
    if (module.code == CUDA_ERROR_INVALID_PTX) kind = &ptx_rejected;
    const Status status = to_status(module.code, fmt::format("cuModuleLoadDataEx({})", what));
    fail_and_end(Finding(*kind, gpu.subject, status.describe(),
                         {{"code", std::int64_t{module.code}},
                          {"compiler's log", module.log},
                          {"compute capability", gpu.capability.text()}}));
  }

  /// The module's kernel must fill memory as kernels/module_probe.h says.
  void check_kernel(const Module& module, const DriverGpu& gpu, std::string_view what) const {
    CUfunction function = nullptr;
    ensure(CONFORMANCE_CALL(
        cuda().cuModuleGetFunction(&function, module.get(), kernels::kModuleProbe)));
    constexpr std::uint32_t kThreads = 128;
    // Not a multiple of the block's size, so that the last block has threads without work.
    std::uint32_t count = 40 * kThreads + 7, seed = 0x1234567;
    std::vector<std::uint32_t> found(count + 1);
    CUdeviceptr words = 0;
    ensure(CONFORMANCE_CALL(cuda().cuMemAlloc_v2(&words, found.size() * sizeof(found[0]))));
    ensure(CONFORMANCE_CALL(cuda().cuMemsetD8_v2(words, 0xa5, found.size() * sizeof(found[0]))));
    std::array<void*, 3> arguments{&words, &count, &seed};
    ensure(CONFORMANCE_CALL(cuda().cuLaunchKernel(function, count / kThreads + 1, 1, 1, kThreads, 1,
                                                  1, 0, nullptr, arguments.data(), nullptr)));
    wait(gpu);
    ensure(CONFORMANCE_CALL(
        cuda().cuMemcpyDtoH_v2(found.data(), words, found.size() * sizeof(found[0]))));
    ensure(CONFORMANCE_CALL(cuda().cuMemFree_v2(words)));
    std::uint32_t wrong = 0, first = 0;
    for (std::uint32_t i = 0; i < found.size(); ++i) {
      const std::uint32_t right = i < count ? kernels::module_probe_word(i, seed) : 0xa5a5a5a5;
      if (found[i] != right && wrong++ == 0) first = i;
    }
    if (expect(wrong == 0, Finding(module_result_wrong, gpu.subject,
                                   fmt::format("the kernel from {} left {} of {} words wrong", what,
                                               wrong, found.size()),
                                   {{"first wrong word", std::uint64_t{first}},
                                    {"found", std::uint64_t{found[first]}},
                                    {"compiler's log", module.log}}))) {
      verified(found.size(), "words");
    }
  }

 private:
  /// Waits for the default stream, but not for ever.
  void wait(const DriverGpu& gpu) const {
    constexpr std::chrono::seconds kLongest{20};
    const auto deadline = deadline_of(kLongest);
    const auto start = std::chrono::steady_clock::now();
    CUresult code = CUDA_ERROR_NOT_READY;
    while ((code = cuda().cuStreamQuery(nullptr)) == CUDA_ERROR_NOT_READY) {
      const auto waited = std::chrono::steady_clock::now() - start;
      if (waited > deadline) {
        Session::current().abandon(Finding(
            finding::deadline_exceeded, gpu.subject,
            fmt::format("a kernel of a few microseconds did not end in {} ms", deadline.count())));
      }
      pause_in_wait(waited);
    }
    ensure(to_status(code, "cuStreamQuery after the kernel"));
  }
};

TEST_F(Modules, PtxIsCompiledForTheGpuAndRuns) {
  claim(
      "the driver compiles PTX of an older version and for an older architecture for each GPU, and "
      "its kernel computes what it must",
      "CUDA Programming Guide: PTX Compatibility; CUDA Driver API, Module Management: "
      "cuModuleLoadDataEx");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const Current current(cuda(), gpu);
    const Module module(cuda(), probe_ptx().c_str());
    require_loaded(module, gpu, "PTX");
    check_kernel(module, gpu, "PTX");
  });
}

TEST_F(Modules, TheFatBinaryHoldsCodeThatRuns) {
  claim(
      "from a fat binary for the architectures of this build the driver takes code that runs on "
      "each "
      "GPU, and its kernel computes what it must",
      "CUDA Programming Guide: Binary Compatibility; CUDA Driver API, Module Management: "
      "cuModuleLoadDataEx");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const Current current(cuda(), gpu);
    const Module module(cuda(), probe_fat_binary().data());
    require_loaded(module, gpu, "fat binary");
    check_kernel(module, gpu, "a fat binary");
  });
}

TEST_F(Modules, BrokenPtxIsRefusedWithALog) {
  claim(
      "PTX with an instruction that does not exist is refused with CUDA_ERROR_INVALID_PTX, and the "
      "compiler says why",
      "CUDA Driver API, Module Management: cuModuleLoadDataEx, CU_JIT_ERROR_LOG_BUFFER");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const Current current(cuda(), gpu);
    const Module module(cuda(), broken_ptx().c_str());
    expect_code(module.code, CUDA_ERROR_INVALID_PTX, "cuModuleLoadDataEx of broken PTX",
                gpu.subject, module_check_wrong);
    expect(module.code != CUDA_ERROR_INVALID_PTX || !module.log.empty(),
           Finding(module_check_wrong, gpu.subject, "the compiler does not say what is wrong"));
    if (gpu.device == gpus().front().device) fact("driver.ptx-compiler.log", module.log);
  });
}

TEST_F(Modules, AFatBinaryWithoutCodeForTheGpuIsRefused) {
  claim(
      "a fat binary with machine code of another major revision alone is refused with "
      "CUDA_ERROR_NO_BINARY_FOR_GPU",
      "CUDA Driver API: CUDA_ERROR_NO_BINARY_FOR_GPU; CUDA Programming Guide: Binary "
      "Compatibility");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const Current current(cuda(), gpu);
    const Module module(cuda(), foreign_fat_binary(gpu.capability.major).data());
    expect_code(module.code, CUDA_ERROR_NO_BINARY_FOR_GPU,
                "cuModuleLoadDataEx of code for another architecture", gpu.subject,
                module_check_wrong);
  });
}

TEST_F(Modules, AFunctionThatIsNotThereIsNotFound) {
  claim("cuModuleGetFunction returns CUDA_ERROR_NOT_FOUND for a name that the module does not hold",
        "CUDA Driver API, Module Management: cuModuleGetFunction");
  open();
  for_each_gpu([&](const DriverGpu& gpu) {
    const Current current(cuda(), gpu);
    const Module module(cuda(), probe_fat_binary().data());
    require_loaded(module, gpu, "fat binary");
    CUfunction function = nullptr;
    expect_code(cuda().cuModuleGetFunction(&function, module.get(), "no_kernel_has_this_name"),
                CUDA_ERROR_NOT_FOUND, "cuModuleGetFunction of a name that is not there",
                gpu.subject, module_check_wrong);
  });
}

}  // namespace
}  // namespace conformance::driver
