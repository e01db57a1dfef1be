#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/held_stream.h"
#include "kernels/pattern.h"
#include "kernels/runtime_probe.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/words.h"

namespace conformance::runtime {
namespace {

class Streams : public GpuTest {};

TEST_F(Streams, AnEventOrdersTheWorkOfTwoStreams) {
  claim(
      "Work queued after cudaStreamWaitEvent starts only when the work that the event recorded in "
      "another stream is done",
      "CUDA Runtime API, Event Management: cudaEventRecord; Stream Management: "
      "cudaStreamWaitEvent");
  constexpr std::size_t kWords = 4096;
  constexpr std::uint64_t kSeed = 11;
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  for_each_device(devices, [&](const CudaDevice& device) {
    Stream producer, consumer;
    Event filled;
    DeviceBuffer<std::uint64_t> buffer(kWords);
    PinnedBuffer<std::uint64_t> host(kWords);
    // Loads the kernel, and leaves other values than those that the consumer must see.
    ensure(CONFORMANCE_CALL(
        kernels::fill_pattern(buffer.data(), kWords, 0, kSeed + 1, producer.get())));
    synchronize(producer, device.subject());

    HeldStream held(producer);
    ensure(
        CONFORMANCE_CALL(kernels::fill_pattern(buffer.data(), kWords, 0, kSeed, producer.get())));
    filled.record(producer);
    ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(consumer.get(), filled.get(), 0)));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), buffer.data(), buffer.bytes(),
                                            cudaMemcpyDeviceToHost, consumer.get())));
    // A consumer that does not wait needs time to show it.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const cudaError_t early = cudaStreamQuery(consumer.get());
    cudaGetLastError();
    held.release();
    synchronize(consumer, device.subject());

    expect(early == cudaErrorNotReady,
           Finding(wrong_order, device.subject(),
                   fmt::format("the waiting stream answered {} before the event could be reached",
                               cudaGetErrorName(early))));
    std::size_t wrong = 0, first = 0;
    for (std::size_t i = 0; i < kWords; ++i) {
      if (host[i] != kernels::pattern_word(i, kSeed) && wrong++ == 0) first = i;
    }
    expect(wrong == 0,
           Finding(wrong_order, device.subject(),
                   fmt::format("{} of {} words were read before they were written, the first at "
                               "index {}",
                               wrong, kWords, first),
                   {{"wrong", std::uint64_t{wrong}}, {"first_index", std::uint64_t{first}}}));
    verified(kWords, "words");
    synchronize(producer, device.subject());
  });
}

TEST_F(Streams, EventsMeasureTheTimeBetweenThem) {
  claim("cudaEventElapsedTime yields the time between two events of a stream",
        "CUDA Runtime API, Event Management: cudaEventElapsedTime");
  // The GPU's clock and the host's are different ones; 1 % is far beyond what either may drift.
  constexpr double kTolerance = 0.01;
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  for_each_device(devices, [&](const CudaDevice& device) {
    using Clock = std::chrono::steady_clock;
    Stream stream;
    Event start, end;
    const Clock::time_point before = Clock::now();
    start.record(stream);
    HeldStream held(stream);
    end.record(stream);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    held.release();
    synchronize(stream, device.subject());
    const double outside = std::chrono::duration<double>(Clock::now() - before).count();
    const double inside = held.held_for().count();
    const double measured = Event::seconds(start, end);
    expect(measured >= inside * (1 - kTolerance) && measured <= outside * (1 + kTolerance),
           Finding(wrong_order, device.subject(),
                   fmt::format("the events are {:.6f} s apart by the GPU; work of {:.6f} s lay "
                               "between them, and all was done within {:.6f} s",
                               measured, inside, outside),
                   {{"measured_s", measured}, {"at_least_s", inside}, {"at_most_s", outside}}));
    verified(1, "intervals");
  });
}

TEST_F(Streams, WorkOfAStreamRunsInItsOrder) {
  claim("Operations of one stream run one after another, in the order in which they were queued",
        "CUDA C++ Programming Guide: Streams");
  constexpr std::size_t kWanted = std::size_t{1} << 22;
  constexpr std::uint64_t kSteps = 64;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t bytes = scaled_bytes(kWanted, device.total_memory / 8);
    const std::size_t words = bytes / sizeof(std::uint64_t);
    Stream stream;
    const DeviceBuffer<std::uint64_t> one(words), other(words);
    PinnedBuffer<std::uint64_t> host(words);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(one.data(), 0, bytes, stream.get())));
    // Each step reads what the last one wrote: by a kernel, a copy, or a copy to the host and back.
    std::uint64_t expected = 0;
    for (std::uint64_t step = 1; step <= kSteps; ++step) {
      ensure(
          CONFORMANCE_CALL(kernels::advance(other.data(), one.data(), words, step, stream.get())));
      if (step % 16 == 0) {
        ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), other.data(), bytes,
                                                cudaMemcpyDeviceToHost, stream.get())));
        ensure(CONFORMANCE_CALL(
            cudaMemcpyAsync(one.data(), host.data(), bytes, cudaMemcpyHostToDevice, stream.get())));
      } else {
        ensure(CONFORMANCE_CALL(cudaMemcpyAsync(one.data(), other.data(), bytes,
                                                cudaMemcpyDeviceToDevice, stream.get())));
      }
      expected = kernels::advanced(expected, step);
    }
    ensure(CONFORMANCE_CALL(
        cudaMemcpyAsync(host.data(), one.data(), bytes, cudaMemcpyDeviceToHost, stream.get())));
    synchronize(stream, device.subject());
    expect_all(host.span(), expected, "after 64 steps in one stream", device.subject());
  });
}

TEST_F(Streams, AHostFunctionRunsOnceInItsPlace) {
  claim(
      "A host function runs once, after the work queued before it and before the work queued after "
      "it; a callback learns its stream and that nothing failed",
      "CUDA Runtime API, Execution Control: cudaLaunchHostFunc; Stream Management: "
      "cudaStreamAddCallback");
  constexpr std::size_t kRounds = 16;
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  for_each_device(devices, [](const CudaDevice& device) {
    struct Round {
      std::uint64_t* word;  ///< page-locked
      std::uint64_t seen = 0;
      int calls = 0;
      cudaStream_t stream = nullptr;
      cudaError_t status = cudaErrorUnknown;
    };
    Stream stream;
    const DeviceBuffer<std::uint64_t> on_device(1);
    PinnedBuffer<std::uint64_t> words(kRounds);
    std::vector<Round> rounds(kRounds);
    const auto look = [](void* data) {
      auto& round = *static_cast<Round*>(data);
      round.seen = *round.word;
      *round.word = ~round.seen;
      ++round.calls;
    };
    const auto look_as_callback = [](cudaStream_t where, cudaError_t status, void* data) {
      auto& round = *static_cast<Round*>(data);
      round.stream = where;
      round.status = status;
      round.seen = *round.word;
      *round.word = ~round.seen;
      ++round.calls;
    };
    // Loads the kernel.
    ensure(CONFORMANCE_CALL(
        cudaMemsetAsync(on_device.data(), 0, sizeof(std::uint64_t), stream.get())));
    ensure(
        CONFORMANCE_CALL(kernels::advance(on_device.data(), on_device.data(), 1, 0, stream.get())));
    synchronize(stream, device.subject());

    HeldStream held(stream);
    for (std::size_t i = 0; i < kRounds; ++i) {
      words[i] = 0;
      rounds[i].word = &words[i];
      ensure(CONFORMANCE_CALL(
          kernels::advance(on_device.data(), on_device.data(), 1, i, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(&words[i], on_device.data(), sizeof(std::uint64_t),
                                              cudaMemcpyDeviceToHost, stream.get())));
      if (i % 2 == 0) {
        ensure(CONFORMANCE_CALL(cudaLaunchHostFunc(stream.get(), look, &rounds[i])));
      } else {
        ensure(
            CONFORMANCE_CALL(cudaStreamAddCallback(stream.get(), look_as_callback, &rounds[i], 0)));
      }
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(on_device.data(), &words[i], sizeof(std::uint64_t),
                                              cudaMemcpyHostToDevice, stream.get())));
    }
    held.release();
    synchronize(stream, device.subject());

    std::uint64_t expected = 0;
    for (std::size_t i = 0; i < kRounds; ++i) {
      expected = kernels::advanced(expected, i);
      const Round& round = rounds[i];
      const bool callback = i % 2 == 1;
      const bool right =
          round.calls == 1 && round.seen == expected &&
          (!callback || (round.stream == stream.get() && round.status == cudaSuccess));
      if (!expect(right,
                  Finding(wrong_order, device.subject(),
                          fmt::format("{} {} was called {} times, saw {:#x} where the work before "
                                      "it left {:#x}{}",
                                      callback ? "callback" : "host function", i, round.calls,
                                      round.seen, expected,
                                      callback ? fmt::format(", and got the status {}",
                                                             cudaGetErrorName(round.status))
                                               : ""),
                          {{"calls", std::int64_t{round.calls}},
                           {"found", round.seen},
                           {"expected", expected}}))) {
        return;
      }
      expected = ~expected;
    }
    verified(kRounds, "host functions");
  });
}

TEST_F(Streams, AStreamKeepsItsFlagsAndItsPriorityWithinTheRange) {
  claim(
      "A stream has the flags it was made with, and the priority, brought into the range that the "
      "device supports",
      "CUDA Runtime API, Stream Management: cudaStreamCreateWithPriority, cudaStreamGetPriority, "
      "cudaStreamGetFlags; Device Management: cudaDeviceGetStreamPriorityRange");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    int least = -1, greatest = 1;
    ensure(CONFORMANCE_CALL(cudaDeviceGetStreamPriorityRange(&least, &greatest)));
    expect(greatest <= 0 && least == 0,
           Finding(wrong_stream_attribute, device.subject(),
                   fmt::format("priorities go from {} to {}, which does not end at the default, 0",
                               greatest, least),
                   {{"least", std::int64_t{least}}, {"greatest", std::int64_t{greatest}}}));
    for (int asked = greatest - 1; asked <= least + 1; ++asked) {
      for (const unsigned flags : {unsigned{cudaStreamDefault}, unsigned{cudaStreamNonBlocking}}) {
        const Stream stream(flags, asked);
        int priority = 0;
        unsigned found_flags = ~0u;
        ensure(CONFORMANCE_CALL(cudaStreamGetPriority(stream.get(), &priority)));
        ensure(CONFORMANCE_CALL(cudaStreamGetFlags(stream.get(), &found_flags)));
        const int expected = std::clamp(asked, greatest, least);
        expect(priority == expected && found_flags == flags,
               Finding(wrong_stream_attribute, device.subject(),
                       fmt::format("a stream asked for with priority {} and flags {} has priority "
                                   "{}, not {}, and flags {}",
                                   asked, flags, priority, expected, found_flags),
                       {{"found", std::int64_t{priority}}, {"expected", std::int64_t{expected}}}));
        verified(1, "streams");
      }
    }
  });
}

TEST_F(Streams, AnEventThatWasNeverRecordedIsComplete) {
  claim(
      "An event that was never recorded is complete for cudaEventQuery, cudaEventSynchronize and "
      "cudaStreamWaitEvent",
      "CUDA Runtime API, Event Management: cudaEventQuery, cudaEventSynchronize; Stream "
      "Management: cudaStreamWaitEvent");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    Event never;
    const Subject subject = device.subject();
    expect_code(cudaEventQuery(never.get()), cudaSuccess, "cudaEventQuery", subject);
    expect_code(cudaEventSynchronize(never.get()), cudaSuccess, "cudaEventSynchronize", subject);
    expect_code(cudaStreamWaitEvent(stream.get(), never.get(), 0), cudaSuccess,
                "cudaStreamWaitEvent", subject);
    synchronize(stream, subject);
  });
}

TEST_F(Streams, TimeIsNotMeasuredBetweenEventsThatCannotTell) {
  claim(
      "cudaEventElapsedTime returns cudaErrorInvalidResourceHandle for events that were never "
      "recorded or made without timing, cudaErrorNotReady for one that is not reached, and fails "
      "for events of two devices",
      "CUDA Runtime API, Event Management: cudaEventElapsedTime; CUDA C++ Programming Guide: "
      "Stream and Event Behavior");
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  for_each_device(devices, [&](const CudaDevice& device) {
    const auto elapsed = [](const Event& start, const Event& end) {
      float milliseconds = 0;
      const cudaError_t answer = cudaEventElapsedTime(&milliseconds, start.get(), end.get());
      cudaGetLastError();
      return answer;
    };
    const Subject subject = device.subject();
    Stream stream;
    Event start, end, never;
    Event untimed(cudaEventDisableTiming);
    start.record(stream);
    expect_code(elapsed(start, never), cudaErrorInvalidResourceHandle,
                "cudaEventElapsedTime to an event that was never recorded", subject);
    untimed.record(stream);
    synchronize(stream, subject);
    expect_code(elapsed(start, untimed), cudaErrorInvalidResourceHandle,
                "cudaEventElapsedTime to an event without timing", subject);
    HeldStream held(stream);
    end.record(stream);
    expect_code(elapsed(start, end), cudaErrorNotReady,
                "cudaEventElapsedTime to an event that is not reached", subject);
    held.release();
    synchronize(stream, subject);
    expect_code(elapsed(start, end), cudaSuccess, "cudaEventElapsedTime after it was reached",
                subject);
    const auto other = std::find_if(devices.begin(), devices.end(), [&](const CudaDevice& one) {
      return one.ordinal != device.ordinal;
    });
    if (other == devices.end()) return;
    ensure(CONFORMANCE_CALL(cudaSetDevice(other->ordinal)));
    Stream elsewhere;
    Event there;
    there.record(elsewhere);
    synchronize(elsewhere, other->subject());
    const cudaError_t between = elapsed(start, there);
    expect(between != cudaSuccess,
           Finding(wrong_error_code, subject,
                   fmt::format("cudaEventElapsedTime to an event of {} succeeded",
                               other->subject().name)));
    verified(1, "error codes");
  });
}

}  // namespace
}  // namespace conformance::runtime
