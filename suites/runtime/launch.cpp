#include "kernels/launch.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "kernels/launch_probe.h"
#include "suites/runtime/findings.h"

namespace conformance::runtime {
namespace {

using kernels::LaunchRecord;

class Launch : public GpuTest {};

/// Brings `source` to the host and waits for everything in `stream`.
template <typename T>
PinnedBuffer<T> fetch(const DeviceBuffer<T>& source, const Stream& stream,
                      const CudaDevice& device) {
  PinnedBuffer<T> host(source.size());
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), source.data(), source.bytes(),
                                          cudaMemcpyDeviceToHost, stream.get())));
  synchronize(stream, device.subject());
  return host;
}

/// Compares words one by one; a difference becomes one finding with the first index and the count.
/// Yields how many were compared.
template <typename T, typename Expected>
void expect_words(const PinnedBuffer<T>& found, const Expected& expected, const FindingKind& kind,
                  const CudaDevice& device, std::string_view what) {
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] == expected(i)) continue;
    if (wrong++ == 0) first = i;
  }
  expect(wrong == 0, Finding(kind, device.subject(),
                             fmt::format("{}: {} of {} words are wrong, the first at index {}",
                                         what, wrong, found.size(), first),
                             {{"wrong", std::uint64_t{wrong}},
                              {"first_index", std::uint64_t{first}},
                              {"expected", std::uint64_t{expected(first)}},
                              {"found", std::uint64_t{found[first]}}}));
  verified(found.size(), "words");
}

std::string text_of(const LaunchRecord& record) {
  return fmt::format("block ({}) of ({}), thread ({}) of ({})", fmt::join(record.block, ", "),
                     fmt::join(record.grid, ", "), fmt::join(record.thread, ", "),
                     fmt::join(record.threads, ", "));
}

std::size_t volume(const dim3& shape) { return std::size_t{shape.x} * shape.y * shape.z; }

LaunchRecord expected_record(std::size_t index, const dim3& grid, const dim3& block) {
  const auto place = [](std::size_t linear, const dim3& shape, std::uint32_t(&out)[3]) {
    out[0] = static_cast<std::uint32_t>(linear % shape.x);
    out[1] = static_cast<std::uint32_t>(linear / shape.x % shape.y);
    out[2] = static_cast<std::uint32_t>(linear / shape.x / shape.y);
  };
  LaunchRecord record{{}, {}, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}};
  place(index / volume(block), grid, record.block);
  place(index % volume(block), block, record.thread);
  return record;
}

void check_shape(const dim3& grid, const dim3& block, const Stream& stream,
                 const CudaDevice& device) {
  const std::size_t threads = volume(grid) * volume(block);
  const auto records = DeviceBuffer<LaunchRecord>::poisoned(threads, stream.get());
  ensure(CONFORMANCE_CALL(kernels::record_launch(records.data(), grid, block, stream.get())));
  const PinnedBuffer<LaunchRecord> found = fetch(records, stream, device);
  for (std::size_t i = 0; i < threads; ++i) {
    const LaunchRecord expected = expected_record(i, grid, block);
    if (std::memcmp(&found[i], &expected, sizeof(expected)) == 0) continue;
    fail(Finding(
        wrong_coordinates, device.subject(),
        fmt::format("record {} should be {}, but is {}", i, text_of(expected), text_of(found[i])),
        {{"index", std::uint64_t{i}}}));
    break;
  }
  verified(threads, "threads");
}

TEST_F(Launch, EachThreadOfAGridRunsOnceAtItsPlace) {
  claim(
      "A launch runs one thread for each position of a grid of up to three dimensions, and each "
      "finds its position and the shape in the built-in variables",
      "CUDA C++ Programming Guide: Thread Hierarchy; Built-in Variables");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    // Each dimension of block and grid once as large as all GPUs allow, or close to it.
    check_shape(dim3(5, 3, 2), dim3(8, 4, 3), stream, device);
    check_shape(dim3(1), dim3(1024, 1, 1), stream, device);
    check_shape(dim3(2, 2, 2), dim3(1, 256, 4), stream, device);
    check_shape(dim3(3), dim3(2, 4, 64), stream, device);
    check_shape(dim3(65'537, 1, 1), dim3(1), stream, device);
    check_shape(dim3(1, 1'021, 7), dim3(3), stream, device);
    check_shape(dim3(1, 3, 1'021), dim3(1, 5), stream, device);
  });
}

TEST_F(Launch, ABarrierMakesSharedMemoryOfTheBlockVisible) {
  claim(
      "After __syncthreads() each thread of a block sees what the others stored to dynamic shared "
      "memory, up to the size that the device offers on request",
      "CUDA C++ Programming Guide: Synchronization Functions; Shared Memory");
  constexpr unsigned kBlocks = 16, kRounds = 37;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    int most_bytes = 0;
    ensure(CONFORMANCE_CALL(cudaDeviceGetAttribute(
        &most_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.ordinal)));
    const auto most_words = static_cast<unsigned>(most_bytes) / 8;
    Stream stream;
    for (const unsigned words : {1u, kernels::kThreads, 48u * 1024 / 8, most_words}) {
      const std::size_t all = std::size_t{words} * kBlocks;
      PinnedBuffer<std::uint32_t> host(all);
      const auto value = [](std::size_t i) {
        return static_cast<std::uint32_t>(kernels::pattern_word(i, 7));
      };
      for (std::size_t i = 0; i < all; ++i) host[i] = value(i);
      DeviceBuffer<std::uint32_t> source(all);
      const auto target = DeviceBuffer<std::uint32_t>::poisoned(all, stream.get());
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(source.data(), host.data(), host.bytes(),
                                              cudaMemcpyHostToDevice, stream.get())));
      ensure(CONFORMANCE_CALL(kernels::rotate_in_shared(source.data(), target.data(), words,
                                                        kRounds, kBlocks, stream.get())));
      expect_words(
          fetch(target, stream, device),
          [&](std::size_t i) { return value(i / words * words + (i % words + kRounds) % words); },
          wrong_shared_memory, device,
          fmt::format("{} bytes of shared memory in a block", 8 * std::size_t{words}));
    }
  });
}

TEST_F(Launch, AnArgumentOfFourKilobytesArrivesWhole) {
  claim("A kernel receives parameters of up to 4 KiB by value",
        "CUDA C++ Programming Guide: __global__ Function Parameters");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const auto value = [&](std::size_t i) {
      return kernels::pattern_word(i, 100u + static_cast<unsigned>(device.ordinal));
    };
    kernels::BigArgument argument;
    for (std::size_t i = 0; i < kernels::kArgumentWords; ++i) argument.words[i] = value(i);
    Stream stream;
    const auto target =
        DeviceBuffer<std::uint64_t>::poisoned(kernels::kArgumentWords, stream.get());
    ensure(CONFORMANCE_CALL(kernels::store_argument(argument, target.data(), stream.get())));
    // The caller's copy may change as soon as the launch has returned.
    std::memset(&argument, 0x5A, sizeof(argument));
    expect_words(fetch(target, stream, device), value, wrong_argument, device,
                 "the argument as the kernel saw it");
  });
}

TEST_F(Launch, AConstantCopiedToItsSymbolIsReadByAKernel) {
  claim(
      "A kernel reads from a __constant__ variable what cudaMemcpyToSymbolAsync copied to it "
      "before "
      "in the same stream",
      "CUDA C++ Programming Guide: __constant__; CUDA Runtime API: cudaMemcpyToSymbolAsync");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const auto value = [](std::size_t i) { return kernels::pattern_word(i, 200); };
    PinnedBuffer<std::uint64_t> host(kernels::kConstantWords);
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = value(i);
    Stream stream;
    const auto target =
        DeviceBuffer<std::uint64_t>::poisoned(kernels::kConstantWords, stream.get());
    ensure(CONFORMANCE_CALL(kernels::store_constants(host.data(), target.data(), stream.get())));
    expect_words(fetch(target, stream, device), value, wrong_argument, device,
                 "the constants as the kernel saw them");
  });
}

/// The name of the first member in which two results differ in any bit; empty if in none.
std::string_view first_difference(const kernels::Computed& a, const kernels::Computed& b) {
  const auto differ64 = [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) != std::bit_cast<std::uint64_t>(y);
  };
  const auto differ32 = [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) != std::bit_cast<std::uint32_t>(y);
  };
  if (a.product != b.product) return "64-bit product";
  if (a.quotient != b.quotient) return "64-bit quotient";
  if (a.remainder != b.remainder) return "64-bit remainder";
  if (a.shifted != b.shifted) return "64-bit shift";
  if (a.signed_quotient != b.signed_quotient) return "signed 64-bit quotient";
  if (differ64(a.fma64, b.fma64)) return "double fma";
  if (differ64(a.quotient64, b.quotient64)) return "double quotient";
  if (differ64(a.root64, b.root64)) return "double square root";
  if (differ32(a.fma32, b.fma32)) return "float fma";
  if (differ32(a.quotient32, b.quotient32)) return "float quotient";
  if (differ32(a.root32, b.root32)) return "float square root";
  if (differ32(a.subnormal32, b.subnormal32)) return "subnormal float product";
  return {};
}

TEST_F(Launch, ArithmeticIsRightToTheLastBit) {
  claim(
      "64-bit integer arithmetic, and fused multiply-add, division, square root and subnormal "
      "products in float and double give the one correctly rounded result",
      "CUDA C++ Programming Guide: Mathematical Functions, Standard Functions; Floating Point and "
      "IEEE 754 Compliance for NVIDIA GPUs");
  constexpr std::size_t kWanted = std::size_t{1} << 16;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t count =
        scaled_bytes(kWanted * sizeof(kernels::Computed), device.total_memory) /
        sizeof(kernels::Computed);
    Stream stream;
    const auto results = DeviceBuffer<kernels::Computed>::poisoned(count, stream.get());
    ensure(CONFORMANCE_CALL(kernels::compute(results.data(), count, stream.get())));
    const PinnedBuffer<kernels::Computed> found = fetch(results, stream, device);
    std::size_t wrong = 0, first = 0;
    std::string_view member;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view difference = first_difference(found[i], kernels::computed(i));
      if (difference.empty()) continue;
      if (wrong++ == 0) {
        first = i;
        member = difference;
      }
    }
    expect(wrong == 0, Finding(wrong_arithmetic, device.subject(),
                               fmt::format("{} of {} results are wrong, the first at index {}: {}",
                                           wrong, count, first, member),
                               {{"wrong", std::uint64_t{wrong}},
                                {"first_index", std::uint64_t{first}},
                                {"operation", std::string(member)}}));
    verified(count, "results");
  });
}

TEST_F(Launch, AtomicsOfManyThreadsLoseNoUpdate) {
  claim(
      "Atomic operations of all threads of a grid on one word are each performed once, without "
      "interference",
      "CUDA C++ Programming Guide: Atomic Functions");
  constexpr unsigned kBlocks = 512, kClaims = 61;
  constexpr std::uint64_t kAll = std::uint64_t{kBlocks} * kernels::kThreads;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    PinnedBuffer<kernels::Contended> start(1);
    start[0] = kernels::no_contention();
    DeviceBuffer<kernels::Contended> state(1);
    const auto holders = DeviceBuffer<std::uint32_t>::poisoned(kAll, stream.get());
    DeviceBuffer<unsigned> claims(kClaims);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(claims.data(), 0, claims.bytes(), stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(state.data(), start.data(), start.bytes(),
                                            cudaMemcpyHostToDevice, stream.get())));
    ensure(CONFORMANCE_CALL(kernels::contend(state.data(), holders.data(), claims.data(), kClaims,
                                             kBlocks, stream.get())));
    const PinnedBuffer<kernels::Contended> end = fetch(state, stream, device);
    const PinnedBuffer<std::uint32_t> held = fetch(holders, stream, device);
    const PinnedBuffer<unsigned> claimed = fetch(claims, stream, device);
    const auto check = [&](std::string_view what, std::uint64_t found, std::uint64_t expected) {
      expect(found == expected, Finding(wrong_atomics, device.subject(),
                                        fmt::format("{} is {}, not {}", what, found, expected),
                                        {{"found", found}, {"expected", expected}}));
    };
    check("the sum of atomicAdd", end[0].sum, kAll * (kAll - 1) / 2);
    check("the number of tickets", end[0].tickets, kAll);
    check("the result of atomicMin", end[0].lowest, 0);
    check("the result of atomicMax", end[0].highest, kAll - 1);
    check("the number of winners of atomicCAS", end[0].winners, kClaims);
    std::vector<char> seen(kAll, 0);
    std::uint64_t tickets_right = 0;
    for (std::size_t i = 0; i < kAll; ++i) {
      if (held[i] < kAll && seen[held[i]] == 0) {
        seen[held[i]] = 1;
        ++tickets_right;
      }
    }
    check("the number of threads that hold a ticket of their own", tickets_right, kAll);
    std::uint64_t claims_right = 0;
    for (std::size_t i = 0; i < kClaims; ++i) {
      if (claimed[i] >= 1 && claimed[i] <= kAll && (claimed[i] - 1) % kClaims == i) ++claims_right;
    }
    check("the number of words that atomicCAS gave to one of their threads", claims_right, kClaims);
    verified(4 * kAll + kClaims, "atomic updates");
  });
}

TEST_F(Launch, TheCodeThatRunsIsForTheGpu) {
  claim(
      "Machine code runs on GPUs of its compute capability's major version and of its minor "
      "version "
      "or a higher one; the runtime names the code that it chose",
      "CUDA C++ Programming Guide: Binary Compatibility; CUDA Runtime API: cudaFuncAttributes");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    cudaFuncAttributes attributes{};
    ensure(CONFORMANCE_CALL(kernels::record_launch_attributes(&attributes)));
    const int gpu = 10 * device.major + device.minor;
    fact(fmt::format("runtime.code.gpu-{}", device.ordinal),
         fmt::format("compute capability {}.{}: machine code {}.{} from virtual architecture {}.{}",
                     device.major, device.minor, attributes.binaryVersion / 10,
                     attributes.binaryVersion % 10, attributes.ptxVersion / 10,
                     attributes.ptxVersion % 10));
    expect(attributes.binaryVersion / 10 == device.major && attributes.binaryVersion <= gpu &&
               attributes.ptxVersion <= gpu,
           Finding(incompatible_code, device.subject(),
                   fmt::format("compute capability {}, machine code {}, virtual architecture {}",
                               gpu, attributes.binaryVersion, attributes.ptxVersion),
                   {{"compute_capability", std::int64_t{gpu}},
                    {"binary_version", std::int64_t{attributes.binaryVersion}},
                    {"ptx_version", std::int64_t{attributes.ptxVersion}}}));
    expect(attributes.maxThreadsPerBlock >= 1024,
           Finding(incompatible_code, device.subject(),
                   "a kernel of a few registers cannot run 1024 threads in a block",
                   {{"max_threads_per_block", std::int64_t{attributes.maxThreadsPerBlock}}}));
    verified(1, "kernels");
  });
}

}  // namespace
}  // namespace conformance::runtime
