#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {
namespace {

class Bandwidth : public GpuTest {};

constexpr int kWarmUps = 2;
constexpr int kSamples = 9;
/// All-reduces per sample, one behind the other, so that the time to launch is hidden.
constexpr int kBatch = 4;

struct Interval {
  Event start, end;
};

/// The time of one all-reduce: that of the slowest rank.
double timed(Ranks& ranks, std::vector<Interval>& intervals, const Case& what) {
  const NcclClique& clique = ranks.clique();
  for (int rank = 0; rank < clique.size(); ++rank) {
    intervals[static_cast<std::size_t>(rank)].start.record(clique.stream(rank));
  }
  for (int i = 0; i < kBatch; ++i) ranks.launch(what);
  for (int rank = 0; rank < clique.size(); ++rank) {
    intervals[static_cast<std::size_t>(rank)].end.record(clique.stream(rank));
  }
  ranks.wait(what.text());
  double slowest = 0;
  for (const Interval& interval : intervals) {
    slowest = std::max(slowest, Event::seconds(interval.start, interval.end));
  }
  return slowest / kBatch;
}

TEST_F(Bandwidth, LargeSumsAreRightAtFullSpeed) {
  claim("ncclAllReduce of large buffers is right when it runs back to back, at the speed recorded",
        "NCCL: ncclAllReduce");
  const CudaInventory& devices = require(Devices{2});
  const Subject all{"communicator", "all GPUs"};
  guarded(all, [&] {
    const std::size_t memory = scaled_to(std::size_t{1} << 30, devices);
    Ranks ranks(devices, memory);
    const Case sum{.count = Participant::greatest_count({}, memory, ranks.count())};
    std::vector<Interval> intervals;
    for (const CudaDevice& device : devices) {
      ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
      intervals.emplace_back();
    }
    const double bytes = static_cast<double>(sum.count * sizeof(float));
    const double links = 2.0 * (ranks.count() - 1) / ranks.count();
    Figure figure{.name = "all-reduce-bus-bandwidth",
                  .unit = "GB/s",
                  .subject = ranks.subject(),
                  .samples = {},
                  .formula = fmt::format("2(n-1)/n · {} bytes / time of one all-reduce on the "
                                         "slowest rank, n = {}, {} back to back",
                                         sum.count * sizeof(float), ranks.count(), kBatch)};
    for (int i = 0; i < kWarmUps + kSamples; ++i) {
      const Case own = ranks.fresh(sum);
      ranks.prepare(own);
      const double seconds = timed(ranks, intervals, own);
      ranks.check(own);
      ranks.finish();
      if (i >= kWarmUps) figure.samples.push_back(links * bytes / seconds * 1e-9);
    }
    record(figure);
  });
}

}  // namespace
}  // namespace conformance::nccl
