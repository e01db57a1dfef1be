#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"

namespace conformance::peer {
namespace {

class Gate : public GpuTest {};

TEST_F(Gate, TheAccessQueryAnswersForEveryPairAndNoDeviceIsItsOwnPeer) {
  claim("cudaDeviceCanAccessPeer answers 0 or 1 for every two devices, and 0 for one and the same",
        "CUDA Runtime API: cudaDeviceCanAccessPeer");
  const CudaInventory& devices = require(Devices{1});
  for_each_device(devices, [&](const CudaDevice& device) {
    for (const CudaDevice& owner : devices) {
      int answer = -1;
      ensure(CONFORMANCE_CALL(cudaDeviceCanAccessPeer(&answer, device.ordinal, owner.ordinal)));
      const bool possible = device.ordinal == owner.ordinal ? answer == 0 : (answer & ~1) == 0;
      expect(possible,
             Finding(query_wrong, device.subject(),
                     fmt::format("can GPU {} access the memory of peer GPU {}? The answer is {}",
                                 device.ordinal, owner.ordinal, answer),
                     {{"device", std::int64_t{device.ordinal}},
                      {"peer", std::int64_t{owner.ordinal}},
                      {"answer", std::int64_t{answer}}}));
    }
    verified(devices.size(), "queries");
  });
}

TEST_F(Gate, EnablingADeviceAsItsOwnPeerIsRefused) {
  claim(
      "cudaDeviceEnablePeerAccess refuses a device that cudaDeviceCanAccessPeer excludes, such as "
      "the "
      "current device itself",
      "CUDA Runtime API: cudaDeviceEnablePeerAccess; cudaError_t: cudaErrorPeerAccessUnsupported");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const cudaError_t answer = cudaDeviceEnablePeerAccess(device.ordinal, 0);
    cudaGetLastError();  // expected; it must not be the next call's "last error"
    expect(is_refusal(answer),
           Finding(wrong_error, device.subject(),
                   fmt::format("enabling itself as a peer returned {} instead of "
                               "cudaErrorPeerAccessUnsupported or cudaErrorInvalidDevice",
                               cudaGetErrorName(answer)),
                   {{"found", cudaGetErrorName(answer)}}));
    verified(1, "calls");
  });
}

}  // namespace
}  // namespace conformance::peer
