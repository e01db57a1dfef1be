#include "suites/peer/pairs.h"

#include <algorithm>
#include <cstdio>
#include <mutex>

#include <fmt/format.h>

#include "suites/peer/findings.h"

namespace conformance::peer {
namespace {

void report(cudaError_t error, const char* call) {
  if (error != cudaSuccess) {
    fmt::print(stderr, "conformance: {} in a destructor: {}\n", call, cudaGetErrorName(error));
  }
}

}  // namespace

CurrentDevice::CurrentDevice(const CudaDevice& device) {
  ensure(CONFORMANCE_CALL(cudaGetDevice(&before_)));
  ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
}

CurrentDevice::~CurrentDevice() { report(cudaSetDevice(before_), "cudaSetDevice"); }

PeerAccess::PeerAccess(const CudaDevice& device, const CudaDevice& owner)
    : device_(device.ordinal), owner_(owner.ordinal) {
  const CurrentDevice current(device);
  const Status status = CONFORMANCE_CALL(cudaDeviceEnablePeerAccess(owner.ordinal, 0));
  if (status.ok()) return;
  cudaGetLastError();  // taken; it must not be the next call's "last error"
  fail_and_end(Finding(enable_refused, OrderedPair{device, owner}.subject(), status.describe(),
                       {{"call", "cudaDeviceEnablePeerAccess"},
                        {"expected", "cudaSuccess"},
                        {"found", status.name()}}));
}

PeerAccess::~PeerAccess() {
  int before = 0;
  report(cudaGetDevice(&before), "cudaGetDevice");
  report(cudaSetDevice(device_), "cudaSetDevice");
  report(cudaDeviceDisablePeerAccess(owner_), "cudaDeviceDisablePeerAccess");
  report(cudaSetDevice(before), "cudaSetDevice");
}

bool is_refusal(cudaError_t answer) {
  return answer == cudaErrorInvalidDevice || answer == cudaErrorPeerAccessUnsupported;
}

bool can_access(const CudaDevice& device, const CudaDevice& owner) {
  int answer = 0;
  ensure(CONFORMANCE_CALL(cudaDeviceCanAccessPeer(&answer, device.ordinal, owner.ordinal)));
  return answer == 1;
}

Pattern pattern_of(const OrderedPair& pair) {
  // Far apart: neighbouring seeds would give the same words, moved by a few places.
  const auto number = static_cast<std::uint64_t>(pair.from.ordinal) << 32 |
                      static_cast<std::uint64_t>(pair.to.ordinal);
  return {.seed = kernels::pattern_word(number, Session::current().settings().seed)};
}

std::size_t words_for(const OrderedPair& pair, std::size_t wanted_bytes) {
  return scaled_bytes(wanted_bytes, std::min(pair.from.total_memory, pair.to.total_memory)) /
         sizeof(std::uint64_t);
}

OwnedMemory::OwnedMemory(const CudaDevice& owner, std::size_t words)
    : OwnedMemory(owner, words, CurrentDevice(owner)) {}

OwnedMemory::OwnedMemory(const CudaDevice& owner, std::size_t words, const CurrentDevice&)
    : owner_(owner), check_(stream_), memory_(words) {}

void OwnedMemory::fill(const Pattern& pattern) {
  const CurrentDevice current(owner_);
  conformance::fill(memory_.data(), memory_.size(), pattern, stream_);
  synchronize(stream_, owner_.subject());
}

void OwnedMemory::poison() {
  const CurrentDevice current(owner_);
  ensure(CONFORMANCE_CALL(cudaMemsetAsync(memory_.data(), 0xA5, memory_.bytes(), stream_.get())));
  synchronize(stream_, owner_.subject());
}

void OwnedMemory::expect(const Pattern& pattern, const OrderedPair& pair, const FindingKind& kind,
                         std::string_view what) {
  const CurrentDevice current(owner_);
  check_.compare(memory_.data(), memory_.size(), pattern);
  const kernels::PatternMismatch mismatch = check_.result(owner_.subject());
  conformance::expect(mismatch.count == 0, mismatch_finding(kind, pair.subject(), what, mismatch,
                                                            memory_.size(), pattern));
}

Rounds one_way(const Rounds& rounds) {
  Rounds there;
  for (std::size_t i = 0; i < rounds.size(); i += 2) there.push_back(rounds[i]);
  return there;
}

MutualAccess::MutualAccess(const Rounds& rounds) {
  std::mutex mutex;
  for_each_round(one_way(rounds), [&](const OrderedPair& pair) {
    for (const OrderedPair& way : {pair, OrderedPair{pair.to, pair.from}}) {
      const std::lock_guard lock(mutex);
      each_.emplace_back(way.from, way.to);
    }
  });
}

Rounds PeerTest::require_pairs() { return disjoint_rounds(require(Devices{2})); }

Rounds PeerTest::require_connected_pairs() {
  Rounds connected = require_pairs();
  guarded(host_subject(), [&] {
    for (std::vector<OrderedPair>& round : connected) {
      std::erase_if(round, [](const OrderedPair& pair) {
        return !can_access(pair.from, pair.to) || !can_access(pair.to, pair.from);
      });
    }
  });
  std::erase_if(connected, [](const auto& round) { return round.empty(); });
  if (connected.empty()) {
    skip("cudaDeviceCanAccessPeer says of no pair of GPUs that both may access the other's memory");
  }
  return connected;
}

const Topology& PeerTest::topology_of(const CudaInventory& devices) {
  static const Topology topology = Topology::read(devices);
  return topology;
}

}  // namespace conformance::peer
