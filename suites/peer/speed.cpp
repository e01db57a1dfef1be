// How fast is the way from each GPU to each other, and is it right at that speed?

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "kernels/peer_probe.h"
#include "suites/peer/findings.h"
#include "suites/peer/schedule.h"
#include "suites/peer/transfers.h"

namespace conformance::peer {
namespace {

using Engine = Way::Engine;
using Maker = Way::Maker;

constexpr std::size_t kMebi = std::size_t{1} << 20;

/// A kind of figure of pairs.
struct Kind {
  const char* name;
  Way way;
  bool both_ways;
  const char* transfers;  ///< "cudaMemcpyPeerAsync in a stream of the source"
  double share_of_nvlink;
  double share_of_switch;  ///< of one PCIe switch; 0: no floor
  const FindingKind& slow;
};

constexpr Kind kCopyWrite{"peer-copy-write-bandwidth",
                          {Engine::copy_engine, Maker::source},
                          false,
                          "cudaMemcpyPeerAsync in a stream of the source",
                          0.75,
                          0.5,
                          slow};
constexpr Kind kCopyRead{"peer-copy-read-bandwidth",
                         {Engine::copy_engine, Maker::target},
                         false,
                         "cudaMemcpyPeerAsync in a stream of the target",
                         0.75,
                         0.5,
                         slow};
constexpr Kind kCopyBothWays{
    "peer-copy-both-ways-bandwidth",
    {Engine::copy_engine, Maker::source},
    true,
    "cudaMemcpyPeerAsync by both GPUs at once, each in a stream of its own",
    0.75,
    0,
    slow_both_ways};
constexpr Kind kStore{"peer-store-bandwidth",
                      {Engine::multiprocessors, Maker::source},
                      false,
                      "a kernel that loads its own GPU's memory and stores to the peer",
                      0.65,
                      0,
                      slow};
constexpr Kind kLoad{"peer-load-bandwidth",
                     {Engine::multiprocessors, Maker::target},
                     false,
                     "a kernel that loads the peer's memory and stores to its own GPU",
                     0.65,
                     0,
                     slow};
constexpr Kind kStoreBothWays{"peer-store-both-ways-bandwidth",
                              {Engine::multiprocessors, Maker::source},
                              true,
                              "a kernel of each GPU that stores to the other",
                              0.65,
                              0,
                              slow_both_ways};

constexpr Kind kLoadBothWays{
    "peer-load-both-ways-bandwidth",
    {Engine::multiprocessors, Maker::target},
    true,
    "a kernel of each GPU that loads from the other",
    0.55,  // requests for loads take their part of what both directions carry
    0,
    slow_both_ways};

/// What all GPUs at once must reach of what their NVLinks carry: less than a pair alone, since the
/// switches have more to arbitrate.
constexpr double kShareOfFabric = 0.65;

/// What a load may take at most, in latencies of like pairs. Over one switch they differ by a few
/// percent; a link that retransmits, or a detour, costs more than half as much again.
constexpr double kMostLatency = 1.5;

/// What the pairs that can access each other are measured with, and that access.
struct Bench {
  Rounds rounds;
  const CudaInventory& devices;
  const Topology& topology;
  MutualAccess access{rounds};
  Stations stations{devices, 512 * kMebi};

  /// Measures and judges the pairs of `which` rounds.
  void measure(const Kind& kind, const Rounds& which) const;
};

class Speed : public PeerTest {
 protected:
  /// Skips the test if no pair has access.
  Bench require_bench() {
    Rounds rounds = require_connected_pairs();
    const CudaInventory& devices = require(Devices{2});
    return {std::move(rounds), devices, topology_of(devices)};
  }
};

/// Takes the samples of pairs that share no GPU, all at once.
void take_samples(const Kind& kind, const Stations& stations, std::span<PairFigure> figures) {
  Rounds round(1);
  for (const PairFigure& figure : figures) round.front().push_back(figure.pair);
  Rendezvous all(figures.size());
  for_each_round(round, [&](const OrderedPair& pair) {
    Rendezvous::Seat seat(all);
    Station& from = stations.of(pair.from);
    Station& to = stations.of(pair.to);
    const std::array both{Transfer{&from, &to, kind.way}, Transfer{&to, &from, kind.way}};
    figures[static_cast<std::size_t>(&pair - round.front().data())].samples =
        time_transfers(std::span(both).first(kind.both_ways ? 2 : 1), seat, kind.transfers);
  });
}

void Bench::measure(const Kind& kind, const Rounds& which) const {
  const auto sample = [&](std::span<PairFigure> pairs) { take_samples(kind, stations, pairs); };
  const int directions = kind.both_ways ? 2 : 1;
  std::vector<std::vector<PairFigure>> in_rounds;
  for (const std::vector<OrderedPair>& round : which) {
    in_rounds.emplace_back();
    for (const OrderedPair& pair : round) in_rounds.back().push_back({pair, topology.path(pair)});
  }
  const Schedule schedule = measure_rounds(in_rounds, sample);
  fact(fmt::format("peer.schedule.{}", kind.name), schedule.text());
  std::vector<PairFigure> figures;
  for (auto& round : in_rounds) std::move(round.begin(), round.end(), std::back_inserter(figures));

  const auto floor = [&](std::size_t index) {
    const Path::Kind path = figures[index].path.kind;
    const double share = path == Path::Kind::nvlink       ? kind.share_of_nvlink
                         : path == Path::Kind::one_switch ? kind.share_of_switch
                                                          : 0;
    return floor_of(figures, index, directions, share);
  };
  for (std::size_t i = 0; i < figures.size(); ++i) {
    PairFigure& figure = figures[i];
    if (const std::optional<Floor> least = floor(i);
        !figure.alone && least && figure.value() < least->value) {
      // What other pairs may have held up is not judged by that.
      sample({&figure, 1});
      figure.alone = true;
    }
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const PairFigure& figure = figures[i];
    record(Figure{.name = kind.name,
                  .unit = "GB/s",
                  .subject = figure.pair.subject(),
                  .samples = figure.samples,
                  .formula = fmt::format("{} x {} x {} bytes / seconds of {}", directions, kCopies,
                                         stations.of(figure.pair.from).out.front().bytes(),
                                         kind.transfers),
                  .limit = figure.path.limit(directions),
                  .floor = floor(i)},
           kind.slow, {{"path", figure.path.text()}, {"measured_alone", figure.alone}});
  }
}

/// The median of the figures of the other pairs like figures[which]; nothing if there are none, or
/// if NVML does not tell the path.
std::optional<double> median_of_like(std::span<const PairFigure> figures, std::size_t which) {
  const std::vector<double> others = like_figures(figures, which);
  return others.empty() ? std::nullopt : std::optional(median(others));
}

bool is_among(const OrderedPair& pair, const Rounds& rounds) {
  return std::any_of(rounds.begin(), rounds.end(), [&](const auto& round) {
    return std::any_of(round.begin(), round.end(), [&](const OrderedPair& one) {
      return one.from.ordinal == pair.from.ordinal && one.to.ordinal == pair.to.ordinal;
    });
  });
}

/// All GPUs together, as fast as the slowest of them lets them be.
Figure fabric_figure(std::span<const PairFigure> ring, std::size_t shift) {
  const auto gpus = static_cast<double>(ring.size());
  Figure figure{
      .name = "fabric-bandwidth",
      .unit = "GB/s",
      .subject = {"communicator",
                  fmt::format("all {} GPUs, each to the one {} further", gpus, shift)},
      .samples = std::vector(ring.front().samples.size(), std::numeric_limits<double>::infinity()),
      .formula = "GPUs x bytes / seconds of cudaMemcpyPeerAsync, on the slowest GPU"};
  double carried = std::numeric_limits<double>::infinity();
  bool nvlink = true;
  for (const PairFigure& pair : ring) {
    for (std::size_t i = 0; i < figure.samples.size(); ++i) {
      figure.samples[i] = std::min(figure.samples[i], gpus * pair.samples[i]);
    }
    carried = std::min(carried, gpus * pair.path.gigabytes);
    nvlink = nvlink && pair.path.kind == Path::Kind::nvlink;
  }
  // On PCIe the GPUs share switches and host bridges, as NVML does not tell.
  if (nvlink && carried > 0) {
    const std::string source = fmt::format("{} GPUs, each with {}", gpus, ring.front().path.source);
    figure.limit = Limit{carried, source};
    figure.floor = Floor{kShareOfFabric * carried,
                         fmt::format("{} of what the paths carry: {}", kShareOfFabric, source)};
  }
  return figure;
}

TEST_F(Speed, CopiesWithoutPeerAccessAreTimedAndRight) {
  claim("Memory can be copied between any two devices, also where peer access is not enabled",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  const Rounds rounds = require_pairs();
  const Stations stations(require(Devices{2}), 64 * kMebi);
  static constexpr const char* kWhat = "cudaMemcpyPeerAsync without peer access";
  for (const std::vector<OrderedPair>& round : rounds) {
    Rendezvous all(round.size());
    for_each_round({round}, [&](const OrderedPair& pair) {
      Rendezvous::Seat seat(all);
      const Transfer copy{&stations.of(pair.from), &stations.of(pair.to), Way{}};
      record(Figure{.name = "peer-copy-bandwidth-without-access",
                    .unit = "GB/s",
                    .subject = pair.subject(),
                    .samples = time_transfers({&copy, 1}, seat, kWhat),
                    .formula = "bytes / seconds of cudaMemcpyPeerAsync without peer access, all "
                               "pairs of a round at once"});
    });
  }
}

TEST_F(Speed, CopiesAreAsFastAsTheirPathAndRight) {
  claim("Memory can be copied between two devices with peer access, without a way through the host",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  const Bench bench = require_bench();
  fact("peer.paths", bench.topology.matrix());
  bench.measure(kCopyWrite, bench.rounds);
  bench.measure(kCopyRead, bench.rounds);
}

TEST_F(Speed, CopiesBothWaysAtOnceAreAsFastAsTheirPathAndRight) {
  claim("Copies between two devices in opposite directions run at the same time",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy; NVIDIA NVLink: bidirectional links");
  const Bench bench = require_bench();
  bench.measure(kCopyBothWays, one_way(bench.rounds));
}

TEST_F(Speed, KernelsReachPeersAsFastAsTheirPathAndRight) {
  claim("Kernels load and store a peer's memory directly over the link between the devices",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  const Bench bench = require_bench();
  bench.measure(kStore, bench.rounds);
  bench.measure(kLoad, bench.rounds);
  bench.measure(kStoreBothWays, one_way(bench.rounds));
  bench.measure(kLoadBothWays, one_way(bench.rounds));
}

/// Samples, in ns, of one load from the memory of pair.from by a thread on pair.to, each load at
/// the place that the one before it yielded.
std::vector<double> time_loads(const OrderedPair& pair) {
  constexpr unsigned kSamples = 3;
  // From different places of the GPU a load takes longer or less long, by some percent.
  constexpr unsigned kPlaces = 8;
  constexpr std::size_t kChainBytes = std::size_t{2} << 20;
  const std::size_t node_bytes = kernels::kNodeWords * sizeof(std::uint32_t);
  const auto nodes = static_cast<unsigned>(
      std::bit_floor(words_for(pair, kChainBytes) * sizeof(std::uint64_t) / node_bytes));
  const unsigned loads = std::min(nodes, 1024u);
  const auto multiprocessors = static_cast<unsigned>(pair.to.multiprocessors);

  const CurrentDevice owner(pair.from);
  const Stream owner_stream;
  const DeviceBuffer<std::uint32_t> chain(std::size_t{nodes} * kernels::kNodeWords);
  ensure(CONFORMANCE_CALL(kernels::link_chain(chain.data(), nodes, owner_stream.get())));
  synchronize(owner_stream, pair.from.subject());

  const CurrentDevice reader(pair.to);
  const Stream stream;
  DeviceResult<std::uint32_t> last(stream);
  Event start, end;
  unsigned node = 0;
  for (unsigned i = 0; i < loads; ++i) node = kernels::next_node(node, nodes);
  const std::uint32_t expected = node * kernels::kNodeWords;
  std::vector<double> samples;
  const auto load = [&](unsigned place) {
    const unsigned chosen = place * multiprocessors / (kSamples * kPlaces);
    ensure(CONFORMANCE_CALL(kernels::follow_chain(chain.data(), loads, multiprocessors, chosen,
                                                  last.data(), stream.get())));
  };
  load(0);  // warm-up
  for (unsigned sample = 0; sample < kSamples; ++sample) {
    start.record(stream);
    for (unsigned place = 0; place < kPlaces; ++place) load(place * kSamples + sample);
    end.record(stream);
    const std::uint32_t found = last.take(pair.subject());
    expect(found == expected,
           Finding(load_wrong, pair.subject(),
                   fmt::format("{} dependent loads ended at word {} instead of {}", loads, found,
                               expected),
                   Evidence{}.add("expected", expected).add("found", found)));
    verified(std::uint64_t{kPlaces} * loads, "loads");
    samples.push_back(Event::seconds(start, end) / (kPlaces * loads) * 1e9);
  }
  return samples;
}

TEST_F(Speed, ALoadFromAPeerTakesNoLongerThanBetweenLikePairs) {
  claim("A thread's loads from a peer's memory each take the time that the path takes",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  const Rounds rounds = require_connected_pairs();
  const Topology& topology = topology_of(require(Devices{2}));
  const MutualAccess access(rounds);
  std::vector<PairFigure> figures;
  for (const std::vector<OrderedPair>& round : rounds) {
    for (const OrderedPair& pair : round) {
      figures.push_back({pair, topology.path(pair), {}, true});
      for_each_round({{pair}}, [&](const auto& one) { figures.back().samples = time_loads(one); });
    }
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const PairFigure& figure = figures[i];
    record(Figure{.name = "peer-load-latency",
                  .unit = "ns",
                  .subject = figure.pair.subject(),
                  .samples = figure.samples,
                  .formula = "seconds of dependent loads by one thread / their number, each from a "
                             "line of its own, on 8 multiprocessors in turn, the pair alone"});
    const std::optional<double> like = median_of_like(figures, i);
    if (!like) continue;
    expect(figure.value() <= kMostLatency * *like,
           Finding(latency_high, figure.pair.subject(),
                   fmt::format("a load takes {:.0f} ns over {}, {:.0f} ns in the median of like "
                               "pairs",
                               figure.value(), figure.path.text(), *like),
                   {{"nanoseconds", figure.value()},
                    {"like_pairs", *like},
                    {"path", figure.path.text()}}));
  }
}

TEST_F(Speed, AllGpusSendAndReceiveAtOnceRightlyAndAsFastAsTheirPaths) {
  claim("All devices can copy to peers at the same time",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  const Bench bench = require_bench();
  const std::size_t gpus = bench.devices.size();
  bool any = false;
  for (std::size_t shift = 1; shift < gpus; ++shift) {
    std::vector<PairFigure> ring;
    for (std::size_t i = 0; i < gpus; ++i) {
      const OrderedPair pair{bench.devices[i], bench.devices[(i + shift) % gpus]};
      if (is_among(pair, bench.rounds)) ring.push_back({pair, bench.topology.path(pair)});
    }
    // Without access a copy goes through the host, and says nothing about the fabric.
    if (ring.size() < gpus) continue;
    any = true;
    take_samples(kCopyWrite, bench.stations, ring);
    record(fabric_figure(ring, shift), fabric_slow, {{"path", ring.front().path.text()}});
  }
  if (!any) skip("in no ring of all GPUs can each access the next one");
}

}  // namespace
}  // namespace conformance::peer
