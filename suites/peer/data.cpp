// Does every word that one GPU sends to another arrive, whatever the way it takes?

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "fixtures/deadline.h"
#include "kernels/peer_probe.h"
#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"

namespace conformance::peer {
namespace {

constexpr std::size_t kBytes = std::size_t{256} << 20;

/// Copies between the pair by both calls that can, into poisoned memory, which its owner compares.
void copy_and_compare(const OrderedPair& pair, bool with_access) {
  const Pattern pattern = pattern_of(pair);
  const std::size_t words = words_for(pair, kBytes);
  OwnedMemory source(pair.from, words), target(pair.to, words);
  const Stream stream;
  source.fill(pattern);

  const auto expect_copied = [&](std::string_view call) {
    synchronize(stream, pair.subject());
    target.expect(pattern, pair, copy_wrong,
                  fmt::format("{} {} peer access", call, with_access ? "with" : "without"));
  };

  target.poison();
  ensure(CONFORMANCE_CALL(cudaMemcpyPeerAsync(target.data(), pair.to.ordinal, source.data(),
                                              pair.from.ordinal, source.bytes(), stream.get())));
  expect_copied("cudaMemcpyPeerAsync");

  target.poison();
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(target.data(), source.data(), source.bytes(),
                                          cudaMemcpyDefault, stream.get())));
  expect_copied("cudaMemcpyAsync");
  verified(2 * words, "words copied");
}

TEST_F(Data, CopiesWithoutPeerAccessArriveWordForWord) {
  claim("Memory can be copied between any two devices, also where peer access is not enabled",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  for_each_round(require_pairs(), [](const OrderedPair& pair) { copy_and_compare(pair, false); });
}

TEST_F(Data, CopiesWithPeerAccessArriveWordForWord) {
  claim("Memory can be copied between two devices with peer access, without a way through the host",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Copy");
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const PeerAccess access(pair.from, pair.to);
    copy_and_compare(pair, true);
  });
}

TEST_F(Data, StoresToAPeerAreSeenByItsOwner) {
  claim("A kernel's stores to a peer's memory are seen by the owner once the kernel is done",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const Pattern pattern = pattern_of(pair);
    const PeerAccess access(pair.from, pair.to);
    OwnedMemory target(pair.to, words_for(pair, kBytes));
    target.poison();
    const Stream stream;
    fill(target.data(), target.size(), pattern, stream);
    synchronize(stream, pair.subject());
    target.expect(pattern, pair, store_lost, "stores by a kernel of the peer");
    verified(target.size(), "words stored");
  });
}

TEST_F(Data, LoadsFromAPeerReturnWhatItsOwnerWrote) {
  claim("A kernel's loads from a peer's memory return what the owner wrote before",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  // The data moves from -> to, as in every pair, so here it is `to` that needs access.
  for_each_round(require_connected_pairs(), [](const OrderedPair& pair) {
    const Pattern pattern = pattern_of(pair);
    const PeerAccess access(pair.to, pair.from);
    OwnedMemory source(pair.from, words_for(pair, kBytes));
    source.fill(pattern);
    const CurrentDevice reader(pair.to);
    const Stream stream;
    PatternCheck check(stream);
    check.expect(source.data(), source.size(), pattern, load_wrong, pair.subject(),
                 "loads by a kernel of the peer");
    verified(source.size(), "words loaded");
  });
}

/// A GPU other than the pair's that can access the memory of pair.to; null if there is none.
const CudaDevice* find_third(const OrderedPair& pair, const CudaInventory& devices) {
  for (std::size_t i = 1; i < devices.size(); ++i) {
    // Not the same one for all pairs.
    const std::size_t place = (static_cast<std::size_t>(pair.to.ordinal) + i) % devices.size();
    const CudaDevice& third = devices[place];
    if (third.ordinal != pair.from.ordinal && can_access(third, pair.to)) return &third;
  }
  return nullptr;
}

TEST_F(Data, AThirdGpuLoadsWhatAPeerStoredLast) {
  claim("Once a kernel's stores to a peer's memory are done, every device with access loads them",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access; Memory Synchronization Domains");
  const CudaInventory& devices = require(Devices{3});
  for_each_round(require_connected_pairs(), [&](const OrderedPair& pair) {
    const CudaDevice* const third = find_third(pair, devices);
    if (third == nullptr) return;
    const OrderedPair seen{pair.to, *third};
    const Pattern pattern = pattern_of(pair);
    const PeerAccess store(pair.from, pair.to);
    const PeerAccess load(*third, pair.to);
    const Stream stream;
    // Small enough to stay in the caches on the way.
    OwnedMemory target(pair.to, words_for(pair, std::size_t{16} << 20));
    const CurrentDevice reader(*third);
    const Stream reader_stream;
    PatternCheck check(reader_stream);
    target.fill(pattern.complement());
    check.expect(target.data(), target.size(), pattern.complement(), load_wrong, seen.subject(),
                 "loads by a kernel of a third GPU, before the stores");
    {
      const CurrentDevice writer(pair.from);
      fill(target.data(), target.size(), pattern, stream);
      synchronize(stream, pair.subject());
    }
    check.expect(
        target.data(), target.size(), pattern, stale_load, seen.subject(),
        fmt::format("loads by a kernel of a third GPU after stores by GPU {}", pair.from.ordinal));
    verified(2 * target.size(), "words loaded");
  });
}

/// What two GPUs' contend_in_system left behind is compared with what it must be.
void expect_exact(const OrderedPair& pair, const kernels::SharedCounters& counters,
                  std::span<const std::uint32_t> holders, std::span<const std::uint32_t> slots) {
  const auto threads = static_cast<unsigned>(holders.size());
  std::vector<char> seen(threads, 0);
  std::uint64_t doubles = 0;
  for (const std::uint32_t number : holders) {
    if (number >= threads || seen[number] != 0) ++doubles;
    if (number < threads) seen[number] = 1;
  }
  std::uint64_t unclaimed = 0;
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] == 0 || (slots[slot] - 1) % slots.size() != slot) ++unclaimed;
  }
  const unsigned long long sum = std::uint64_t{threads} * (threads - 1) / 2;
  const bool exact = counters.sum == sum && counters.tickets == threads &&
                     counters.highest == threads - 1 && counters.winners == slots.size() &&
                     doubles == 0 && unclaimed == 0;
  expect(exact,
         Finding(atomic_wrong, pair.subject(),
                 fmt::format(
                     "{} threads of both GPUs at once: sum {} (should be {}), {} tickets drawn, "
                     "{} of them not by one thread each, highest number {}, {} of {} slots "
                     "claimed, {} of them wrongly",
                     threads, counters.sum, sum, counters.tickets, doubles, counters.highest,
                     counters.winners, slots.size(), unclaimed),
                 Evidence{}
                     .add("threads", threads)
                     .add("sum", counters.sum)
                     .add("expected_sum", sum)
                     .add("tickets", counters.tickets)
                     .add("doubles", doubles)
                     .add("winners", counters.winners)));
}

TEST_F(Data, AtomicOperationsOfTwoGpusOnOneMemoryAreExact) {
  claim(
      "Atomic functions of system scope are atomic for the threads of all devices, where "
      "cudaDevP2PAttrNativeAtomicSupported says so for a peer's memory",
      "CUDA C++ Programming Guide: Atomic Functions; CUDA Runtime API: cudaDeviceGetP2PAttribute");
  constexpr unsigned kEach = 2048;  // threads of each GPU
  constexpr unsigned kSlots = 512;
  std::atomic<int> pairs = 0;
  for_each_round(require_connected_pairs(), [&](const OrderedPair& pair) {
    int native = 0;
    ensure(CONFORMANCE_CALL(cudaDeviceGetP2PAttribute(&native, cudaDevP2PAttrNativeAtomicSupported,
                                                      pair.from.ordinal, pair.to.ordinal)));
    if (native == 0) return;
    ++pairs;
    const PeerAccess access(pair.from, pair.to);
    const Stream peer_stream;
    const CurrentDevice owner(pair.to);
    const Stream stream;
    DeviceResult<kernels::SharedCounters> counters(stream);
    const DeviceBuffer<std::uint32_t> holders(std::size_t{2} * kEach), slots(kSlots);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(holders.data(), 0xff, holders.bytes(), stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(slots.data(), 0, slots.bytes(), stream.get())));
    synchronize(stream, pair.to.subject());
    ensure(CONFORMANCE_CALL(kernels::contend_in_system(
        counters.data(), holders.data(), slots.data(), kSlots, 0, kEach, stream.get())));
    {
      const CurrentDevice peer(pair.from);
      ensure(CONFORMANCE_CALL(kernels::contend_in_system(
          counters.data(), holders.data(), slots.data(), kSlots, kEach, kEach, peer_stream.get())));
    }
    synchronize(peer_stream, pair.subject());
    const PinnedBuffer<std::uint32_t> seen(holders.size() + slots.size());
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(seen.data(), holders.data(), holders.bytes(),
                                            cudaMemcpyDeviceToHost, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(seen.data() + holders.size(), slots.data(),
                                            slots.bytes(), cudaMemcpyDeviceToHost, stream.get())));
    expect_exact(pair, counters.take(pair.subject()), seen.span().first(holders.size()),
                 seen.span().last(slots.size()));
    verified(2 * kEach, "threads");
  });
  if (pairs == 0) {
    skip("cudaDevP2PAttrNativeAtomicSupported is 0 for every pair with access");
  }
}

TEST_F(Data, AFlagIsNotSeenBeforeTheDataThatItAnnounces) {
  claim(
      "What a thread stores to a peer before a fence of system scope is seen by whoever sees what "
      "it stores after it, behind a fence of its own",
      "CUDA C++ Programming Guide: Memory Fence Functions, __threadfence_system");
  constexpr unsigned kParcels = 64;
  for_each_round(require_connected_pairs(), [&](const OrderedPair& pair) {
    const std::uint64_t seed = pattern_of(pair).seed;
    const PeerAccess access(pair.from, pair.to);
    const Stream peer_stream;
    const CurrentDevice owner(pair.to);
    const Stream stream;
    DeviceResult<kernels::HandOverReport> report(stream);
    const DeviceBuffer<kernels::HandOver> place(1);
    const auto patience = [](const CudaDevice& device) {
      return static_cast<long long>(deadline_of(std::chrono::seconds(5)).count()) *
             device.clock_khz;
    };
    // With no parcels first: a kernel that is loaded only now must not hold the other one up.
    for (const unsigned parcels : {0u, kParcels}) {
      ensure(CONFORMANCE_CALL(cudaMemsetAsync(place.data(), 0, place.bytes(), stream.get())));
      synchronize(stream, pair.to.subject());
      ensure(CONFORMANCE_CALL(kernels::receive_parcels(report.data(), place.data(), parcels, seed,
                                                       patience(pair.to), stream.get())));
      const CurrentDevice peer(pair.from);
      ensure(CONFORMANCE_CALL(kernels::send_parcels(place.data(), parcels, seed,
                                                    patience(pair.from), peer_stream.get())));
      synchronize(peer_stream, pair.subject());
      const CurrentDevice back(pair.to);
      synchronize(stream, pair.to.subject());
    }
    const kernels::HandOverReport seen = report.take(pair.subject());
    expect(seen.compared == kParcels,
           Finding(store_lost, pair.subject(),
                   fmt::format("of {} flags that a kernel stored to the peer, {} were seen in time",
                               kParcels, seen.compared),
                   Evidence{}.add("stored", kParcels).add("seen", seen.compared)));
    expect(seen.wrong == 0,
           Finding(order_wrong, pair.subject(),
                   fmt::format("{} words were not there yet when their flag was; first for flag {}",
                               seen.wrong, seen.first_parcel),
                   Evidence{}
                       .add("wrong_words", seen.wrong)
                       .add("first_flag", seen.first_parcel)
                       .add("flags", kParcels)));
    verified(std::uint64_t{seen.compared} * kernels::kParcelWords, "words behind flags");
  });
}

}  // namespace
}  // namespace conformance::peer
