// Stream-ordered memory: are the blocks that streams hold at the same time places of their own?

#include <memory>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_pattern.h"
#include "fixtures/gpu_test.h"
#include "suites/memory/findings.h"

namespace conformance::memory {
namespace {

class Pools : public GpuTest {};

/// A block of the device's default pool, in the order of a stream.
class Block {
 public:
  /// Throws StatusError.
  Block(std::size_t words, const Pattern& pattern, const Stream& stream)
      : stream_(stream), words_(words), pattern_(pattern) {
    void* memory = nullptr;
    ensure(CONFORMANCE_CALL(cudaMallocAsync(&memory, words * sizeof(std::uint64_t), stream.get())));
    memory_ = static_cast<std::uint64_t*>(memory);
    fill(memory_, words_, pattern_, stream_);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { cudaFreeAsync(memory_, stream_.get()); }

  void expect_kept(PatternCheck& check, const Subject& subject) const {
    check.expect(memory_, words_, pattern_, pool_block_wrong, subject,
                 fmt::format("block of {} words", words_));
  }
  std::size_t words() const { return words_; }

 private:
  const Stream& stream_;
  const std::size_t words_;
  const Pattern pattern_;
  std::uint64_t* memory_ = nullptr;
};

TEST_F(Pools, BlocksThatAreHeldAtTheSameTimeAreApart) {
  claim(
      "Blocks that cudaMallocAsync gives to several streams never share memory while they are "
      "held, "
      "however blocks between them are released and given out again",
      "CUDA C++ Programming Guide: Stream Ordered Memory Allocator");
  const CudaInventory& devices = require(Devices{1});
  skip_without(devices, cudaDevAttrMemoryPoolsSupported, "memory pools");
  for_each_device(devices, [](const CudaDevice& device) {
    constexpr std::size_t kStreams = 3, kRounds = 4;
    const Subject subject = device.subject();
    const std::size_t most =
        scaled_bytes(std::size_t{8} << 20, device.total_memory) / sizeof(std::uint64_t) / 16;
    std::vector<Stream> streams(kStreams);
    std::vector<std::unique_ptr<Block>> blocks;
    std::uint64_t number = 0;
    const auto add = [&](const Stream& stream) {
      // Sizes that do not fit into each other's places.
      const std::size_t words = most / (number % 5 + 1) + number % 7;
      const Pattern pattern{
          .seed = kernels::pattern_word(++number, Session::current().settings().seed)};
      blocks.push_back(std::make_unique<Block>(words, pattern, stream));
    };
    for (std::size_t round = 0; round < kRounds; ++round) {
      for (const Stream& stream : streams) {
        add(stream);
        add(stream);
      }
      // Every third goes, and leaves a gap for the next round.
      for (std::size_t i = blocks.size(); i-- > 0;) {
        if (i % 3 == 2) blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    for (const Stream& stream : streams) synchronize(stream, subject);
    PatternCheck check(streams.front());
    std::size_t words = 0;
    for (const auto& block : blocks) {
      block->expect_kept(check, subject);
      words += block->words();
    }
    verified(words, "words in blocks of three streams");
    blocks.clear();
    for (const Stream& stream : streams) synchronize(stream, subject);
  });
}

}  // namespace
}  // namespace conformance::memory
