// Does peer access keep its word: can what is said to be possible be done, and undone?

#include <optional>
#include <string>

#include <fmt/format.h>

#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"

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

}  // namespace
}  // namespace conformance::peer
