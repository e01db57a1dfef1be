#include <fmt/format.h>

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

TEST_F(Gate, EachGpuHasMemoryLeftToTestWith) {
  claim("cudaMemGetInfo tells how much memory is free and how much there is",
        "CUDA Runtime API: cudaMemGetInfo");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    // The tests of this layer and of those above hold a few buffers of up to 1/64 of the memory
    // each, beside what libraries take for themselves.
    constexpr std::size_t kLeastShare = 8;
    std::size_t free_bytes = 0, total_bytes = 0;
    ensure(CONFORMANCE_CALL(cudaMemGetInfo(&free_bytes, &total_bytes)));
    const Evidence evidence{{"free_bytes", std::uint64_t{free_bytes}},
                            {"total_bytes", std::uint64_t{total_bytes}}};
    expect(total_bytes > 0 && free_bytes <= total_bytes,
           Finding(memory_info_wrong, device.subject(),
                   fmt::format("{} of {} bytes are said to be free", free_bytes, total_bytes),
                   evidence));
    expect(free_bytes >= total_bytes / kLeastShare,
           Finding(finding::out_of_memory, device.subject(),
                   fmt::format("only {} of {} bytes are free; the suite needs 1/{} of the memory",
                               free_bytes, total_bytes, kLeastShare),
                   evidence));
    verified(1, "devices");
  });
}

}  // namespace
}  // namespace conformance::memory
