#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string_view>
#include <vector>

#include "fixtures/cuda_pattern.h"
#include "fixtures/gpu_test.h"
#include "suites/peer/topology.h"

namespace conformance::peer {

/// Makes a device current on this thread, and the one before it again at the end of the scope.
class CurrentDevice {
 public:
  /// Throws StatusError.
  explicit CurrentDevice(const CudaDevice& device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int before_ = 0;
};

/// Lets `device` access the memory of `owner`, until the end of the scope. The pair must not have
/// access yet: every test leaves the process without any.
class PeerAccess {
 public:
  /// A refusal is the finding peer.enable-refused and ends the test.
  PeerAccess(const CudaDevice& device, const CudaDevice& owner);
  ~PeerAccess();
  PeerAccess(const PeerAccess&) = delete;
  PeerAccess& operator=(const PeerAccess&) = delete;

 private:
  int device_;
  int owner_;
};

/// What cudaDeviceCanAccessPeer answers; throws StatusError.
bool can_access(const CudaDevice& device, const CudaDevice& owner);

/// Whether `answer` is one of the two documented answers to enabling access that is not to be had:
/// the page of cudaDeviceEnablePeerAccess names cudaErrorInvalidDevice, the list of errors
/// cudaErrorPeerAccessUnsupported, which is what drivers return.
bool is_refusal(cudaError_t answer);

/// The pattern that data of this pair has: its own, so that another pair's data does not pass.
Pattern pattern_of(const OrderedPair& pair);

/// How many words a test moves over a pair, if it would like to move `wanted_bytes`.
std::size_t words_for(const OrderedPair& pair, std::size_t wanted_bytes);

/// Memory of one device, with that device's own means to fill, poison and compare it. Its
/// functions may be called while any device is current.
class OwnedMemory {
 public:
  /// Not initialised. Throws StatusError.
  OwnedMemory(const CudaDevice& owner, std::size_t words);
  std::uint64_t* data() const { return memory_.data(); }
  std::size_t size() const { return memory_.size(); }
  std::size_t bytes() const { return memory_.bytes(); }

  /// The owner writes the pattern, or poison, and waits.
  void fill(const Pattern& pattern);
  void poison();
  /// The owner compares and waits; a difference is a finding. `what` says how the words came.
  void expect(const Pattern& pattern, const OrderedPair& pair, const FindingKind& kind,
              std::string_view what);

 private:
  OwnedMemory(const CudaDevice& owner, std::size_t words, const CurrentDevice& owner_is_current);

  const CudaDevice& owner_;
  Stream stream_;
  PatternCheck check_;
  DeviceBuffer<std::uint64_t> memory_;
};

using Rounds = std::vector<std::vector<OrderedPair>>;

/// Of rounds that go there and back in turn, those that go there.
Rounds one_way(const Rounds& rounds);

/// Access between the GPUs of all these pairs, both ways, until the end of the scope.
class MutualAccess {
 public:
  /// As PeerAccess.
  explicit MutualAccess(const Rounds& rounds);

 private:
  std::list<PeerAccess> each_;
};

/// Base of the tests that need pairs.
class PeerTest : public GpuTest {
 protected:
  /// Every ordered pair in rounds of disjoint pairs; skips the test if there is none.
  Rounds require_pairs();
  /// Only the pairs whose GPUs may both access the other's memory; skips the test if there is none.
  Rounds require_connected_pairs();
  /// What NVML says of the process's GPUs: read once, since it takes NVML a while.
  static const Topology& topology_of(const CudaInventory& devices);
};

/// The tests of the group Data, which are in several files.
class Data : public PeerTest {};

}  // namespace conformance::peer
