#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "kernels/module_probe.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/nvrtc_library.h"

namespace conformance::runtime {
namespace {

/// The kernel of kernels/module_probe_kernels.cuh.
constexpr const char* kSource = R"(namespace conformance { namespace kernels {
__global__ void module_probe_kernel(unsigned* words, unsigned count, unsigned seed) {
  const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index < count) words[index] = index * 0x9e3779b1U + seed;
}
} }
)";
constexpr const char* kKernel = "conformance::kernels::module_probe_kernel";
constexpr const char* kSourceName = "conformance.cu";

class Nvrtc : public GpuTest {
 protected:
  /// Skips where there is no libnvrtc, which programs do without; what is wrong with the toolkit's
  /// own is said by the environment layer.
  static void require_whole(const NvrtcLibrary& nvrtc) {
    if (!nvrtc.library().is_open()) {
      skip(fmt::format("libnvrtc cannot be opened: {}", nvrtc.library().error()));
    }
    if (!nvrtc.missing().empty()) {
      fail_and_end(Finding(nvrtc_failed, subject(nvrtc),
                           fmt::format("it lacks {}", fmt::join(nvrtc.missing(), ", "))));
    }
  }
  static Subject subject(const NvrtcLibrary& nvrtc) {
    return Subject{"library", nvrtc.library().path()};
  }
  static void require_success(const NvrtcLibrary& nvrtc, NvrtcResult result, std::string_view call,
                              const std::string& log = {}) {
    if (result == NvrtcResult::success) return;
    fail_and_end(Finding(
        nvrtc_failed, subject(nvrtc), fmt::format("{} returned {}", call, nvrtc.name_of(result)),
        {{"code", std::int64_t{static_cast<int>(result)}}, {"compiler's log", log}}));
  }
};

/// Machine code and the name that its kernel has there.
struct Compiled {
  std::vector<char> code;
  std::string kernel;
};

/// Code that the runtime loaded.
class LoadedCode {
 public:
  /// Throws StatusError.
  explicit LoadedCode(const Compiled& compiled) {
    ensure(CONFORMANCE_CALL(cudaLibraryLoadData(&library_, compiled.code.data(), nullptr, nullptr,
                                                0, nullptr, nullptr, 0)));
  }
  LoadedCode(const LoadedCode&) = delete;
  LoadedCode& operator=(const LoadedCode&) = delete;
  ~LoadedCode() { cudaLibraryUnload(library_); }
  /// Throws StatusError.
  const void* kernel(const std::string& name) const {
    cudaKernel_t found = nullptr;
    ensure(CONFORMANCE_CALL(cudaLibraryGetKernel(&found, library_, name.c_str())));
    return found;
  }

 private:
  cudaLibrary_t library_ = nullptr;
};

TEST_F(Nvrtc, CompiledCodeRunsOnEachGpu) {
  claim(
      "NVRTC compiles a source to machine code for a GPU; the runtime loads it, finds the kernel "
      "by "
      "the name that NVRTC gives, and the kernel does what the source says",
      "NVRTC: Basic Usage, Accessing Lowered Names; CUDA Runtime API, Library Management: "
      "cudaLibraryLoadData, cudaLibraryGetKernel");
  const CudaInventory& devices = require(Devices{1});
  const NvrtcLibrary nvrtc;
  require_whole(nvrtc);
  const std::vector<int> known = nvrtc.architectures();
  std::map<int, Compiled> compiled;  // by compute capability
  for (const CudaDevice& device : devices) {
    const int capability = 10 * device.major + device.minor;
    if (std::find(known.begin(), known.end(), capability) == known.end()) {
      skip(fmt::format("this NVRTC writes no machine code for compute capability {}.{}",
                       device.major, device.minor));
    }
    if (compiled.count(capability) != 0) continue;
    Compiled& result = compiled[capability];
    NvrtcProgram program(nvrtc);
    require_success(nvrtc, program.create(kSource, kSourceName), "nvrtcCreateProgram");
    require_success(nvrtc, nvrtc.nvrtcAddNameExpression(program.get(), kKernel),
                    "nvrtcAddNameExpression");
    require_success(nvrtc, program.compile(fmt::format("--gpu-architecture=sm_{}", capability)),
                    fmt::format("nvrtcCompileProgram for sm_{}", capability), program.log());
    const char* lowered = nullptr;
    require_success(nvrtc, nvrtc.nvrtcGetLoweredName(program.get(), kKernel, &lowered),
                    "nvrtcGetLoweredName");
    result.kernel = lowered;
    require_success(nvrtc, program.machine_code(result.code), "nvrtcGetCUBIN");
  }
  for_each_device(devices, [&](const CudaDevice& device) {
    constexpr std::uint32_t kWords = 4096, kBehind = 64, kThreads = 128;
    constexpr std::uint32_t kPoison = 0xA5A5A5A5;
    const Compiled& mine = compiled.at(10 * device.major + device.minor);
    const LoadedCode code(mine);
    const void* const kernel = code.kernel(mine.kernel);
    Stream stream;
    const auto words = DeviceBuffer<std::uint32_t>::poisoned(kWords + kBehind, stream.get());
    const PinnedBuffer<std::uint32_t> host(kWords + kBehind);
    std::uint32_t* target = words.data();
    std::uint32_t count = kWords, seed = 77;
    void* arguments[] = {&target, &count, &seed};
    ensure(CONFORMANCE_CALL(cudaLaunchKernel(kernel, dim3((kWords + kBehind) / kThreads + 1),
                                             dim3(kThreads), arguments, 0, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), words.data(), words.bytes(),
                                            cudaMemcpyDeviceToHost, stream.get())));
    synchronize(stream, device.subject());
    std::uint32_t wrong = 0, first = 0;
    for (std::uint32_t i = 0; i < kWords + kBehind; ++i) {
      const std::uint32_t expected = i < kWords ? kernels::module_probe_word(i, seed) : kPoison;
      if (host[i] != expected && wrong++ == 0) first = i;
    }
    expect(wrong == 0,
           Finding(wrong_compiled_code, device.subject(),
                   fmt::format("{} of {} words are wrong, the first, at index {}, is {:#x}", wrong,
                               kWords + kBehind, first, host[first]),
                   {{"wrong", std::uint64_t{wrong}}, {"first_index", std::uint64_t{first}}}));
    verified(kWords, "words");
  });
}

TEST_F(Nvrtc, WrongSourcesAndOptionsAreRefused) {
  claim(
      "nvrtcCompileProgram answers a source that is none by NVRTC_ERROR_COMPILATION and names "
      "file, "
      "line and error in its log, and an option that there is not by NVRTC_ERROR_INVALID_OPTION",
      "NVRTC: nvrtcCompileProgram, nvrtcGetProgramLog, nvrtcResult");
  const NvrtcLibrary nvrtc;
  require_whole(nvrtc);
  const auto refused = [&](const char* source, const std::string& option, NvrtcResult expected,
                           std::string_view what) {
    NvrtcProgram program(nvrtc);
    require_success(nvrtc, program.create(source, kSourceName), "nvrtcCreateProgram");
    const NvrtcResult found = program.compile(option);
    expect(found == expected,
           Finding(wrong_error_code, subject(nvrtc),
                   fmt::format("nvrtcCompileProgram of {} returned {}, not {}", what,
                               nvrtc.name_of(found), nvrtc.name_of(expected)),
                   {{"found", std::int64_t{static_cast<int>(found)}},
                    {"expected", std::int64_t{static_cast<int>(expected)}}}));
    verified(1, "error codes");
    return program.log();
  };
  const std::string log = refused("// The second line is wrong.\n#error not to be compiled\n",
                                  "--std=c++17", NvrtcResult::compilation, "a source with #error");
  for (const std::string_view part : {"conformance.cu(2)", "not to be compiled"}) {
    expect(log.find(part) != std::string::npos,
           Finding(wrong_error_code, subject(nvrtc),
                   fmt::format("the compiler's log says nothing of \"{}\"", part),
                   {{"compiler's log", log}}));
    verified(1, "parts of a log");
  }
  refused(kSource, "--no-such-option", NvrtcResult::invalid_option, "an option that there is not");
}

}  // namespace
}  // namespace conformance::runtime
