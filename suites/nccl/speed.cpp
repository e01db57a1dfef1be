// How fast are collectives over all GPUs, and are they right at that speed?

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_graph.h"
#include "suites/nccl/collectives_test.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/transports.h"

namespace conformance::nccl {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;
/// The largest data, and that of figures. Beside it there is room for what is checked around it.
constexpr std::size_t kMostBytes = std::size_t{4} << 30;
constexpr std::size_t kFigureBytes = std::size_t{1} << 30;
constexpr int kSamples = 5;
/// Collectives per sample, one behind the other.
constexpr int kBatch = 4;

/// What a collective's bus bandwidth must reach of the ring of copies. NCCL reaches 0.70
/// (all-gather over two) to 0.95 of it on H200; host memory, which is what NCCL falls back to,
/// an eighth at most, and on GPUs with the fewest NVLinks still less than 0.4.
constexpr double kShareOfRing = 0.5;

/// The collectives whose bandwidth the field compares.
constexpr std::array kTimed{&kAllReduce, &kReduceScatter, &kAllGather,      &kBroadcast,
                            &kReduce,    &kAllToAll,      &kSendReceiveRing};

class Speed : public SharedRanksTest {
 protected:
  static Ranks& ranks(const CudaInventory& devices) { return all_ranks(devices, bytes(devices)); }
  /// Twice as much of a GPU as elsewhere: no other test runs at the same time.
  static std::size_t bytes(const CudaInventory& devices) {
    return 2 * scaled_to((kMostBytes + kMebi) / 2, devices);
  }
  /// Float32, and `bytes` of data as the field counts it, or as much as fits.
  static Case sized(const Collective& collective, std::size_t data, const CudaInventory& devices) {
    Case what{.collective = &collective};
    const auto all = static_cast<int>(devices.size());
    what.count = std::min(data / sizeof(float) / collective.elements(1, all),
                          Participant::greatest_count(what, bytes(devices), all));
    return what;
  }
};

double data_bytes(const Case& what, int ranks) {
  return static_cast<double>(what.collective->elements(what.count, ranks) * sizeof(float));
}

/// Events around the work of each rank's stream.
class Intervals {
 public:
  explicit Intervals(Ranks& ranks) : ranks_(ranks) {
    ranks.for_each([&](Participant&, int) { intervals_.emplace_back(); });
  }
  void start() {
    ranks_.for_each([&](Participant&, int local) {
      intervals_[static_cast<std::size_t>(local)].start.record(ranks_.clique().stream(local));
    });
  }
  void end() {
    ranks_.for_each([&](Participant&, int local) {
      intervals_[static_cast<std::size_t>(local)].end.record(ranks_.clique().stream(local));
    });
  }
  /// Seconds of each rank; all must be done.
  std::vector<double> seconds() const {
    std::vector<double> all;
    all.reserve(intervals_.size());
    for (const Interval& one : intervals_) all.push_back(Event::seconds(one.start, one.end));
    return all;
  }

 private:
  struct Interval {
    Event start, end;
  };
  Ranks& ranks_;
  std::vector<Interval> intervals_;
};

/// Seconds of one of `batch` collectives, back to back, on the slowest rank. One before them keeps
/// the GPUs at work while they are launched. The last one's result is verified.
double time_one(Ranks& ranks, Intervals& intervals, const Case& like, int batch) {
  const Case what = ranks.fresh(like);
  ranks.prepare(what);
  ranks.launch(what);
  intervals.start();
  for (int i = 0; i < batch; ++i) ranks.launch(what);
  intervals.end();
  ranks.wait(what.text());
  const std::vector<double> seconds = intervals.seconds();
  ranks.check(what);
  ranks.finish();
  return *std::max_element(seconds.begin(), seconds.end()) / batch;
}

/// Whether each GPU reaches each other one's memory over NVLink, by what the runtime knows: over
/// PCIe there are no native atomic operations between GPUs.
bool all_joined_by_nvlink(const CudaInventory& devices) {
  for (const CudaDevice& from : devices) {
    for (const CudaDevice& to : devices) {
      if (from.ordinal == to.ordinal) continue;
      int native = 0;
      ensure(CONFORMANCE_CALL(cudaDeviceGetP2PAttribute(
          &native, cudaDevP2PAttrNativeAtomicSupported, from.ordinal, to.ordinal)));
      if (native == 0) return false;
    }
  }
  return true;
}

/// GB/s of each GPU copying to the next one, all at once: what a ring has for its links. Access to
/// the peer stays enabled: NCCL may have come to rely on it.
Figure ring_of_copies(Ranks& ranks) {
  constexpr int kCopies = 4;
  const auto next = [&](int local) { return (local + 1) % ranks.count(); };
  std::vector<std::byte*> from;
  std::vector<std::byte*> to;
  std::size_t bytes = 512 * kMebi;
  ranks.for_each([&](Participant& one, int local) {
    from.push_back(one.input());
    to.push_back(one.output());
    bytes = std::min(bytes, one.bytes());
    const cudaError_t enabled =
        cudaDeviceEnablePeerAccess(ranks.clique().device(next(local)).ordinal, 0);
    cudaGetLastError();
    if (enabled != cudaErrorPeerAccessAlreadyEnabled) ensure(CONFORMANCE_CALL(enabled));
  });
  Figure figure{
      .name = "ring-copy-bandwidth",
      .unit = "GB/s",
      .subject = ranks.subject(),
      .samples = {},
      .formula = fmt::format("{} x {} bytes / seconds of cudaMemcpyPeerAsync from each GPU to the "
                             "next one, all at once, on the slowest",
                             kCopies, bytes)};
  Intervals intervals(ranks);
  const auto copy = [&] {
    ranks.for_each([&](Participant&, int local) {
      const auto other = static_cast<std::size_t>(next(local));
      ensure(CONFORMANCE_CALL(cudaMemcpyPeerAsync(
          to[other], ranks.clique().device(next(local)).ordinal,
          from[static_cast<std::size_t>(local)], ranks.clique().device(local).ordinal, bytes,
          ranks.clique().stream(local).get())));
    });
  };
  for (int sample = 0; sample < 3; ++sample) {
    copy();
    intervals.start();
    for (int i = 0; i < kCopies; ++i) copy();
    intervals.end();
    ranks.wait("copies from each GPU to the next one");
    const std::vector<double> seconds = intervals.seconds();
    figure.samples.push_back(kCopies * static_cast<double>(bytes) /
                             *std::max_element(seconds.begin(), seconds.end()) * 1e-9);
  }
  return figure;
}

std::optional<Floor> floor_from(const Figure& ring) {
  return Floor{
      kShareOfRing * ring.value(),
      fmt::format("{} of the {:.4g} GB/s that each GPU copies to the next one, all at once",
                  kShareOfRing, ring.value())};
}

TEST_F(Speed, LargeCollectivesAreRightAndAsFastAsTheirLinks) {
  claim(
      "Collectives of large buffers are right back to back, and use the links between the GPUs and "
      "not the host's memory",
      "NCCL: Collective Communication Functions; Environment Variables (NCCL_P2P_DISABLE: "
      "peer-to-peer transport is used where it is possible)");
  const CudaInventory& devices = require(Devices{2});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = ranks(devices);
    Intervals intervals(all);
    // Before the first collective nothing else uses the links.
    std::optional<Floor> floor;
    if (all_joined_by_nvlink(devices)) {
      const Figure ring = ring_of_copies(all);
      record(ring);
      floor = floor_from(ring);
    }
    std::string transports;
    for (const Collective* const collective : kTimed) {
      const Case what = sized(*collective, scaled_to(2 * kFigureBytes, devices) / 2, devices);
      const double bytes = data_bytes(what, all.count());
      const double factor = collective->bus_factor(all.count());
      std::vector<double> algorithm;
      std::vector<double> bus;
      time_one(all, intervals, what, 1);
      for (int sample = 0; sample < kSamples; ++sample) {
        algorithm.push_back(bytes / time_one(all, intervals, what, kBatch) * 1e-9);
        bus.push_back(factor * algorithm.back());
      }
      const std::string formula = fmt::format(
          "{:.0f} bytes / seconds of one {}, the mean of {} back to back on the slowest rank",
          bytes, collective->name, kBatch);
      record(Figure{.name = fmt::format("{}-algorithm-bandwidth", collective->name),
                    .unit = "GB/s",
                    .subject = all.subject(),
                    .samples = algorithm,
                    .formula = formula});
      const Figure figure{.name = fmt::format("{}-bus-bandwidth", collective->name),
                          .unit = "GB/s",
                          .subject = all.subject(),
                          .samples = bus,
                          .formula = fmt::format("{:.6g} x {}", factor, formula),
                          .floor = floor};
      Evidence seen;
      if (floor && !(figure.value() >= floor->value)) {
        if (transports.empty()) {
          transports = transports_in_use();
          fact("nccl.transports", transports);
        }
        seen.add("transports", transports).add("environment", nccl_environment());
      }
      record(figure, slow, seen);
    }
  });
}

TEST_F(Speed, SmallCollectivesAreRightAndTimed) {
  claim("Collectives of a few bytes are right when they follow each other at once",
        "NCCL: Collective Communication Functions, Using NCCL with CUDA Graphs");
  constexpr int kInGraph = 10;
  constexpr int kLaunches = 4;
  const CudaInventory& devices = require(Devices{2});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = ranks(devices);
    Intervals intervals(all);
    for (const Collective* const collective : kTimed) {
      Case what = all.fresh({.collective = collective, .count = 2});
      all.run(what);
      all.finish();
      // In a graph, so that the GPUs' time is seen and not that of the launching thread.
      std::vector<GraphExecutable> graphs;
      {
        std::vector<std::unique_ptr<StreamCapture>> captures;
        all.for_each([&](Participant&, int local) {
          captures.push_back(std::make_unique<StreamCapture>(all.clique().stream(local),
                                                             cudaStreamCaptureModeRelaxed));
        });
        for (int i = 0; i < kInGraph; ++i) all.launch(what);
        all.for_each([&](Participant&, int local) {
          graphs.emplace_back(captures[static_cast<std::size_t>(local)]->end());
        });
      }
      all.for_each([&](Participant&, int local) {
        ensure(CONFORMANCE_CALL(cudaGraphUpload(graphs[static_cast<std::size_t>(local)].get(),
                                                all.clique().stream(local).get())));
      });
      all.wait("cudaGraphUpload");
      Figure figure{.name = fmt::format("{}-latency", collective->name),
                    .unit = "us",
                    .subject = all.subject(),
                    .samples = {},
                    .formula = fmt::format("seconds of a graph of {} with 8 bytes for each rank / "
                                           "{}, on the rank that began last",
                                           kInGraph, kInGraph)};
      for (int sample = 0; sample < kLaunches; ++sample) {
        what = all.fresh(what);
        all.prepare(what);
        intervals.start();
        all.for_each([&](Participant&, int local) {
          graphs[static_cast<std::size_t>(local)].launch(all.clique().stream(local));
        });
        intervals.end();
        all.wait(what.text());
        const std::vector<double> seconds = intervals.seconds();
        all.check(what);
        all.finish();
        if (sample == 0) continue;  // warm-up
        // All end together: the least time is that of the rank that waited for no other.
        figure.samples.push_back(*std::min_element(seconds.begin(), seconds.end()) / kInGraph *
                                 1e6);
      }
      record(figure);
    }
  });
}

TEST_F(Speed, AllReduceOfEverySizeIsRightAndTimed) {
  claim("ncclAllReduce is right at every size from 8 bytes to 4 GiB, whichever way NCCL chooses",
        "NCCL: ncclAllReduce");
  const CudaInventory& devices = require(Devices{2});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = ranks(devices);
    Intervals intervals(all);
    std::string sizes;
    for (std::size_t bytes = 8; bytes <= kMostBytes; bytes *= 2) {
      const Case what = sized(kAllReduce, bytes, devices);
      if (what.count * sizeof(float) < bytes) break;
      // Small ones are over before the next one is launched; their time is the host's.
      const double seconds = time_one(all, intervals, what, kBatch);
      const double bus =
          kAllReduce.bus_factor(all.count()) * static_cast<double>(bytes) / seconds * 1e-9;
      sizes += fmt::format("{}{}: {:.1f} us", sizes.empty() ? "" : ", ", bytes, seconds * 1e6);
      if (bytes < 64 * kMebi) continue;
      record(Figure{.name = "all-reduce-sweep-bus-bandwidth",
                    .unit = "GB/s",
                    .subject = {"communicator", fmt::format("communicator of {} GPUs, {} MiB",
                                                            all.count(), bytes / kMebi)},
                    .samples = {bus},
                    .formula = fmt::format("2(n-1)/n x {} bytes / seconds of one all-reduce, the "
                                           "mean of {} back to back on the slowest rank, n = {}",
                                           bytes, kBatch, all.count())});
    }
    fact("nccl.all-reduce-sweep", sizes);
  });
}

}  // namespace
}  // namespace conformance::nccl
