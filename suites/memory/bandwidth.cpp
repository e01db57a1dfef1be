// How fast is a GPU's memory, and the way between it and the host?

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/clock_watch.h"
#include "fixtures/cuda_pattern.h"
#include "fixtures/cuda_peers.h"
#include "fixtures/cuda_result.h"
#include "fixtures/gpu_test.h"
#include "fixtures/host_facts.h"
#include "kernels/compare.h"
#include "kernels/triad.h"
#include "suites/memory/bandwidth_limit.h"
#include "suites/memory/findings.h"
#include "suites/memory/host_link.h"
#include "suites/memory/host_memory.h"

namespace conformance::memory {
namespace {

class Bandwidth : public GpuTest {};

constexpr std::size_t kBytes = std::size_t{512} << 20;
constexpr int kSamples = 7;

// README.md says where these shares come from.
constexpr double kShareOfMemory = 0.7;
constexpr double kShareOfLink = 0.7;
constexpr double kShareOfPeersMemory = 0.9;
constexpr double kShareOfPeersLink = 0.6;

std::uint64_t seed() { return Session::current().settings().seed; }

/// NVML, or null: without it a figure is judged by less, and the devices layer judges NVML.
std::unique_ptr<NvmlSession> open_nvml() {
  std::unique_ptr<NvmlSession> nvml;
  if (!NvmlSession::open(nvml).ok()) nvml.reset();
  return nvml;
}

/// Seconds per operation, sampled after operations that are not timed, one for each of `buffers`
/// that `queue` goes through. A sample times several in a row where one would be too short to be
/// timed well. All are queued at once, so that a busy host leaves no gaps between them; then comes
/// `while_they_run`.
std::vector<double> time_operations(const std::function<void(int number)>& queue, int buffers,
                                    int per_sample, const Stream& stream, const Subject& subject,
                                    const std::function<void()>& while_they_run) {
  int number = 0;
  while (number < buffers) queue(number++);
  std::vector<Event> marks(kSamples + 1);
  marks.front().record(stream);
  for (int sample = 1; sample <= kSamples; ++sample) {
    for (int i = 0; i < per_sample; ++i) queue(number++);
    marks[sample].record(stream);
  }
  while_they_run();
  synchronize(stream, subject);
  std::vector<double> seconds;
  for (int sample = 1; sample <= kSamples; ++sample) {
    seconds.push_back(Event::seconds(marks[sample - 1], marks[sample]) / per_sample);
  }
  return seconds;
}

void copy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
          const Stream& stream) {
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(target, source, bytes, kind, stream.get())));
}

std::vector<double> gigabytes_per_second(std::size_t bytes, const std::vector<double>& seconds) {
  std::vector<double> samples;
  samples.reserve(seconds.size());
  for (const double time : seconds) samples.push_back(static_cast<double>(bytes) / time / kGiga);
  return samples;
}

/// What was measured of a device, and what NVML saw meanwhile.
struct Measured {
  std::vector<double> samples;
  Conditions conditions = {};
};
/// By the ordinal of the device.
using MeasuredDevices = std::map<int, Measured>;

/// The floor of a figure: the higher of the one that the hardware sets and the one that the other
/// GPUs of that name set, as far as there are any.
std::optional<Floor> floor_of(const CudaDevice& device, const CudaInventory& all,
                              const MeasuredDevices& measured, const std::optional<Limit>& limit,
                              double share, double share_of_peers, std::string_view why) {
  std::vector<double> others;
  for (const Measured* other : peer_results(device, all, measured)) {
    others.push_back(median(other->samples));
  }
  std::optional<Floor> floor = peer_floor(others, share_of_peers, why);
  if (limit && (!floor || share * limit->value > floor->value)) {
    floor = Floor{share * limit->value, fmt::format("{} of {}; {}", share, limit->source, why)};
  }
  return floor;
}

void record_all(const CudaInventory& devices, const MeasuredDevices& measured, const Figure& like,
                const FindingKind& slow,
                const std::function<std::optional<Limit>(const CudaDevice&)>& limit_of,
                double share, double share_of_peers, std::string_view why) {
  for (const CudaDevice& device : devices) {
    const auto found = measured.find(device.ordinal);
    if (found == measured.end()) continue;
    Figure figure = like;
    figure.subject = device.subject();
    figure.samples = found->second.samples;
    const std::optional<Limit> limit = limit_of(device);
    figure.limit = limit;
    figure.floor = floor_of(device, devices, measured, limit, share, share_of_peers, why);
    Evidence evidence = found->second.conditions.evidence();
    evidence.add("memory_clock_khz", std::int64_t{device.memory_clock_khz})
        .add("memory_bus_bits", std::int64_t{device.memory_bus_bits})
        .add("ecc", device.ecc)
        .add("limit", limit ? limit->source : std::string("not known"));
    record(figure, slow, evidence);
  }
}

/// Three buffers of one device, which operations go through in turn: a cache that holds the end of
/// one is of no use to the next.
class ThreeBuffers {
 public:
  explicit ThreeBuffers(const CudaDevice& device, const Stream& stream)
      : words_(std::max<std::size_t>(
                   scaled_bytes(kBytes, device.total_memory) / sizeof(std::uint64_t) / 2048, 1) *
               2048) {
    for (auto& buffer : buffers_) {
      buffer = DeviceBuffer<std::uint64_t>::poisoned(words_, stream.get());
    }
  }
  std::size_t words() const { return words_; }
  std::size_t bytes() const { return words_ * sizeof(std::uint64_t); }
  std::uint64_t* at(int number) const {
    return buffers_[static_cast<std::size_t>(number) % buffers_.size()].data();
  }

 private:
  std::size_t words_;
  std::array<DeviceBuffer<std::uint64_t>, 3> buffers_;
};

/// Measures each device, all at once, and judges what came out.
void measure_memory(
    const CudaInventory& devices, const char* name, const char* formula,
    const std::function<std::vector<double>(const CudaDevice&, ClockWatch&)>& measure) {
  const std::unique_ptr<NvmlSession> nvml = open_nvml();
  MeasuredDevices measured;
  for (const CudaDevice& device : devices) measured[device.ordinal];
  for_each_device(devices, [&](const CudaDevice& device) {
    ClockWatch watch(nvml.get(), device.uuid);
    Measured& own = measured.at(device.ordinal);
    own.samples = measure(device, watch);
    own.conditions = watch.conditions();
  });
  record_all(
      devices, measured,
      Figure{.name = name, .unit = "GB/s", .subject = {}, .samples = {}, .formula = formula},
      slow_memory,
      [&](const CudaDevice& device) {
        return has_memory_of_its_own(nvml.get(), device) ? memory_bandwidth_limit(device)
                                                         : std::nullopt;
      },
      kShareOfMemory, kShareOfPeersMemory,
      "refresh, turnarounds and error correction within the memory take up to 0.3");
}

TEST_F(Bandwidth, DeviceCopiesAreTimedOnAllGpusAtOnceAndRight) {
  claim("A copy within a device's memory is right while it is timed, and as fast as its memory",
        "CUDA C++ Best Practices Guide: Theoretical Bandwidth Calculation");
  measure_memory(
      require(Devices{1}), "device-copy-bandwidth",
      "2 x bytes / seconds of cudaMemcpyAsync within the GPU: each byte is read and written",
      [](const CudaDevice& device, ClockWatch& watch) {
        const Subject subject = device.subject();
        const Stream stream;
        PatternCheck check(stream);
        const ThreeBuffers buffers(device, stream);
        const Pattern pattern{.seed = seed()};
        fill(buffers.at(0), buffers.words(), pattern, stream);
        const std::vector<double> seconds = time_operations(
            [&](int number) {
              copy(buffers.at(number + 1), buffers.at(number), buffers.bytes(),
                   cudaMemcpyDeviceToDevice, stream);
            },
            3, 8, stream, subject, [&] { watch.look(); });
        for (int buffer = 0; buffer < 3; ++buffer) {
          check.expect(buffers.at(buffer), buffers.words(), pattern, device_copy_wrong, subject,
                       "timed copy within the GPU");
        }
        verified(3 * buffers.words(), "words copied");
        return gigabytes_per_second(2 * buffers.bytes(), seconds);
      });
}

TEST_F(Bandwidth, FillsAreTimedOnAllGpusAtOnceAndRight) {
  claim("A fill of a device's memory is right while it is timed, and as fast as its memory",
        "CUDA C++ Best Practices Guide: Theoretical Bandwidth Calculation");
  measure_memory(
      require(Devices{1}), "device-fill-bandwidth", "bytes / seconds of cudaMemsetAsync",
      [](const CudaDevice& device, ClockWatch& watch) {
        constexpr unsigned char kByte = 0x3C;
        const Subject subject = device.subject();
        const Stream stream;
        DeviceResult<kernels::Mismatch> mismatch(stream);
        const ThreeBuffers buffers(device, stream);
        const std::vector<double> seconds = time_operations(
            [&](int number) {
              ensure(CONFORMANCE_CALL(
                  cudaMemsetAsync(buffers.at(number), kByte, buffers.bytes(), stream.get())));
            },
            3, 9, stream, subject, [&] { watch.look(); });
        for (int buffer = 0; buffer < 3; ++buffer) {
          ensure(CONFORMANCE_CALL(kernels::check_bytes(buffers.at(buffer), buffers.bytes(), kByte,
                                                       mismatch.data(), stream.get())));
        }
        const kernels::Mismatch found = mismatch.take(subject);
        expect(found.count == 0,
               Finding(memset_wrong, subject,
                       fmt::format("{} bytes are wrong after a timed fill, the first is byte {}",
                                   found.count, found.first_index),
                       {{"wrong_bytes", std::uint64_t{found.count}},
                        {"first_wrong_byte", std::uint64_t{found.first_index}}}));
        verified(3 * buffers.bytes(), "bytes filled");
        return gigabytes_per_second(buffers.bytes(), seconds);
      });
}

TEST_F(Bandwidth, TriadsAreTimedOnAllGpusAtOnceAndRight) {
  claim(
      "A kernel that reads two words and writes one gets what its device's memory gives, right "
      "while it is timed",
      "CUDA C++ Best Practices Guide: Theoretical and Effective Bandwidth Calculation");
  measure_memory(
      require(Devices{1}), "device-triad-bandwidth",
      "3 x bytes / seconds of the kernel: two words are read for each that is written",
      [](const CudaDevice& device, ClockWatch& watch) {
        constexpr std::uint64_t kFactor = 3;
        const Subject subject = device.subject();
        const Stream stream;
        DeviceResult<kernels::Mismatch> mismatch(stream);
        const ThreeBuffers buffers(device, stream);
        const std::uint64_t left = seed(), right = kernels::pattern_word(1, left);
        fill(buffers.at(1), buffers.words(), {.seed = left}, stream);
        fill(buffers.at(2), buffers.words(), {.seed = right}, stream);
        const std::vector<double> seconds = time_operations(
            [&](int) {
              ensure(CONFORMANCE_CALL(kernels::triad(buffers.at(0), buffers.at(1), buffers.at(2),
                                                     kFactor, buffers.words(), stream.get())));
            },
            1, 6, stream, subject, [&] { watch.look(); });
        ensure(CONFORMANCE_CALL(kernels::check_triad(
            buffers.at(0), left, right, kFactor, buffers.words(), mismatch.data(), stream.get())));
        const kernels::Mismatch found = mismatch.take(subject);
        expect(
            found.count == 0,
            Finding(wrong_word, subject,
                    fmt::format("{} of {} words of a timed triad are wrong, the first is word {}",
                                found.count, buffers.words(), found.first_index),
                    {{"wrong_words", std::uint64_t{found.count}},
                     {"first_wrong_word", std::uint64_t{found.first_index}}}));
        verified(buffers.words(), "words combined");
        return gigabytes_per_second(3 * buffers.bytes(), seconds);
      });
}

/// What the ways of all devices to the host carried. A figure is judged against the link where that
/// is known, and where the figure is not above it: then what is said of the link is not true.
class HostFigures {
 public:
  HostFigures(const CudaInventory& devices, const NvmlSession* nvml)
      : devices_(devices), nvml_(nvml) {}

  /// While data moves.
  void look_at_link(const CudaDevice& device) {
    links_[device.ordinal] = read_host_link(nvml_, device);
    fact("memory.host-link." + device.pci_bus_id, links_[device.ordinal].text);
  }
  void add(const CudaDevice& device, const std::string& name, std::vector<double> samples) {
    measured_[name][device.ordinal].samples = std::move(samples);
  }
  void judge(const std::string& name, const char* formula) const {
    const auto found = measured_.find(name);
    if (found == measured_.end()) return;
    record_all(
        devices_, found->second,
        Figure{.name = name, .unit = "GB/s", .subject = {}, .samples = {}, .formula = formula},
        slow_host_link,
        [&](const CudaDevice& device) -> std::optional<Limit> {
          const auto link = links_.find(device.ordinal);
          if (link == links_.end() || !link->second.gigabytes_per_second) return std::nullopt;
          const double most = *link->second.gigabytes_per_second;
          if (median(found->second.at(device.ordinal).samples) > most) return std::nullopt;
          return Limit{most, link->second.text};
        },
        kShareOfLink, kShareOfPeersLink,
        "headers of packets, flow control and the host's memory take up to 0.3");
  }

 private:
  const CudaInventory& devices_;
  const NvmlSession* nvml_;
  std::map<int, HostLink> links_;
  std::map<std::string, MeasuredDevices> measured_;
};

/// Words of a host buffer that serves all devices, one after the other.
std::size_t words_for_all(const CudaInventory& devices, std::size_t bytes) {
  const auto smallest = std::min_element(devices.begin(), devices.end(), [](auto& a, auto& b) {
    return a.total_memory < b.total_memory;
  });
  return scaled_bytes(bytes, smallest->total_memory) / sizeof(std::uint64_t);
}

/// A pattern of a device's own, so that what another GPU left on the host does not pass for its
/// own.
Pattern pattern_of(const CudaDevice& device, std::uint64_t which = 0) {
  return {.seed = kernels::pattern_word(
              static_cast<std::uint64_t>(device.ordinal) + 1 + 1024 * which, seed())};
}

/// Runs `work` for one device after the other.
void for_one_device_at_a_time(const CudaInventory& devices,
                              const std::function<void(const CudaDevice&)>& work) {
  for (const CudaDevice& device : devices) {
    guarded(device.subject(), [&] {
      ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
      work(device);
    });
  }
}

/// Times copies to the host memory and back, and checks what came back.
struct RoundTrip {
  std::vector<double> to_host, to_device;
};
RoundTrip time_round_trip(const CudaDevice& device, std::uint64_t* host, std::size_t words,
                          std::string_view what, const std::function<void()>& while_it_moves) {
  const Subject subject = device.subject();
  const std::size_t bytes = words * sizeof(std::uint64_t);
  const Pattern pattern = pattern_of(device);
  const Stream stream;
  PatternCheck check(stream);
  const DeviceBuffer<std::uint64_t> source(words);
  const auto target = DeviceBuffer<std::uint64_t>::poisoned(words, stream.get());
  fill(source.data(), words, pattern, stream);
  const std::vector<double> to_host = time_operations(
      [&](int) { copy(host, source.data(), bytes, cudaMemcpyDeviceToHost, stream); }, 1, 1, stream,
      subject, [] {});
  const std::vector<double> to_device = time_operations(
      [&](int) { copy(target.data(), host, bytes, cudaMemcpyHostToDevice, stream); }, 1, 1, stream,
      subject, while_it_moves);
  check.expect(target.data(), words, pattern, host_copy_wrong, subject, what);
  verified(words, "words, to the host and back");
  return {gigabytes_per_second(bytes, to_host), gigabytes_per_second(bytes, to_device)};
}

TEST_F(Bandwidth, PinnedCopiesAreTimedOneGpuAtATimeAndRight) {
  claim(
      "Copies between page-locked host memory and a device are right while they are timed, and as "
      "fast as their link",
      "CUDA C++ Best Practices Guide: Pinned Memory; PCI Express Base Specification");
  const CudaInventory& devices = require(Devices{1});
  const std::unique_ptr<NvmlSession> nvml = open_nvml();
  HostFigures figures(devices, nvml.get());
  guarded(host_subject(), [&] {
    // One for all: page-locking half a gigabyte takes longer than the copies do.
    ensure(CONFORMANCE_CALL(cudaSetDevice(devices.front().ordinal)));
    const PinnedBuffer<std::uint64_t> host(words_for_all(devices, kBytes));
    for_one_device_at_a_time(devices, [&](const CudaDevice& device) {
      const RoundTrip times =
          time_round_trip(device, host.data(), host.size(), "timed copy to the host and back",
                          [&] { figures.look_at_link(device); });
      figures.add(device, "device-to-host-bandwidth", times.to_host);
      figures.add(device, "host-to-device-bandwidth", times.to_device);
    });
  });
  figures.judge("device-to-host-bandwidth",
                "bytes / seconds of cudaMemcpyAsync to page-locked memory, this GPU alone");
  figures.judge("host-to-device-bandwidth",
                "bytes / seconds of cudaMemcpyAsync from page-locked memory, this GPU alone");
}

TEST_F(Bandwidth, CopiesInBothDirectionsAtOnceAreRight) {
  claim("Copies to and from a device that run at the same time do not disturb each other",
        "CUDA C++ Programming Guide: Concurrent Data Transfers");
  const CudaInventory& devices = require(Devices{1});
  guarded(host_subject(), [&] {
    ensure(CONFORMANCE_CALL(cudaSetDevice(devices.front().ordinal)));
    const std::size_t words = words_for_all(devices, kBytes / 2);
    const PinnedBuffer<std::uint64_t> sent(words), received(words);
    for_one_device_at_a_time(devices, [&](const CudaDevice& device) {
      constexpr int kCopies = 4;
      const Subject subject = device.subject();
      const std::size_t bytes = words * sizeof(std::uint64_t);
      const Pattern to_device = pattern_of(device, 1), to_host = pattern_of(device, 2);
      const Stream down, up;
      PatternCheck check(down);
      const DeviceBuffer<std::uint64_t> source(words);
      const auto target = DeviceBuffer<std::uint64_t>::poisoned(words, down.get());
      fill(source.data(), words, to_device, down);
      copy(sent.data(), source.data(), bytes, cudaMemcpyDeviceToHost, down);
      fill(source.data(), words, to_host, down);
      copy(received.data(), source.data(), bytes, cudaMemcpyDeviceToHost, down);
      synchronize(down, subject);
      std::vector<double> samples;
      for (int sample = 0; sample < kSamples; ++sample) {
        Event start, down_end, up_end;
        start.record(down);
        ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(up.get(), start.get(), 0)));
        for (int i = 0; i < kCopies; ++i) {
          copy(target.data(), sent.data(), bytes, cudaMemcpyHostToDevice, down);
          copy(received.data(), source.data(), bytes, cudaMemcpyDeviceToHost, up);
        }
        down_end.record(down);
        up_end.record(up);
        synchronize(down, subject);
        synchronize(up, subject);
        const double seconds =
            std::max(Event::seconds(start, down_end), Event::seconds(start, up_end));
        samples.push_back(2.0 * kCopies * static_cast<double>(bytes) / seconds / kGiga);
      }
      check.expect(target.data(), words, to_device, host_copy_wrong, subject,
                   "copy to the GPU while another went to the host");
      copy(target.data(), received.data(), bytes, cudaMemcpyHostToDevice, down);
      check.expect(target.data(), words, to_host, host_copy_wrong, subject,
                   "copy to the host while another went to the GPU");
      verified(2 * words, "words, in both directions at once");
      record(Figure{.name = "bidirectional-host-bandwidth",
                    .unit = "GB/s",
                    .subject = subject,
                    .samples = samples,
                    .formula =
                        "bytes of both directions / seconds until both are done, page-locked "
                        "memory, this GPU alone"});
    });
  });
}

TEST_F(Bandwidth, MemoryOfEveryNumaNodeIsCopiedRight) {
  claim("Copies between a device and page-locked memory of any NUMA node of the host are right",
        "CUDA C++ Best Practices Guide: NUMA Best Practices");
  const CudaInventory& devices = require(Devices{1});
  const std::string& root = Session::current().settings().host_root;
  const HostFacts facts = read_host_facts(root);
  const auto node_of = [&](const CudaDevice& device) -> std::optional<int> {
    if (!facts.pci_gpus) return std::nullopt;
    const auto found =
        std::find_if(facts.pci_gpus->begin(), facts.pci_gpus->end(),
                     [&](const PciGpu& gpu) { return gpu.bus_id == device.pci_bus_id; });
    return found == facts.pci_gpus->end() ? std::nullopt : found->numa_node;
  };
  std::string refused = "the host does not list its NUMA nodes";
  const std::vector<int> nodes = host_nodes(root);
  for (const int node : nodes) {
    const std::size_t words = words_for_all(devices, kBytes / 2);
    std::optional<PageableMemory> memory;
    try {
      // Where there is one, all memory is of it, and no permission is needed.
      memory.emplace(words * sizeof(std::uint64_t),
                     nodes.size() == 1 ? PageableMemory::kAnyNode : node);
    } catch (const StatusError& error) {
      // A container may be without the permission, or without the node.
      refused = error.status().describe();
      fact(fmt::format("memory.numa-node-{}", node), refused);
      continue;
    }
    guarded(host_subject(), [&] {
      ensure(CONFORMANCE_CALL(cudaSetDevice(devices.front().ordinal)));
      const Registration registration(memory->span());
      auto* const host = static_cast<std::uint64_t*>(static_cast<void*>(memory->span().data()));
      for_one_device_at_a_time(devices, [&](const CudaDevice& device) {
        const RoundTrip times = time_round_trip(
            device, host, words, fmt::format("copy to memory of node {} and back", node), [] {});
        const std::optional<int> own = node_of(device);
        const char* way = !own ? "unknown" : (*own == node ? "near" : "far");
        record(Figure{.name = fmt::format("device-to-host-bandwidth-node-{}-{}", node, way),
                      .unit = "GB/s",
                      .subject = device.subject(),
                      .samples = times.to_host,
                      .formula = "as device-to-host-bandwidth, memory of this node"});
        record(Figure{.name = fmt::format("host-to-device-bandwidth-node-{}-{}", node, way),
                      .unit = "GB/s",
                      .subject = device.subject(),
                      .samples = times.to_device,
                      .formula = "as host-to-device-bandwidth, memory of this node"});
      });
    });
  }
  if (!HasFailure() && Session::current().verified_count() == 0) skip(refused);
}

}  // namespace
}  // namespace conformance::memory
