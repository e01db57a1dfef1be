// Does peer access keep its word: can what is said to be possible be done, and undone?

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"
#include "suites/peer/topology.h"

namespace conformance::peer {
namespace {

class Access : public PeerTest {};

/// Expects `found` of a call about peer access, and that it is gone from the error state after it
/// was taken.
bool expect_code(const FindingKind& kind, const OrderedPair& pair, const char* call,
                 cudaError_t expected, cudaError_t found) {
  cudaGetLastError();
  verified(1, "calls");
  const bool right = expect(
      found == expected, Finding(kind, pair.subject(),
                                 fmt::format("{} returned {} instead of {}", call,
                                             cudaGetErrorName(found), cudaGetErrorName(expected)),
                                 {{"call", call},
                                  {"expected", cudaGetErrorName(expected)},
                                  {"found", cudaGetErrorName(found)}}));
  const cudaError_t left = cudaPeekAtLastError();
  return expect(left == cudaSuccess,
                Finding(wrong_error, pair.subject(),
                        fmt::format("{} left {} behind, after cudaGetLastError had taken it", call,
                                    cudaGetErrorName(left)),
                        {{"call", call}, {"found", cudaGetErrorName(left)}})) &&
         right;
}

TEST_F(Access, CallsThatNameNoPeerAreRefused) {
  claim("A device that does not exist, and access that was never enabled, each have a code",
        "CUDA Runtime API: cudaDeviceCanAccessPeer, cudaDeviceEnablePeerAccess, "
        "cudaDeviceDisablePeerAccess");
  const CudaInventory& devices = require(Devices{1});
  const int none = static_cast<int>(devices.size());
  for_each_device(devices, [&](const CudaDevice& device) {
    const auto expect_refusal = [&](const char* call, cudaError_t expected, cudaError_t found) {
      cudaGetLastError();  // expected; it must not be the next call's "last error"
      verified(1, "calls");
      expect(found == expected,
             Finding(wrong_error, device.subject(),
                     fmt::format("{} returned {} instead of {}", call, cudaGetErrorName(found),
                                 cudaGetErrorName(expected)),
                     {{"call", call},
                      {"expected", cudaGetErrorName(expected)},
                      {"found", cudaGetErrorName(found)}}));
    };
    int answer = 0;
    expect_refusal("cudaDeviceCanAccessPeer for a device that is none", cudaErrorInvalidDevice,
                   cudaDeviceCanAccessPeer(&answer, device.ordinal, none));
    expect_refusal("cudaDeviceEnablePeerAccess for a device that is none", cudaErrorInvalidDevice,
                   cudaDeviceEnablePeerAccess(none, 0));
    expect_refusal("cudaDeviceDisablePeerAccess for a device that is none", cudaErrorInvalidDevice,
                   cudaDeviceDisablePeerAccess(none));
    for (const CudaDevice& peer : devices) {
      if (peer.ordinal == device.ordinal || !can_access(device, peer)) continue;
      expect_refusal("cudaDeviceDisablePeerAccess before access was enabled",
                     cudaErrorPeerAccessNotEnabled, cudaDeviceDisablePeerAccess(peer.ordinal));
    }
  });
}

TEST_F(Access, WhatTheQueryPromisesCanBeEnabledAndDisabled) {
  claim(
      "Peer access can be enabled once and disabled once where cudaDeviceCanAccessPeer answers "
      "1, and is refused where it answers 0",
      "CUDA Runtime API: cudaDeviceEnablePeerAccess, cudaDeviceDisablePeerAccess");
  for_each_round(require_pairs(), [](const OrderedPair& pair) {
    const int owner = pair.to.ordinal;
    if (!can_access(pair.from, pair.to)) {
      const cudaError_t answer = cudaDeviceEnablePeerAccess(owner, 0);
      if (answer == cudaSuccess) {
        ensure(CONFORMANCE_CALL(cudaDeviceDisablePeerAccess(owner)));
      }
      cudaGetLastError();  // expected; it must not be the next call's "last error"
      expect(is_refusal(answer),
             Finding(wrong_error, pair.subject(),
                     fmt::format("cudaDeviceEnablePeerAccess returned {} for a pair without access "
                                 "instead of cudaErrorPeerAccessUnsupported or "
                                 "cudaErrorInvalidDevice",
                                 cudaGetErrorName(answer)),
                     {{"found", cudaGetErrorName(answer)}}));
      verified(1, "calls");
      return;
    }
    if (!expect_code(enable_refused, pair, "cudaDeviceEnablePeerAccess", cudaSuccess,
                     cudaDeviceEnablePeerAccess(owner, 0))) {
      return;
    }
    expect_code(wrong_error, pair, "cudaDeviceEnablePeerAccess, a second time,",
                cudaErrorPeerAccessAlreadyEnabled, cudaDeviceEnablePeerAccess(owner, 0));
    expect_code(wrong_error, pair, "cudaDeviceDisablePeerAccess", cudaSuccess,
                cudaDeviceDisablePeerAccess(owner));
    expect_code(wrong_error, pair, "cudaDeviceDisablePeerAccess, a second time,",
                cudaErrorPeerAccessNotEnabled, cudaDeviceDisablePeerAccess(owner));
    expect_code(wrong_error, pair, "cudaDeviceEnablePeerAccess with flags", cudaErrorInvalidValue,
                cudaDeviceEnablePeerAccess(owner, 1));
  });
}

TEST_F(Access, IsTheSameInBothDirections) {
  claim("Where one GPU can access another's memory, the other can access its memory too",
        "CUDA C++ Programming Guide: Peer-to-Peer Memory Access");
  require_pairs();
  const CudaInventory& devices = require(Devices{2});
  guarded(host_subject(), [&] {
    // One row for each accessing device, such as "-10 1-0 00-".
    std::string matrix;
    for (const CudaDevice& device : devices) {
      if (!matrix.empty()) matrix += ' ';
      for (const CudaDevice& owner : devices) {
        if (device.ordinal == owner.ordinal) {
          matrix += '-';
          continue;
        }
        const bool there = can_access(device, owner);
        const bool back = can_access(owner, device);
        matrix += there ? '1' : '0';
        expect(!there || back,
               Finding(access_asymmetric, OrderedPair{device, owner}.subject(),
                       fmt::format("GPU {} can access the memory of GPU {}, but not the other way "
                                   "round",
                                   device.ordinal, owner.ordinal)));
        verified(1, "pairs");
      }
    }
    fact("peer.access-matrix", matrix);
  });
}

/// What cudaDeviceGetP2PAttribute answers for a pair.
struct Attributes {
  int rank = -1, access = -1, atomics = -1, arrays = -1;
};

Attributes read_attributes(const OrderedPair& pair) {
  Attributes read;
  const std::pair<cudaDeviceP2PAttr, int*> all[] = {
      {cudaDevP2PAttrPerformanceRank, &read.rank},
      {cudaDevP2PAttrAccessSupported, &read.access},
      {cudaDevP2PAttrNativeAtomicSupported, &read.atomics},
      {cudaDevP2PAttrCudaArrayAccessSupported, &read.arrays}};
  for (const auto& [attribute, value] : all) {
    ensure(CONFORMANCE_CALL(
        cudaDeviceGetP2PAttribute(value, attribute, pair.from.ordinal, pair.to.ordinal)));
  }
  return read;
}

TEST_F(Access, AttributesAgreeWithTheQueryAndWithNvml) {
  claim(
      "cudaDeviceGetP2PAttribute says of a pair what cudaDeviceCanAccessPeer says, offers nothing "
      "without access, native atomic operations over NVLink, and ranks NVLink no worse than PCIe",
      "CUDA Runtime API: cudaDeviceGetP2PAttribute; NVML: nvmlDeviceGetP2PStatus");
  const Rounds rounds = require_pairs();
  const Topology& topology = topology_of(require(Devices{2}));
  struct Ranked {
    OrderedPair pair;
    int rank;
    bool nvlink;
  };
  std::vector<Ranked> ranked;
  std::mutex mutex;
  for_each_round(rounds, [&](const OrderedPair& pair) {
    const Attributes attributes = read_attributes(pair);
    const bool access = can_access(pair.from, pair.to);
    const PairFacts& facts = topology.facts(pair);
    const auto holds = [&](bool right, std::string_view rule) {
      verified(1, "rules");
      expect(right,
             Finding(attribute_wrong, pair.subject(),
                     fmt::format("{}; access query {}, rank {}, access {}, native atomics {}, "
                                 "arrays {}, path {}",
                                 rule, access ? 1 : 0, attributes.rank, attributes.access,
                                 attributes.atomics, attributes.arrays, facts.path.text()),
                     Evidence{}
                         .add("rank", attributes.rank)
                         .add("access", attributes.access)
                         .add("native_atomics", attributes.atomics)
                         .add("arrays", attributes.arrays)
                         .add("path", facts.path.text())));
    };
    holds(attributes.access == (access ? 1 : 0),
          "cudaDevP2PAttrAccessSupported is not what cudaDeviceCanAccessPeer says");
    holds(attributes.rank >= 0, "cudaDevP2PAttrPerformanceRank is negative");
    holds(access || (attributes.atomics == 0 && attributes.arrays == 0),
          "without access, atomic operations or arrays are said to be supported");
    const bool nvlink = facts.path.kind == Path::Kind::nvlink;
    if (access && nvlink) {
      holds(attributes.atomics == 1, "native atomic operations are denied over NVLink");
    }
    if (access && facts.path.kind != Path::Kind::unknown) {
      const std::lock_guard lock(mutex);
      ranked.push_back({pair, attributes.rank, nvlink});
    }
  });
  for (const Ranked& fast : ranked) {
    for (const Ranked& other : ranked) {
      if (!fast.nvlink || other.nvlink || fast.pair.from.ordinal != other.pair.from.ordinal)
        continue;
      verified(1, "rules");
      expect(
          fast.rank <= other.rank,
          Finding(attribute_wrong, fast.pair.subject(),
                  fmt::format("over NVLink the performance rank is {}, over PCIe to GPU {} it is "
                              "{}; 0 is the best",
                              fast.rank, other.pair.to.ordinal, other.rank),
                  Evidence{}.add("rank", fast.rank).add("rank_over_pcie", other.rank)));
    }
  }
}

TEST_F(Access, PairsThatNvlinkConnectsHaveIt) {
  claim(
      "Two devices between which NVML calls peer-to-peer over NVLink possible can access each "
      "other",
      "NVML: nvmlDeviceGetP2PStatus; CUDA Runtime API: cudaDeviceCanAccessPeer");
  const Rounds rounds = require_pairs();
  const Topology& topology = topology_of(require(Devices{2}));
  std::atomic<int> judged = 0;
  for_each_round(rounds, [&](const OrderedPair& pair) {
    if (topology.facts(pair).nvlink != true) return;
    ++judged;
    verified(1, "pairs");
    expect(
        can_access(pair.from, pair.to),
        Finding(access_lost, pair.subject(),
                fmt::format("NVML says that {} connects the GPUs, cudaDeviceCanAccessPeer says 0",
                            topology.path(pair).text()),
                {{"path", topology.path(pair).text()}}));
  });
  if (judged == 0) skip("NVML tells of no pair that NVLink connects");
}

}  // namespace
}  // namespace conformance::peer
