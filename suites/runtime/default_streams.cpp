#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/held_stream.h"
#include "kernels/runtime_probe.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/words.h"

namespace conformance::runtime {
namespace {

class DefaultStreams : public GpuTest {
 protected:
  /// The devices, where streams can be told apart: work is not waited for at its launch, and each
  /// stream of these tests has a connection of its own to the device.
  const CudaInventory& require_independent_streams() {
    const CudaInventory& devices = require(Devices{1});
    if (launches_block()) skip(kLaunchesBlock);
    constexpr int kStreams = 8;
    const char* text = std::getenv("CUDA_DEVICE_MAX_CONNECTIONS");
    int connections = kStreams;
    if (text != nullptr) {
      const std::string_view value(text);
      std::from_chars(value.data(), value.data() + value.size(), connections);
    }
    if (connections < kStreams) {
      skip(fmt::format("CUDA_DEVICE_MAX_CONNECTIONS={} makes streams wait for each other", text));
    }
    return devices;
  }
};

/// Shorter than a stream is held, long enough for any healthy GPU.
constexpr std::chrono::seconds kSoon{5};
/// Work that does not wait for a held stream needs time to show it.
constexpr std::chrono::milliseconds kAWhile{30};

/// Steps of work on a buffer, in several streams.
class Steps {
 public:
  explicit Steps(const CudaDevice& device) : device_(device), words_(kWords), host_(kWords) {
    std::fill(marks_.span().begin(), marks_.span().end(), std::uint64_t{0});
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(words_.data(), 0, words_.bytes(), zeroed_.get())));
    // Loads the kernel: loading may wait for all work of the context.
    ensure(
        CONFORMANCE_CALL(kernels::advance(words_.data(), words_.data(), kWords, 0, zeroed_.get())));
    synchronize(zeroed_, device_.subject());
  }
  void take(std::uint64_t step, cudaStream_t stream) {
    ensure(CONFORMANCE_CALL(kernels::advance(words_.data(), words_.data(), kWords, step, stream)));
    expected_ = kernels::advanced(expected_, step);
  }
  /// Work queued in `stream` now must not run before what is held is released.
  void expect_waiting(cudaStream_t stream, std::string_view what) {
    std::uint64_t* const mark = &marks_[next_mark_++];
    ensure(CONFORMANCE_CALL(kernels::advance(mark, mark, 1, 1, stream)));
    std::this_thread::sleep_for(kAWhile);
    expect(std::atomic_ref(*mark).load() == 0,
           Finding(wrong_order, device_.subject(), fmt::format("{} did not wait", what)));
    verified(1, "streams");
  }
  /// Compares with what the steps leave in the order in which they were taken. All must be done.
  void check(std::string_view what) {
    ensure(CONFORMANCE_CALL(
        kernels::advance(host_.data(), words_.data(), kWords, kLast, zeroed_.get())));
    synchronize(zeroed_, device_.subject());
    expect_all(host_.span(), kernels::advanced(expected_, kLast), what, device_.subject());
  }

 private:
  static constexpr std::size_t kWords = 4096, kMarks = 4;
  static constexpr std::uint64_t kLast = 99;  ///< the step that brings the words to the host
  const CudaDevice& device_;
  DeviceBuffer<std::uint64_t> words_;
  PinnedBuffer<std::uint64_t> host_;
  PinnedBuffer<std::uint64_t> marks_{kMarks};  ///< 0 until a stream has passed there
  std::size_t next_mark_ = 0;
  Stream zeroed_;
  std::uint64_t expected_ = 0;
};

/// Work in `stream` must end though something else is held.
void expect_free(cudaStream_t stream, std::string_view what, const CudaDevice& device) {
  const Status state = wait_for(stream, kSoon);
  cudaGetLastError();
  if (!state.ok() && !is_deadline_exceeded(state)) ensure(state);
  expect(state.ok(), Finding(wrong_order, device.subject(),
                             fmt::format("{} waited for work of another stream", what)));
  verified(1, "streams");
}

TEST_F(DefaultStreams, TheLegacyStreamAndBlockingStreamsWaitForEachOther) {
  claim(
      "Work in the legacy default stream starts when the work queued before it in blocking streams "
      "is done, and holds back the work queued after it there",
      "CUDA Runtime API: Stream synchronization behavior, Legacy default stream");
  for_each_device(require_independent_streams(), [](const CudaDevice& device) {
    Steps steps(device);
    const Stream first(cudaStreamDefault), second(cudaStreamDefault);
    HeldStream held(first);
    steps.take(1, first.get());
    steps.take(2, cudaStreamLegacy);
    steps.take(3, second.get());
    steps.expect_waiting(cudaStreamLegacy, "the legacy default stream");
    steps.expect_waiting(second.get(), "a blocking stream behind the legacy default stream");
    held.release();
    synchronize(first, device.subject());
    synchronize(second, device.subject());
    steps.check("a blocking stream, the legacy default stream and another blocking stream");
  });
}

TEST_F(DefaultStreams, TheLegacyStreamAndNonBlockingStreamsDoNotWaitForEachOther) {
  claim(
      "Streams made with cudaStreamNonBlocking neither wait for the legacy default stream nor hold "
      "it back",
      "CUDA Runtime API, Stream Management: cudaStreamCreateWithFlags; Stream synchronization "
      "behavior");
  for_each_device(require_independent_streams(), [](const CudaDevice& device) {
    Steps legacy(device), other(device);
    const Stream stream;
    {
      HeldStream held(stream);
      other.take(1, stream.get());
      legacy.take(2, cudaStreamLegacy);
      expect_free(cudaStreamLegacy, "the legacy default stream", device);
      held.release();
      synchronize(stream, device.subject());
    }
    {
      HeldStream held(cudaStreamLegacy);
      legacy.take(3, cudaStreamLegacy);
      other.take(4, stream.get());
      expect_free(stream.get(), "a non-blocking stream", device);
      held.release();
    }
    ensure(wait_for(cudaStreamLegacy));
    synchronize(stream, device.subject());
    legacy.check("the legacy default stream");
    other.check("a non-blocking stream");
  });
}

TEST_F(DefaultStreams, EachThreadHasADefaultStreamOfItsOwn) {
  claim(
      "cudaStreamPerThread is another stream in each host thread; these do not wait for each "
      "other, but the legacy default stream waits for them and holds them back",
      "CUDA Runtime API: Stream synchronization behavior, Per-thread default stream");
  for_each_device(require_independent_streams(), [](const CudaDevice& device) {
    Steps here(device), there(device), legacy(device);
    HeldStream held(cudaStreamPerThread);
    here.take(1, cudaStreamPerThread);
    Status in_other_thread;
    std::thread([&] {
      try {
        ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
        there.take(2, cudaStreamPerThread);
        in_other_thread = wait_for(cudaStreamPerThread, kSoon);
      } catch (const StatusError& error) {
        in_other_thread = error.status();
      }
    }).join();
    if (!in_other_thread.ok() && !is_deadline_exceeded(in_other_thread)) ensure(in_other_thread);
    expect(in_other_thread.ok(),
           Finding(wrong_order, device.subject(),
                   "the default stream of one thread waited for that of another"));
    verified(1, "streams");
    here.expect_waiting(cudaStreamPerThread, "the thread's default stream behind held work");
    legacy.take(3, cudaStreamLegacy);
    legacy.expect_waiting(cudaStreamLegacy, "the legacy default stream behind a thread's own");
    held.release();
    ensure(wait_for(cudaStreamPerThread));
    ensure(wait_for(cudaStreamLegacy));
    here.check("a thread's default stream");
    there.check("another thread's default stream");
    legacy.check("the legacy default stream");
  });
}

}  // namespace
}  // namespace conformance::runtime
