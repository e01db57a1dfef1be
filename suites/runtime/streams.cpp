#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "kernels/pattern.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/held_stream.h"

namespace conformance::runtime {
namespace {

class Streams : public GpuTest {};

/// Work in streams is asynchronous unless the user has asked for the contrary.
void require_asynchronous_launches() {
  if (launches_block()) skip("CUDA_LAUNCH_BLOCKING=1 makes every launch wait for its end");
}

TEST_F(Streams, AnEventOrdersTheWorkOfTwoStreams) {
  claim(
      "Work queued after cudaStreamWaitEvent starts only when the work that the event recorded in "
      "another stream is done",
      "CUDA Runtime API, Event Management: cudaEventRecord; Stream Management: "
      "cudaStreamWaitEvent");
  constexpr std::size_t kWords = 4096;
  constexpr std::uint64_t kSeed = 11;
  const CudaInventory& devices = require(Devices{1});
  require_asynchronous_launches();
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
  require_asynchronous_launches();
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

}  // namespace
}  // namespace conformance::runtime
