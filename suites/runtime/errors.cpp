#include <thread>
#include <utility>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/held_stream.h"
#include "kernels/launch_probe.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/lost_context.h"

namespace conformance::runtime {
namespace {

class Errors : public GpuTest {};

/// What the runtime says of a code that is none: CUDA Runtime API, cudaGetErrorName.
constexpr std::string_view kUnknownCode = "unrecognized error code";

TEST_F(Errors, AnOrdinalThatIsNoDeviceIsRefusedAndChangesNothing) {
  claim(
      "cudaSetDevice with an ordinal that is no device returns cudaErrorInvalidDevice, and the "
      "current device stays",
      "CUDA Runtime API, Device Management: cudaSetDevice");
  for_each_device(require(Devices{1}), [&](const CudaDevice& device) {
    int count = 0, current = -1;
    ensure(CONFORMANCE_CALL(cudaGetDeviceCount(&count)));
    for (const int ordinal : {count, -1}) {
      expect_code(cudaSetDevice(ordinal), cudaErrorInvalidDevice,
                  fmt::format("cudaSetDevice({})", ordinal), device.subject());
      cudaGetLastError();
      ensure(CONFORMANCE_CALL(cudaGetDevice(&current)));
      expect(current == device.ordinal,
             Finding(wrong_error_state, device.subject(),
                     fmt::format("the refused cudaSetDevice({}) made device {} current", ordinal,
                                 current)));
    }
  });
}

TEST_F(Errors, AnAllocationBeyondTheDeviceFailsAndTheNextSucceeds) {
  claim(
      "cudaMalloc of more than the device has returns cudaErrorMemoryAllocation, after which "
      "allocation works as before",
      "CUDA Runtime API, Memory Management: cudaMalloc; cudaError_t: cudaErrorMemoryAllocation");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    void* memory = nullptr;
    expect_code(cudaMalloc(&memory, device.total_memory * 4), cudaErrorMemoryAllocation,
                "cudaMalloc of four times the device's memory", device.subject());
    cudaGetLastError();
    const cudaError_t next = cudaMalloc(&memory, 256);
    expect_code(next, cudaSuccess, "cudaMalloc of 256 bytes after it", device.subject(),
                wrong_error_state);
    if (next == cudaSuccess) ensure(CONFORMANCE_CALL(cudaFree(memory)));
  });
}

TEST_F(Errors, ACopyInAnUnknownDirectionIsRefused) {
  claim(
      "cudaMemcpy with a direction that is no cudaMemcpyKind returns "
      "cudaErrorInvalidMemcpyDirection and copies nothing",
      "CUDA Runtime API, Memory Management: cudaMemcpy; cudaError_t: "
      "cudaErrorInvalidMemcpyDirection");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    // The kinds are 0 to 4; 7 is the highest value that the type can hold.
    constexpr auto kNoDirection = static_cast<cudaMemcpyKind>(7);
    const std::uint64_t source = 1;
    std::uint64_t target = 2;
    expect_code(cudaMemcpy(&target, &source, sizeof(target), kNoDirection),
                cudaErrorInvalidMemcpyDirection, "cudaMemcpy with direction 7", device.subject());
    cudaGetLastError();
    expect(target == 2, Finding(wrong_error_state, device.subject(),
                                "the refused cudaMemcpy changed its target"));
  });
}

TEST_F(Errors, ABlockOfTooManyThreadsIsRefused) {
  claim(
      "A launch with more threads per block than the device takes is refused at once, and the next "
      "valid launch runs",
      "CUDA Runtime API: cudaError_t: cudaErrorInvalidConfiguration; CUDA Driver API: "
      "cuLaunchKernel");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    int most = 0;
    ensure(CONFORMANCE_CALL(
        cudaDeviceGetAttribute(&most, cudaDevAttrMaxThreadsPerBlock, device.ordinal)));
    Stream stream;
    const auto record = DeviceBuffer<kernels::LaunchRecord>::poisoned(1, stream.get());
    const dim3 block(static_cast<unsigned>(most) + 1);
    expect_refused_launch(kernels::record_launch(record.data(), 1, block, stream.get()),
                          fmt::format("a launch of {} threads per block", block.x),
                          device.subject());
    expect_code(kernels::record_launch(record.data(), 1, 1, stream.get()), cudaSuccess,
                "a launch of 1 thread after it", device.subject(), wrong_error_state);
    synchronize(stream, device.subject());
  });
}

TEST_F(Errors, FreeingHostMemoryIsRefused) {
  claim("cudaFree of an address that no CUDA allocation returned fails with cudaErrorInvalidValue",
        "CUDA Runtime API, Memory Management: cudaFree");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    std::uint64_t on_the_stack = 0;
    expect_code(cudaFree(&on_the_stack), cudaErrorInvalidValue, "cudaFree of a host variable",
                device.subject());
    cudaGetLastError();
  });
}

TEST_F(Errors, TheLastErrorIsKeptByPeekingAndReturnedOnce) {
  claim(
      "A failed call's error stays the thread's last error until cudaGetLastError returns it once; "
      "cudaPeekAtLastError and successful calls keep it",
      "CUDA Runtime API, Error Handling: cudaGetLastError, cudaPeekAtLastError");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const Subject subject = device.subject();
    int current = 0;
    expect_code(cudaGetLastError(), cudaSuccess, "cudaGetLastError in a new thread", subject,
                wrong_error_state);
    expect_code(cudaSetDevice(-1), cudaErrorInvalidDevice, "cudaSetDevice(-1)", subject);
    ensure(CONFORMANCE_CALL(cudaGetDevice(&current)));
    for (int i = 0; i < 2; ++i) {
      expect_code(cudaPeekAtLastError(), cudaErrorInvalidDevice, "cudaPeekAtLastError", subject,
                  wrong_error_state);
    }
    expect_code(cudaGetLastError(), cudaErrorInvalidDevice, "the first cudaGetLastError", subject,
                wrong_error_state);
    expect_code(cudaGetLastError(), cudaSuccess, "the second cudaGetLastError", subject,
                wrong_error_state);
    expect_code(cudaPeekAtLastError(), cudaSuccess, "cudaPeekAtLastError after it", subject,
                wrong_error_state);
  });
}

TEST_F(Errors, AnErrorOfOneThreadIsNotSeenByAnother) {
  claim("The last error belongs to the host thread whose call failed",
        "CUDA Runtime API, Error Handling: cudaGetLastError");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    expect_code(cudaSetDevice(-1), cudaErrorInvalidDevice, "cudaSetDevice(-1)", device.subject());
    cudaError_t elsewhere = cudaErrorUnknown;
    std::thread([&] { elsewhere = cudaGetLastError(); }).join();
    expect_code(elsewhere, cudaSuccess, "cudaGetLastError in another thread", device.subject(),
                wrong_error_state);
    expect_code(cudaGetLastError(), cudaErrorInvalidDevice, "cudaGetLastError in the thread itself",
                device.subject(), wrong_error_state);
  });
}

TEST_F(Errors, UnfinishedWorkIsReportedAsNotReadyWithoutHarm) {
  claim(
      "cudaStreamQuery and cudaEventQuery return cudaErrorNotReady while work is unfinished, which "
      "is no error: the work goes on and both then return cudaSuccess",
      "CUDA Runtime API: cudaStreamQuery, cudaEventQuery; cudaError_t: cudaErrorNotReady");
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  for_each_device(devices, [&](const CudaDevice& device) {
    Stream stream;
    Event event;
    HeldStream held(stream);
    event.record(stream);
    for (int i = 0; i < 2; ++i) {
      expect_code(cudaStreamQuery(stream.get()), cudaErrorNotReady, "cudaStreamQuery",
                  device.subject());
      expect_code(cudaEventQuery(event.get()), cudaErrorNotReady, "cudaEventQuery",
                  device.subject());
    }
    cudaGetLastError();
    held.release();
    synchronize(stream, device.subject());
    expect_code(cudaStreamQuery(stream.get()), cudaSuccess, "cudaStreamQuery after the work's end",
                device.subject());
    expect_code(cudaEventQuery(event.get()), cudaSuccess, "cudaEventQuery after the work's end",
                device.subject());
  });
}

TEST_F(Errors, CodesHaveTheirDocumentedNames) {
  claim(
      "cudaGetErrorName yields the name of each code as the enumeration cudaError_t spells it, "
      "cudaGetErrorString a sentence; for a code that is none both say so",
      "CUDA Runtime API, Error Handling: cudaGetErrorName, cudaGetErrorString");
  struct Code {
    cudaError_t code;
    const char* name;
  };
  static constexpr Code kCodes[] = {
#include "cuda_names/runtime_codes.inc"
  };
  const auto check = [](cudaError_t code, bool right, std::string_view wanted,
                        std::string_view found) {
    if (expect(right, Finding(wrong_error_code, Subject{"library", "libcudart"},
                              fmt::format("code {} is \"{}\", not {}", static_cast<int>(code),
                                          found, wanted),
                              {{"code", std::int64_t{code}},
                               {"found", std::string(found)},
                               {"expected", std::string(wanted)}}))) {
      verified(1, "texts");
    }
  };
  for (const Code& code : kCodes) {
    const std::string_view name = cudaGetErrorName(code.code);
    check(code.code, name == code.name, code.name, name);
    const std::string_view sentence = cudaGetErrorString(code.code);
    check(code.code, !sentence.empty() && sentence != kUnknownCode, "a sentence", sentence);
  }
  // The highest value that the enumeration's type can hold.
  constexpr auto kNone = static_cast<cudaError_t>(16383);
  check(kNone, cudaGetErrorName(kNone) == kUnknownCode, kUnknownCode, cudaGetErrorName(kNone));
  check(kNone, cudaGetErrorString(kNone) == kUnknownCode, kUnknownCode, cudaGetErrorString(kNone));
}

TEST_F(Errors, ALostContextStaysLostAndHarmsNoOtherProcess) {
  claim(
      "After a store to an address that is not mapped, every later call of that process returns "
      "cudaErrorIllegalAddress, and other processes on the GPU keep their contexts and memory",
      "CUDA Runtime API: cudaError_t: cudaErrorIllegalAddress");
  expect_isolated_loss(require(Devices{1}),
                       {"illegal-store", cudaErrorIllegalAddress,
                        "a kernel that stores to an address that is not mapped"});
}

}  // namespace
}  // namespace conformance::runtime
