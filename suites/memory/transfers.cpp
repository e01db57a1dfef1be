// Do copies and memset change exactly the bytes they are given, at any size and alignment?

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_pattern.h"
#include "fixtures/cuda_result.h"
#include "fixtures/gpu_test.h"
#include "kernels/compare.h"
#include "suites/memory/findings.h"
#include "suites/memory/host_memory.h"

namespace conformance::memory {
namespace {

class Transfers : public GpuTest {};

using Bytes = std::span<std::uint8_t>;

/// What bytes hold before anything is written to them.
constexpr std::uint8_t kPoison = 0xA5;
/// Bytes that are watched on each side of what is written.
constexpr std::size_t kGuard = 64;
constexpr std::size_t kMostOffset = 255;
constexpr std::size_t kMebi = std::size_t{1} << 20;

/// One transfer: so many bytes, so far from an aligned address at its source and at its target.
struct Case {
  std::size_t bytes = 0;
  std::size_t source_offset = 0;
  std::size_t target_offset = 0;

  /// Where the bytes start in a buffer with guards, and how much of the buffer the case uses.
  std::size_t source_at() const { return kGuard + source_offset; }
  std::size_t target_at() const { return kGuard + target_offset; }
  std::size_t source_extent() const { return source_at() + bytes + kGuard; }
  std::size_t target_extent() const { return target_at() + bytes + kGuard; }
};

/// The largest transfer: too large for any staging buffer, and odd.
std::size_t most_bytes(const CudaDevice& device) {
  return scaled_bytes(32 * kMebi, device.total_memory) + 3;
}
/// The size of a buffer that has room for every case.
std::size_t room(const CudaDevice& device) { return most_bytes(device) + kMostOffset + 2 * kGuard; }

/// Sizes around the boundaries at which an implementation may change its ways: words, vectors,
/// pages, staging buffers. The largest has few offsets because it takes most of the time.
std::vector<Case> cases(const CudaDevice& device) {
  constexpr std::array<std::pair<std::size_t, std::size_t>, 6> kOffsets{
      {{0, 0}, {3, 5}, {1, 0}, {0, 1}, {8, 4}, {kMostOffset, 128}}};
  constexpr std::size_t kSizes[] = {1,    2,    3,     4,     5,     7,         8,     15,
                                    16,   17,   31,    33,    255,   256,       257,   4095,
                                    4096, 4097, 65535, 65536, 65537, kMebi - 1, kMebi, kMebi + 1};
  const std::size_t most = most_bytes(device);
  std::vector<Case> result;
  for (const std::size_t bytes : kSizes) {
    if (bytes >= most) break;
    for (const auto& [source, target] : kOffsets) result.push_back({bytes, source, target});
  }
  for (const auto& [source, target] : {kOffsets[0], kOffsets[1]}) {
    result.push_back({most, source, target});
  }
  return result;
}

/// The pattern of kernels/pattern.h as bytes.
void write_pattern(Bytes bytes) {
  const Pattern pattern{.seed = Session::current().settings().seed};
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = pattern.word(at / sizeof(std::uint64_t));
    std::memcpy(&bytes[at], &word, std::min(sizeof(word), bytes.size() - at));
  }
}

std::optional<std::size_t> first_changed_poison(Bytes region, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) {
    if (region[i] != kPoison) return i;
  }
  return std::nullopt;
}

/// What a transfer was, for findings.
struct Transfer {
  const Subject& subject;
  std::string what;
  const FindingKind& wrong;
  Case of;

  Finding finding(const FindingKind& kind, const std::string& seen, Evidence evidence) const {
    evidence.add("bytes", of.bytes)
        .add("source_offset", of.source_offset)
        .add("target_offset", of.target_offset);
    return {kind, subject,
            fmt::format("{}, {} bytes, source offset {}, target offset {}: {}", what, of.bytes,
                        of.source_offset, of.target_offset, seen),
            evidence};
  }
};

/// `region` was poison, then `data` was written at `at`: expects exactly that.
bool expect_region(Bytes region, std::size_t at, Bytes data, const Transfer& transfer) {
  const Bytes written = region.subspan(at, data.size());
  bool right = true;
  if (std::memcmp(written.data(), data.data(), data.size()) != 0) {
    std::uint64_t wrong = 0;
    std::size_t first = data.size();
    for (std::size_t i = data.size(); i-- > 0;) {
      if (written[i] == data[i]) continue;
      ++wrong;
      first = i;
    }
    right = false;
    fail(transfer.finding(transfer.wrong,
                          fmt::format("{} bytes are wrong, the first is byte {}: it should be "
                                      "{:#04x}, is {:#04x}",
                                      wrong, first, data[first], written[first]),
                          {{"wrong_bytes", wrong},
                           {"first_wrong_byte", std::uint64_t{first}},
                           {"expected", std::uint64_t{data[first]}},
                           {"found", std::uint64_t{written[first]}}}));
  }
  std::optional<std::size_t> stray = first_changed_poison(region, 0, at);
  if (!stray) stray = first_changed_poison(region, at + data.size(), region.size());
  if (stray) {
    const auto distance = static_cast<std::int64_t>(*stray) - static_cast<std::int64_t>(at);
    right = false;
    fail(transfer.finding(stray_write,
                          fmt::format("the byte at {:+} from its start was changed to {:#04x}",
                                      distance, region[*stray]),
                          {{"distance", distance}, {"found", std::uint64_t{region[*stray]}}}));
  }
  return right;
}

void copy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind kind,
          const Stream& stream) {
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(target, source, bytes, kind, stream.get())));
}

/// Host memory of one kind for round trips: what is sent, poison, what comes back, and an image of
/// the device's memory.
struct HostMemory {
  Bytes source, poison, back, image;
};

/// Sends every case to the device and back; what came is looked at on the device (all of the
/// region, by an aligned copy) and after the copy back. Stops at a device's first wrong case.
void round_trips(const CudaDevice& device, const HostMemory& host) {
  const Subject subject = device.subject();
  const Stream stream;
  const DeviceBuffer<std::uint8_t> target(room(device));
  write_pattern(host.source);
  std::fill(host.poison.begin(), host.poison.end(), kPoison);
  std::uint64_t bytes = 0;
  for (const Case& each : cases(device)) {
    const Bytes sent = host.source.subspan(each.source_at(), each.bytes);
    const Bytes returned = host.back.first(each.source_extent());
    const Bytes arrived = host.image.first(each.target_extent());
    std::fill(returned.begin(), returned.end(), kPoison);
    // Not by memset, so that its faults do not look like faults of copies.
    copy(target.data(), host.poison.data(), each.target_extent(), cudaMemcpyHostToDevice, stream);
    copy(target.data() + each.target_at(), sent.data(), each.bytes, cudaMemcpyHostToDevice, stream);
    copy(&returned[each.source_at()], target.data() + each.target_at(), each.bytes,
         cudaMemcpyDeviceToHost, stream);
    copy(arrived.data(), target.data(), each.target_extent(), cudaMemcpyDeviceToHost, stream);
    synchronize(stream, subject);
    const bool right = expect_region(arrived, each.target_at(), sent,
                                     {subject, "copy to the GPU", host_copy_wrong, each}) &&
                       expect_region(returned, each.source_at(), sent,
                                     {subject, "copy to the GPU and back", host_copy_wrong, each});
    if (!right) return;
    bytes += each.bytes;
  }
  verified(bytes, "bytes, to the GPU and back");
}

TEST_F(Transfers, PinnedBytesComeBackUnchangedAtAnySizeAndOffset) {
  claim("Copies between page-locked host memory and a device change exactly the bytes they name",
        "CUDA Runtime API: cudaMemcpyAsync; CUDA C++ Programming Guide: Page-Locked Host Memory");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t bytes = room(device);
    const PinnedBuffer<std::uint8_t> source(bytes), poison(bytes), back(bytes), image(bytes);
    round_trips(device, {source.span(), poison.span(), back.span(), image.span()});
  });
}

TEST_F(Transfers, PageableBytesComeBackUnchangedAtAnySizeAndOffset) {
  claim("Copies between pageable host memory and a device change exactly the bytes they name",
        "CUDA Runtime API: cudaMemcpyAsync; API synchronization behavior");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t bytes = room(device);
    std::vector<std::uint8_t> source(bytes), poison(bytes), back(bytes), image(bytes);
    round_trips(device, {source, poison, back, image});
  });
}

TEST_F(Transfers, MemsetSetsItsBytesAndNoOthers) {
  claim("cudaMemsetAsync gives exactly the bytes it names the value it is given",
        "CUDA Runtime API: cudaMemsetAsync");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    constexpr std::uint8_t kValues[] = {0x00, 0xFF, 0x3C};
    const Subject subject = device.subject();
    const Stream stream;
    const DeviceBuffer<std::uint8_t> target(room(device));
    const PinnedBuffer<std::uint8_t> poison(room(device)), image(room(device));
    std::memset(poison.data(), kPoison, poison.size());
    std::vector<std::uint8_t> expected(most_bytes(device));
    std::uint64_t bytes = 0;
    for (const std::uint8_t value : kValues) {
      std::fill(expected.begin(), expected.end(), value);
      for (const Case& each : cases(device)) {
        const Bytes arrived = image.span().first(each.target_extent());
        copy(target.data(), poison.data(), each.target_extent(), cudaMemcpyHostToDevice, stream);
        ensure(CONFORMANCE_CALL(
            cudaMemsetAsync(target.data() + each.target_at(), value, each.bytes, stream.get())));
        copy(arrived.data(), target.data(), each.target_extent(), cudaMemcpyDeviceToHost, stream);
        synchronize(stream, subject);
        if (!expect_region(
                arrived, each.target_at(), Bytes(expected).first(each.bytes),
                {subject, fmt::format("memset to {:#04x}", value), memset_wrong, each})) {
          return;
        }
        bytes += each.bytes;
      }
    }
    verified(bytes, "bytes set");
  });
}

TEST_F(Transfers, DeviceCopiesMoveTheirBytesAndNoOthers) {
  claim("A copy within a device's memory changes exactly the bytes it names",
        "CUDA Runtime API: cudaMemcpyAsync");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const Subject subject = device.subject();
    const Stream stream;
    const DeviceBuffer<std::uint8_t> source(room(device)), target(room(device));
    const PinnedBuffer<std::uint8_t> pattern(room(device)), poison(room(device)),
        image(room(device));
    write_pattern(pattern.span());
    std::memset(poison.data(), kPoison, poison.size());
    copy(source.data(), pattern.data(), pattern.size(), cudaMemcpyHostToDevice, stream);
    std::uint64_t bytes = 0;
    for (const Case& each : cases(device)) {
      const Bytes arrived = image.span().first(each.target_extent());
      copy(target.data(), poison.data(), each.target_extent(), cudaMemcpyHostToDevice, stream);
      copy(target.data() + each.target_at(), source.data() + each.source_at(), each.bytes,
           cudaMemcpyDeviceToDevice, stream);
      copy(arrived.data(), target.data(), each.target_extent(), cudaMemcpyDeviceToHost, stream);
      synchronize(stream, subject);
      if (!expect_region(arrived, each.target_at(),
                         pattern.span().subspan(each.source_at(), each.bytes),
                         {subject, "copy within the GPU", device_copy_wrong, each})) {
        return;
      }
      bytes += each.bytes;
    }
    verified(bytes, "bytes copied");
  });
}

TEST_F(Transfers, ALargeDeviceCopyArrivesWordForWord) {
  claim("A copy within a device's memory moves every word to its place",
        "CUDA Runtime API: cudaMemcpyAsync");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t words =
        scaled_bytes(256 * kMebi, device.total_memory) / sizeof(std::uint64_t);
    const Pattern pattern{.seed = Session::current().settings().seed};
    const Stream stream;
    PatternCheck check(stream);
    const DeviceBuffer<std::uint64_t> source(words);
    const auto target = DeviceBuffer<std::uint64_t>::poisoned(words, stream.get());
    fill(source.data(), words, pattern, stream);
    copy(target.data(), source.data(), source.bytes(), cudaMemcpyDeviceToDevice, stream);
    check.expect(target.data(), words, pattern, device_copy_wrong, device.subject(),
                 "copy within the GPU");
    verified(words, "words copied");
  });
}

TEST_F(Transfers, RegisteredBytesComeBackUnchangedAtAnySizeAndOffset) {
  claim("Copies between registered host memory and a device change exactly the bytes they name",
        "CUDA Runtime API: cudaHostRegister, cudaMemcpyAsync");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t bytes = room(device);
    const PageableMemory source(bytes), poison(bytes), back(bytes), image(bytes);
    const Registration all[] = {Registration(source.span()), Registration(poison.span()),
                                Registration(back.span()), Registration(image.span())};
    round_trips(device, {source.span(), poison.span(), back.span(), image.span()});
  });
}

/// The way of very many bytes, from odd addresses to odd ones, to the host and back. What came is
/// looked at by the device: the host would take longer than the copies do.
void large_round_trip(const CudaDevice& device, Bytes host, std::string_view kind) {
  constexpr std::size_t kOnDevice = 3, kOnHost = 5, kAligned = 16;
  const Subject subject = device.subject();
  const std::size_t bytes = host.size() - kOnHost - kGuard;
  const std::size_t words = (bytes + kOnDevice + kGuard) / sizeof(std::uint64_t) + 1;
  const Stream stream;
  DeviceResult<kernels::Mismatch> arrived(stream), beside(stream);
  const DeviceBuffer<std::uint64_t> sent(words);
  const auto returned = DeviceBuffer<std::uint64_t>::poisoned(words, stream.get());
  auto* const from = static_cast<std::uint8_t*>(static_cast<void*>(sent.data()));
  auto* const to = static_cast<std::uint8_t*>(static_cast<void*>(returned.data()));
  // A pattern of its own, so that what another GPU left on the host does not pass for its own.
  fill(sent.data(), words,
       {.seed = kernels::pattern_word(static_cast<std::uint64_t>(device.ordinal) + 1,
                                      Session::current().settings().seed)},
       stream);
  std::fill(host.begin(), host.begin() + kOnHost, kPoison);
  std::fill(host.end() - kGuard, host.end(), kPoison);
  copy(&host[kOnHost], from + kOnDevice, bytes, cudaMemcpyDeviceToHost, stream);
  copy(to + kOnDevice, &host[kOnHost], bytes, cudaMemcpyHostToDevice, stream);
  const auto compare = [&](std::size_t first, std::size_t end) {
    ensure(CONFORMANCE_CALL(kernels::compare_bytes(to + first, from + first, end - first,
                                                   arrived.data(), stream.get())));
  };
  compare(kOnDevice, kAligned);
  compare(kAligned, kOnDevice + bytes);
  const auto watch = [&](std::size_t first, std::size_t count) {
    ensure(CONFORMANCE_CALL(
        kernels::check_bytes(to + first, count, kPoison, beside.data(), stream.get())));
  };
  watch(0, kOnDevice);
  watch(kOnDevice + bytes, kGuard);
  const kernels::Mismatch wrong = arrived.take(subject);
  const Transfer transfer{subject,
                          fmt::format("copy from the GPU to {} memory and back", kind),
                          host_copy_wrong,
                          {bytes, kOnDevice, kOnHost}};
  expect(wrong.count == 0,
         transfer.finding(host_copy_wrong, fmt::format("{} bytes are wrong", wrong.count),
                          {{"wrong_bytes", std::uint64_t{wrong.count}}}));
  const bool host_kept = !first_changed_poison(host, 0, kOnHost) &&
                         !first_changed_poison(host, host.size() - kGuard, host.size());
  expect(beside.take(subject).count == 0 && host_kept,
         transfer.finding(stray_write, "bytes beside its own were changed", {}));
  verified(2 * bytes, "bytes, to the host and back");
}

TEST_F(Transfers, LargeRoundTripsAreRightForEveryKindOfHostMemory) {
  claim(
      "Copies of up to a gibibyte between a device and page-locked, registered and pageable host "
      "memory change exactly the bytes they name",
      "CUDA Runtime API: cudaMemcpyAsync; API synchronization behavior");
  const CudaInventory& devices = require(Devices{1});
  const auto smallest = std::min_element(devices.begin(), devices.end(), [](auto& a, auto& b) {
    return a.total_memory < b.total_memory;
  });
  const auto each = [&](Bytes host, std::string_view kind) {
    for (const CudaDevice& device : devices) {
      guarded(device.subject(), [&] {
        ensure(CONFORMANCE_CALL(cudaSetDevice(device.ordinal)));
        large_round_trip(device, host, kind);
      });
    }
  };
  guarded(host_subject(), [&] {
    ensure(CONFORMANCE_CALL(cudaSetDevice(devices.front().ordinal)));
    constexpr std::size_t kAround = 2 * kGuard;
    const std::size_t most = scaled_bytes(1024 * kMebi, smallest->total_memory);
    const std::size_t less = scaled_bytes(256 * kMebi, smallest->total_memory);
    // One buffer for all GPUs, one after the other: page-locking takes longer than the copies do.
    const PageableMemory memory(most + kAround);
    each(memory.span().first(less + kAround), "pageable");
    {
      const Registration registration(memory.span());
      each(memory.span(), "registered");
    }
    const PinnedBuffer<std::uint8_t> pinned(less + kAround);
    each(pinned.span(), "page-locked");
  });
}

}  // namespace
}  // namespace conformance::memory
