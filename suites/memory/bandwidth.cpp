// How fast is a GPU's memory, and the way between it and the host?

#include <algorithm>
#include <vector>

#include "fixtures/cuda_pattern.h"
#include "fixtures/gpu_test.h"
#include "suites/memory/bandwidth_limit.h"
#include "suites/memory/findings.h"

namespace conformance::memory {
namespace {

class Bandwidth : public GpuTest {};

constexpr std::size_t kBytes = std::size_t{512} << 20;
constexpr int kSamples = 7;

/// Seconds per copy, sampled after one copy that is not timed. A sample times several copies in a
/// row where one would be too short to be timed well. All are queued at once, so that a busy host
/// leaves no gaps between them.
std::vector<double> time_copies(void* target, const void* source, std::size_t bytes,
                                cudaMemcpyKind kind, int copies_per_sample, const Stream& stream,
                                const Subject& subject) {
  const auto copy = [&] {
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(target, source, bytes, kind, stream.get())));
  };
  std::vector<Event> marks(kSamples + 1);
  copy();
  marks.front().record(stream);
  for (int sample = 1; sample <= kSamples; ++sample) {
    for (int i = 0; i < copies_per_sample; ++i) copy();
    marks[sample].record(stream);
  }
  synchronize(stream, subject);
  std::vector<double> seconds;
  for (int sample = 1; sample <= kSamples; ++sample) {
    seconds.push_back(Event::seconds(marks[sample - 1], marks[sample]) / copies_per_sample);
  }
  return seconds;
}

std::vector<double> gigabytes_per_second(std::size_t bytes, const std::vector<double>& seconds) {
  std::vector<double> samples;
  samples.reserve(seconds.size());
  for (const double time : seconds) samples.push_back(static_cast<double>(bytes) / time / kGiga);
  return samples;
}

TEST_F(Bandwidth, DeviceCopiesAreTimedOnAllGpusAtOnceAndRight) {
  claim("A copy within a device's memory is no faster than its memory, and right while it is timed",
        "CUDA C++ Best Practices Guide: Theoretical Bandwidth Calculation");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t words = scaled_bytes(kBytes, device.total_memory) / sizeof(std::uint64_t);
    const Subject subject = device.subject();
    const Pattern pattern{.seed = Session::current().settings().seed};
    const Stream stream;
    PatternCheck check(stream);
    const DeviceBuffer<std::uint64_t> source(words);
    const auto target = DeviceBuffer<std::uint64_t>::poisoned(words, stream.get());
    fill(source.data(), words, pattern, stream);
    const std::vector<double> seconds = time_copies(target.data(), source.data(), source.bytes(),
                                                    cudaMemcpyDeviceToDevice, 8, stream, subject);
    check.expect(target.data(), words, pattern, device_copy_wrong, subject,
                 "timed copy within the GPU");
    verified(words, "words copied");
    record(Figure{.name = "device-copy-bandwidth",
                  .unit = "GB/s",
                  .subject = subject,
                  .samples = gigabytes_per_second(2 * source.bytes(), seconds),
                  .formula = "2 x bytes / seconds of cudaMemcpyAsync within the GPU: each byte is "
                             "read and written",
                  .limit = memory_bandwidth_limit(device)});
  });
}

TEST_F(Bandwidth, PinnedCopiesAreTimedOneGpuAtATimeAndRight) {
  claim("Copies between page-locked host memory and a device are right while they are timed",
        "CUDA C++ Best Practices Guide: Pinned Memory");
  const CudaInventory& devices = require(Devices{1});
  const auto smallest = std::min_element(devices.begin(), devices.end(), [](auto& a, auto& b) {
    return a.total_memory < b.total_memory;
  });
  const std::size_t words = scaled_bytes(kBytes, smallest->total_memory) / sizeof(std::uint64_t);
  guarded(host_subject(), [&] {
    // One for all: page-locking half a gigabyte takes longer than the copies do.
    ensure(CONFORMANCE_CALL(cudaSetDevice(devices.front().ordinal)));
    const PinnedBuffer<std::uint64_t> host(words);
    for (const CudaDevice& device : devices) {
      const Subject subject = device.subject();
      guarded(subject, [&] {
        ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
        // A seed of its own, so that what another GPU left on the host does not pass for its own.
        const Pattern pattern{
            .seed = kernels::pattern_word(static_cast<std::uint64_t>(device.ordinal) + 1,
                                          Session::current().settings().seed)};
        const Stream stream;
        PatternCheck check(stream);
        const DeviceBuffer<std::uint64_t> source(words);
        const auto target = DeviceBuffer<std::uint64_t>::poisoned(words, stream.get());
        fill(source.data(), words, pattern, stream);
        const std::vector<double> to_host = time_copies(host.data(), source.data(), host.bytes(),
                                                        cudaMemcpyDeviceToHost, 1, stream, subject);
        const std::vector<double> to_device = time_copies(
            target.data(), host.data(), host.bytes(), cudaMemcpyHostToDevice, 1, stream, subject);
        check.expect(target.data(), words, pattern, host_copy_wrong, subject,
                     "timed copy to the host and back");
        verified(words, "words, to the host and back");
        record(Figure{.name = "device-to-host-bandwidth",
                      .unit = "GB/s",
                      .subject = subject,
                      .samples = gigabytes_per_second(host.bytes(), to_host),
                      .formula = "bytes / seconds of cudaMemcpyAsync to page-locked memory, this "
                                 "GPU alone"});
        record(Figure{.name = "host-to-device-bandwidth",
                      .unit = "GB/s",
                      .subject = subject,
                      .samples = gigabytes_per_second(host.bytes(), to_device),
                      .formula = "bytes / seconds of cudaMemcpyAsync from page-locked memory, this "
                                 "GPU alone"});
      });
    }
  });
}

}  // namespace
}  // namespace conformance::memory
