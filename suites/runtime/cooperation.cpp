#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "kernels/cooperation_probe.h"
#include "kernels/pattern.h"
#include "kernels/runtime_probe.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

class Cooperation : public GpuTest {
 protected:
  /// The devices, where all of them have what came with compute capability 9.0. A GPU that has it
  /// runs code without it if the suite was built for older ones only.
  const CudaInventory& require_compute_capability_9(std::string_view what) {
    constexpr int kNeeded = 90;
    const CudaInventory& devices = require(Devices{1});
    skip_without(devices, cudaDevAttrClusterLaunch, what);
    for (const CudaDevice& device : devices) {
      cudaFuncAttributes code{};
      guarded(device.subject(), [&] {
        ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
        ensure(CONFORMANCE_CALL(kernels::look_around_in_clusters_attributes(&code)));
      });
      if (code.ptxVersion < kNeeded) {
        skip(
            fmt::format("{} need virtual architecture 9.0; for GPU {} the suite was built for "
                        "{}.{}",
                        what, device.ordinal, code.ptxVersion / 10, code.ptxVersion % 10));
      }
    }
    return devices;
  }
};

TEST_F(Cooperation, AGridOfAsManyBlocksAsFitPassesItsBarriersTogether) {
  claim(
      "A cooperative launch of as many blocks as can run at the same time is accepted, and each "
      "block sees the others' stores after a barrier of the grid; one block more is refused with "
      "cudaErrorCooperativeLaunchTooLarge",
      "CUDA C++ Programming Guide: Cooperative Groups, Grid Synchronization; CUDA Runtime API: "
      "cudaLaunchCooperativeKernel, cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  static constexpr unsigned kRounds = 20;
  const CudaInventory& devices = require(Devices{1});
  skip_without(devices, cudaDevAttrCooperativeLaunch, "cooperative launch");
  for_each_device(devices, [](const CudaDevice& device) {
    const auto multiprocessors =
        static_cast<unsigned>(attribute(device, cudaDevAttrMultiProcessorCount));
    const int all_shared = attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    ensure(CONFORMANCE_CALL(kernels::allow_shared_memory_to_relay(all_shared)));
    Stream stream;
    // Limited by the number of blocks, and by shared memory.
    struct Shape {
      unsigned threads;
      int shared_bytes;
    };
    for (const Shape shape : {Shape{4, 0}, Shape{32, all_shared}}) {
      const auto shared_bytes = static_cast<std::size_t>(shape.shared_bytes);
      int at_a_time = 0;
      ensure(CONFORMANCE_CALL(
          kernels::relay_blocks_per_multiprocessor(&at_a_time, shape.threads, shared_bytes)));
      const unsigned blocks = static_cast<unsigned>(at_a_time) * multiprocessors;
      const std::string what = fmt::format(
          "a cooperative launch of {} blocks of {} threads with {} bytes of shared "
          "memory",
          blocks, shape.threads, shape.shared_bytes);
      if (!expect(blocks > 0, Finding(limit_not_kept, device.subject(),
                                      fmt::format("{}: not one block fits", what)))) {
        return;
      }
      const DeviceBuffer<std::uint64_t> words(2 * std::size_t{blocks});
      const PinnedBuffer<std::uint64_t> host(blocks);
      ensure(CONFORMANCE_CALL(kernels::fill_pattern(words.data(), blocks, 0, 1, stream.get())));
      const cudaError_t answer =
          kernels::relay(words.data(), kRounds, blocks, shape.threads, shared_bytes, stream.get());
      cudaGetLastError();
      expect_code(answer, cudaSuccess, what, device.subject(), limit_not_kept);
      if (answer != cudaSuccess) continue;
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), words.data(), host.bytes(),
                                              cudaMemcpyDeviceToHost, stream.get())));
      synchronize(stream, device.subject());
      std::size_t wrong = 0, first = 0;
      for (std::size_t block = 0; block < blocks; ++block) {
        std::uint64_t word = kernels::pattern_word((block + kRounds) % blocks, 1);
        for (unsigned round = 1; round <= kRounds; ++round) word = kernels::advanced(word, round);
        if (host[block] != word && wrong++ == 0) first = block;
      }
      expect(
          wrong == 0,
          Finding(wrong_cooperation, device.subject(),
                  fmt::format("{}: after {} barriers the words of {} blocks are wrong, the first "
                              "of block {}",
                              what, kRounds, wrong, first),
                  {{"wrong", std::uint64_t{wrong}}, {"first_block", std::uint64_t{first}}}));
      verified(std::uint64_t{blocks} * kRounds, "words handed on between blocks");
      expect_code(kernels::relay(words.data(), kRounds, blocks + 1, shape.threads, shared_bytes,
                                 stream.get()),
                  cudaErrorCooperativeLaunchTooLarge, "a cooperative launch of one block more",
                  device.subject());
      cudaGetLastError();
      synchronize(stream, device.subject());
    }
  });
}

TEST_F(Cooperation, BlocksOfAClusterReadEachOthersSharedMemory) {
  claim(
      "A launch in clusters of up to 8 blocks, or as many as a smaller device says, is accepted; "
      "each block has its rank in its cluster "
      "and reads the shared memory of the others after a barrier; a larger cluster is refused with "
      "cudaErrorInvalidClusterSize unless it was allowed",
      "CUDA C++ Programming Guide: Thread Block Clusters, Distributed Shared Memory; CUDA Runtime "
      "API: cudaLaunchKernelExC");
  static constexpr unsigned kClusters = 3, kMost = 8;
  const CudaInventory& devices = require_compute_capability_9("clusters of blocks");
  for_each_device(devices, [](const CudaDevice& device) {
    Stream stream;
    const PinnedBuffer<kernels::ClusterRecord> host(std::size_t{kClusters} * kMost *
                                                    kernels::kClusterThreads);
    int largest = 0;
    ensure(CONFORMANCE_CALL(kernels::largest_cluster_to_look_around(&largest)));
    expect(largest >= 1, Finding(limit_not_kept, device.subject(),
                                 fmt::format("its largest cluster has {} blocks", largest)));
    const unsigned most = largest < 1 ? 0 : std::min(static_cast<unsigned>(largest), kMost);
    for (unsigned cluster = 1; cluster <= most; ++cluster) {
      const unsigned blocks = kClusters * cluster;
      const std::size_t count = std::size_t{blocks} * kernels::kClusterThreads;
      const auto records = DeviceBuffer<kernels::ClusterRecord>::poisoned(count, stream.get());
      expect_code(kernels::look_around_in_clusters(records.data(), blocks, cluster, stream.get()),
                  cudaSuccess, fmt::format("a launch in clusters of {} blocks", cluster),
                  device.subject(), limit_not_kept);
      cudaGetLastError();
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), records.data(), records.bytes(),
                                              cudaMemcpyDeviceToHost, stream.get())));
      synchronize(stream, device.subject());
      std::size_t wrong = 0, first = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const auto block = static_cast<unsigned>(i / kernels::kClusterThreads);
        const auto thread = static_cast<unsigned>(i % kernels::kClusterThreads);
        const unsigned rank = block % cluster, next = block - rank + (rank + 1) % cluster;
        const kernels::ClusterRecord& record = host[i];
        const bool right =
            record.rank == rank && record.blocks == cluster && record.word == next * 1024 + thread;
        if (!right && wrong++ == 0) first = i;
      }
      expect(
          wrong == 0,
          Finding(wrong_cooperation, device.subject(),
                  fmt::format("in clusters of {} blocks {} of {} threads saw something else, the "
                              "first in block {}: rank {} of {}, word {:#x}",
                              cluster, wrong, count, first / kernels::kClusterThreads,
                              host[first].rank, host[first].blocks, host[first].word),
                  {{"wrong", std::uint64_t{wrong}},
                   {"first_index", std::uint64_t{first}},
                   {"cluster", std::uint64_t{cluster}}}));
      verified(count, "threads");
    }
    const auto records = DeviceBuffer<kernels::ClusterRecord>::poisoned(
        std::size_t{2} * kMost * kernels::kClusterThreads, stream.get());
    expect_code(
        kernels::look_around_in_clusters(records.data(), 2 * kMost, 2 * kMost, stream.get()),
        cudaErrorInvalidClusterSize, fmt::format("a launch in clusters of {} blocks", 2 * kMost),
        device.subject());
    cudaGetLastError();
    synchronize(stream, device.subject());
  });
}

TEST_F(Cooperation, BulkCopiesMoveExactlyTheirBytes) {
  claim(
      "Asynchronous bulk copies between global and shared memory move exactly the bytes they are "
      "told, and are complete when their barrier or group says so",
      "CUDA C++ Programming Guide: Asynchronous Data Copies using the Tensor Memory Accelerator; "
      "PTX ISA: cp.async.bulk");
  constexpr std::size_t kMostBlocks = 8;
  // One copy's worth behind the last block, which must stay as it was.
  constexpr std::size_t kBehind = 64;
  const CudaInventory& devices = require_compute_capability_9("bulk copies");
  for_each_device(devices, [](const CudaDevice& device) {
    Stream stream;
    const auto most = static_cast<unsigned>(
        attribute(device, cudaDevAttrMaxSharedMemoryPerBlockOptin) / 2 / 16 * 16);
    const auto blocks = static_cast<unsigned>(
        std::max<std::size_t>(1, scaled_bytes(kMostBlocks * most, device.total_memory) / most));
    const std::size_t most_words = blocks * (most / sizeof(std::uint64_t));
    const DeviceBuffer<std::uint64_t> source(most_words);
    const PinnedBuffer<std::uint64_t> host(most_words + kBehind);
    ensure(CONFORMANCE_CALL(kernels::fill_pattern(source.data(), most_words, 0, 5, stream.get())));
    for (const unsigned bytes : {16U, 48U, 4096U, most}) {
      const std::size_t words = blocks * (bytes / sizeof(std::uint64_t));
      const auto target = DeviceBuffer<std::uint64_t>::poisoned(words + kBehind, stream.get());
      ensure(CONFORMANCE_CALL(kernels::advance_by_bulk_copies(target.data(), source.data(), bytes,
                                                              blocks, 7, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), target.data(), target.bytes(),
                                              cudaMemcpyDeviceToHost, stream.get())));
      synchronize(stream, device.subject());
      std::size_t wrong = 0, first = 0;
      for (std::size_t i = 0; i < words + kBehind; ++i) {
        const std::uint64_t expected =
            i < words ? kernels::advanced(kernels::pattern_word(i, 5), 7) : 0xA5A5A5A5A5A5A5A5ull;
        if (host[i] != expected && wrong++ == 0) first = i;
      }
      expect(wrong == 0,
             Finding(wrong_bulk_copy, device.subject(),
                     fmt::format("bulk copies of {} bytes by {} blocks: {} of {} words are wrong, "
                                 "the first at index {}",
                                 bytes, blocks, wrong, words + kBehind, first),
                     {{"wrong", std::uint64_t{wrong}}, {"first_index", std::uint64_t{first}}}));
      verified(words, "words");
    }
  });
}

}  // namespace
}  // namespace conformance::runtime
