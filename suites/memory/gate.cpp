#include "fixtures/gpu_test.h"
#include "suites/memory/findings.h"

namespace conformance::memory {
namespace {

class Gate : public GpuTest {};

TEST_F(Gate, AWordWrittenToEachGpuComesBack) {
  claim("cudaMemcpy to a device and back returns what was written",
        "CUDA Runtime API: cudaMemcpyAsync");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    constexpr std::uint64_t kWord = 0x0123456789abcdef;
    Stream stream;
    DeviceBuffer<std::uint64_t> buffer(1);
    PinnedBuffer<std::uint64_t> host(2);
    host[0] = kWord;
    host[1] = ~kWord;
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(buffer.data(), &host[0], sizeof(kWord),
                                            cudaMemcpyHostToDevice, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(&host[1], buffer.data(), sizeof(kWord),
                                            cudaMemcpyDeviceToHost, stream.get())));
    synchronize(stream, device.subject());
    expect(host[1] == kWord, Finding(wrong_word, device.subject(), "the word came back changed",
                                     {{"expected", kWord}, {"found", host[1]}}));
    verified(1, "words");
  });
}

}  // namespace
}  // namespace conformance::memory
