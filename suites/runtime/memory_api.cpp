#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/held_stream.h"
#include "kernels/runtime_probe.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/words.h"

namespace conformance::runtime {
namespace {

class MemoryApi : public GpuTest {};

using Byte = unsigned char;

constexpr Byte kPoison = 0xA5, kFill = 0x3C;

/// A byte of the data that is copied: never one of the above.
constexpr Byte data_byte(std::size_t index) { return static_cast<Byte>(index * 37 % 0x3B); }

/// Each byte must be what `expected` says of its index; otherwise one finding says how many are not
/// and which is the first. Counts the bytes.
template <typename Expected>
void expect_bytes(std::span<const Byte> bytes, const Expected& expected, std::string_view what,
                  const Subject& subject) {
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != expected(i) && wrong++ == 0) first = i;
  }
  expect(wrong == 0,
         Finding(wrong_memory, subject,
                 fmt::format("{}: {} of {} bytes are wrong, the first at offset {}", what, wrong,
                             bytes.size(), first),
                 {{"wrong", std::uint64_t{wrong}}, {"first_offset", std::uint64_t{first}}}));
  verified(bytes.size(), "bytes");
}

void poison(const PinnedBuffer<Byte>& buffer) {
  std::fill(buffer.span().begin(), buffer.span().end(), kPoison);
}

/// Memory that is given back by cudaFree.
using Allocation = std::unique_ptr<void, detail::FreeDevice>;

TEST_F(MemoryApi, RowsOfPitchedMemoryAreCopiedAndFilledWithoutTheirGaps) {
  claim(
      "Two-dimensional copies and fills change the bytes of their rows and none between them, "
      "whatever the width",
      "CUDA Runtime API, Memory Management: cudaMallocPitch, cudaMemcpy2DAsync, cudaMemset2DAsync");
  constexpr std::size_t kRows = 9;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    for (const std::size_t width : {1, 3, 127, 513, 1021, 4099}) {
      void* memory = nullptr;
      std::size_t pitch = 0;
      ensure(CONFORMANCE_CALL(cudaMallocPitch(&memory, &pitch, width, kRows)));
      const Allocation owner(memory);
      auto* const rows = static_cast<Byte*>(memory);
      if (!expect(pitch >= width,
                  Finding(wrong_memory, device.subject(),
                          fmt::format("rows of {} bytes have a pitch of {}", width, pitch)))) {
        continue;
      }
      const std::size_t host_pitch = width + 13;
      const PinnedBuffer<Byte> source(host_pitch * kRows), target(host_pitch * kRows),
          all(pitch * kRows);
      for (std::size_t i = 0; i < source.size(); ++i) source[i] = data_byte(i);
      poison(target);
      ensure(CONFORMANCE_CALL(cudaMemsetAsync(rows, kPoison, pitch * kRows, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpy2DAsync(rows, pitch, source.data(), host_pitch, width,
                                                kRows, cudaMemcpyHostToDevice, stream.get())));
      // The last byte of each row but the first.
      ensure(CONFORMANCE_CALL(
          cudaMemset2DAsync(rows + pitch + width - 1, pitch, kFill, 1, kRows - 1, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpy2DAsync(all.data(), pitch, rows, pitch, pitch, kRows,
                                                cudaMemcpyDeviceToHost, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpy2DAsync(target.data(), host_pitch, rows, pitch, width,
                                                kRows, cudaMemcpyDeviceToHost, stream.get())));
      synchronize(stream, device.subject());
      const auto expected = [&](std::size_t row, std::size_t column) {
        if (column >= width) return kPoison;
        if (row > 0 && column == width - 1) return kFill;
        return data_byte(row * host_pitch + column);
      };
      expect_bytes(
          all.span(), [&](std::size_t i) { return expected(i / pitch, i % pitch); },
          fmt::format("rows of {} bytes on the GPU", width), device.subject());
      expect_bytes(
          target.span(), [&](std::size_t i) { return expected(i / host_pitch, i % host_pitch); },
          fmt::format("rows of {} bytes on the host", width), device.subject());
    }
  });
}

TEST_F(MemoryApi, ABoxOfThreeDimensionalMemoryIsCopiedAndFilledAlone) {
  claim("Three-dimensional copies and fills change the bytes of their box and none beside it",
        "CUDA Runtime API, Memory Management: cudaMalloc3D, cudaMemcpy3DAsync, cudaMemset3DAsync");
  constexpr std::size_t kWidth = 101, kHeight = 7, kDepth = 5;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    cudaPitchedPtr memory{};
    ensure(CONFORMANCE_CALL(cudaMalloc3D(&memory, cudaExtent{kWidth, kHeight, kDepth})));
    const Allocation owner(memory.ptr);
    const std::size_t bytes = memory.pitch * kHeight * kDepth;
    const PinnedBuffer<Byte> source(kWidth * kHeight * kDepth), all(bytes);
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = data_byte(i);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(memory.ptr, kPoison, bytes, stream.get())));
    // Filled: the first rows of the first planes. Copied: a box inside, which overlaps it.
    constexpr std::size_t kFilled[] = {50, 3, 2}, kFrom[] = {2, 1, 1}, kTo[] = {33, 2, 1},
                          kBox[] = {61, 4, 3};
    ensure(CONFORMANCE_CALL(cudaMemset3DAsync(
        memory, kFill, cudaExtent{kFilled[0], kFilled[1], kFilled[2]}, stream.get())));
    cudaMemcpy3DParms how{};
    how.srcPtr = {source.data(), kWidth, kWidth, kHeight};
    how.srcPos = {kFrom[0], kFrom[1], kFrom[2]};
    how.dstPtr = memory;
    how.dstPos = {kTo[0], kTo[1], kTo[2]};
    how.extent = {kBox[0], kBox[1], kBox[2]};
    how.kind = cudaMemcpyHostToDevice;
    ensure(CONFORMANCE_CALL(cudaMemcpy3DAsync(&how, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpy2DAsync(all.data(), memory.pitch, memory.ptr, memory.pitch,
                                              memory.pitch, kHeight * kDepth,
                                              cudaMemcpyDeviceToHost, stream.get())));
    synchronize(stream, device.subject());
    const auto inside = [](const std::array<std::size_t, 3>& at, const std::size_t(&from)[3],
                           const std::size_t(&size)[3]) {
      return std::equal(at.begin(), at.end(), from,
                        [](std::size_t a, std::size_t b) { return a >= b; }) &&
             at[0] < from[0] + size[0] && at[1] < from[1] + size[1] && at[2] < from[2] + size[2];
    };
    expect_bytes(
        all.span(),
        [&](std::size_t i) {
          const std::array<std::size_t, 3> at{i % memory.pitch, i / memory.pitch % kHeight,
                                              i / memory.pitch / kHeight};
          if (inside(at, kTo, kBox)) {
            return data_byte(((at[2] - kTo[2] + kFrom[2]) * kHeight + at[1] - kTo[1] + kFrom[1]) *
                                 kWidth +
                             at[0] - kTo[0] + kFrom[0]);
          }
          return inside(at, {0, 0, 0}, kFilled) ? kFill : kPoison;
        },
        "a box in three dimensions", device.subject());
  });
}

cudaMemoryType type_of(const void* address, int* ordinal = nullptr) {
  cudaPointerAttributes attributes{};
  ensure(CONFORMANCE_CALL(cudaPointerGetAttributes(&attributes, address)));
  if (ordinal != nullptr) *ordinal = attributes.device;
  return attributes.type;
}

void expect_type(const void* address, cudaMemoryType expected, std::string_view what,
                 const CudaDevice& device) {
  int ordinal = -1;
  const cudaMemoryType found = type_of(address, &ordinal);
  const bool owned = expected == cudaMemoryTypeDevice;
  expect(found == expected && (!owned || ordinal == device.ordinal),
         Finding(wrong_memory_kind, device.subject(),
                 fmt::format("{} is memory of type {} of device {}, not of type {}", what,
                             static_cast<int>(found), ordinal, static_cast<int>(expected)),
                 {{"found", std::int64_t{found}}, {"expected", std::int64_t{expected}}}));
  verified(1, "addresses");
}

/// Pages of plain host memory.
class Pages {
 public:
  static constexpr std::size_t kBytes = std::size_t{64} << 10;
  std::uint64_t* words() const { return memory_->words; }
  std::span<std::uint64_t> span() const { return memory_->words; }

 private:
  struct alignas(4096) Memory {
    std::uint64_t words[kBytes / sizeof(std::uint64_t)];
  };
  std::unique_ptr<Memory> memory_ = std::make_unique<Memory>();
};

TEST_F(MemoryApi, RegisteredHostMemoryIsReachedByKernelsUntilItIsUnregistered) {
  claim(
      "A kernel loads from and stores to host memory that was registered; registering it twice "
      "returns cudaErrorHostMemoryAlreadyRegistered, unregistering it twice "
      "cudaErrorHostMemoryNotRegistered",
      "CUDA Runtime API, Memory Management: cudaHostRegister, cudaHostGetDevicePointer, "
      "cudaHostUnregister");
  const CudaInventory& devices = require(Devices{1});
  skip_without(devices, cudaDevAttrHostRegisterSupported, "registered host memory");
  for_each_device(devices, [](const CudaDevice& device) {
    const Subject subject = device.subject();
    Stream stream;
    const Pages pages;
    std::fill(pages.span().begin(), pages.span().end(), std::uint64_t{7});
    expect_type(pages.words(), cudaMemoryTypeUnregistered, "plain host memory", device);
    ensure(
        CONFORMANCE_CALL(cudaHostRegister(pages.words(), Pages::kBytes, cudaHostRegisterMapped)));
    expect_code(cudaHostRegister(pages.words(), Pages::kBytes, cudaHostRegisterMapped),
                cudaErrorHostMemoryAlreadyRegistered, "registering memory twice", subject);
    cudaGetLastError();
    expect_type(pages.words() + 100, cudaMemoryTypeHost, "registered host memory", device);
    void* mapped = nullptr;
    ensure(CONFORMANCE_CALL(cudaHostGetDevicePointer(&mapped, pages.words(), 0)));
    auto* const words = static_cast<std::uint64_t*>(mapped);
    ensure(CONFORMANCE_CALL(kernels::advance(words, words, pages.span().size(), 5, stream.get())));
    synchronize(stream, subject);
    expect_all(pages.span(), kernels::advanced(7, 5), "registered host memory after a kernel",
               subject, wrong_memory);
    expect_code(cudaHostUnregister(pages.words()), cudaSuccess, "unregistering memory", subject);
    expect_code(cudaHostUnregister(pages.words()), cudaErrorHostMemoryNotRegistered,
                "unregistering memory twice", subject);
    cudaGetLastError();
    expect_type(pages.words(), cudaMemoryTypeUnregistered, "unregistered host memory", device);
  });
}

TEST_F(MemoryApi, EachAddressTellsItsKindOfMemory) {
  claim(
      "cudaPointerGetAttributes tells device memory with its device, page-locked and plain host "
      "memory, anywhere in an allocation",
      "CUDA Runtime API, Unified Addressing: cudaPointerGetAttributes");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const DeviceBuffer<Byte> on_device(4096);
    const PinnedBuffer<Byte> pinned(4096);
    const std::vector<Byte> plain(4096);
    for (const std::size_t offset : {0, 1, 4095}) {
      expect_type(on_device.data() + offset, cudaMemoryTypeDevice, "device memory", device);
      expect_type(pinned.data() + offset, cudaMemoryTypeHost, "page-locked memory", device);
      expect_type(plain.data() + offset, cudaMemoryTypeUnregistered, "plain host memory", device);
    }
  });
}

TEST_F(MemoryApi, MemoryIsReleasedOnce) {
  claim("Releasing memory a second time is refused with cudaErrorInvalidValue",
        "CUDA Runtime API, Memory Management: cudaFree, cudaFreeHost");
  // Between the two releases no other device's thread may get the same address.
  std::mutex one_at_a_time;
  for_each_device(require(Devices{1}), [&](const CudaDevice& device) {
    const std::lock_guard lock(one_at_a_time);
    void* memory = nullptr;
    ensure(CONFORMANCE_CALL(cudaMalloc(&memory, std::size_t{4} << 10)));
    expect_code(cudaFree(memory), cudaSuccess, "cudaFree", device.subject());
    expect_code(cudaFree(memory), cudaErrorInvalidValue, "a second cudaFree of an address",
                device.subject());
    cudaGetLastError();
    ensure(CONFORMANCE_CALL(cudaHostAlloc(&memory, std::size_t{4} << 10, cudaHostAllocDefault)));
    expect_code(cudaFreeHost(memory), cudaSuccess, "cudaFreeHost", device.subject());
    expect_code(cudaFreeHost(memory), cudaErrorInvalidValue, "a second cudaFreeHost of an address",
                device.subject());
    cudaGetLastError();
  });
}

TEST_F(MemoryApi, FreeMemoryFallsByWhatIsAllocated) {
  claim("cudaMemGetInfo counts allocated memory as not free, and as free again after its release",
        "CUDA Runtime API, Memory Management: cudaMemGetInfo");
  constexpr std::size_t kWanted = std::size_t{64} << 20;
  // Another process may release memory in between.
  constexpr int kAttempts = 5;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const std::size_t bytes = scaled_bytes(kWanted, device.total_memory);
    const auto free_bytes = [] {
      std::size_t free = 0, total = 0;
      ensure(CONFORMANCE_CALL(cudaMemGetInfo(&free, &total)));
      return free;
    };
    std::size_t before = 0, during = 0, after = 0;
    const auto right = [&] { return before >= during + bytes && after > during; };
    for (int attempt = 0; attempt < kAttempts && !(attempt > 0 && right()); ++attempt) {
      before = free_bytes();
      {
        const DeviceBuffer<Byte> memory(bytes);
        during = free_bytes();
      }
      after = free_bytes();
    }
    expect(right(),
           Finding(wrong_memory_count, device.subject(),
                   fmt::format("of {} free bytes {} were left after an allocation of {}, and {} "
                               "after its release",
                               before, during, bytes, after),
                   {{"before", std::uint64_t{before}},
                    {"during", std::uint64_t{during}},
                    {"after", std::uint64_t{after}},
                    {"allocated", std::uint64_t{bytes}}}));
    verified(1, "allocations");
  });
}

/// A memory pool of its own on a device, so that the default one stays as it is.
class Pool {
 public:
  explicit Pool(const CudaDevice& device) {
    cudaMemPoolProps properties{};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device.ordinal;
    cudaMemPool_t pool = nullptr;
    ensure(CONFORMANCE_CALL(cudaMemPoolCreate(&pool, &properties)));
    pool_.reset(pool);
  }
  cudaMemPool_t get() const { return pool_.get(); }
  std::uint64_t read(cudaMemPoolAttr attribute) const {
    std::uint64_t value = 0;
    ensure(CONFORMANCE_CALL(cudaMemPoolGetAttribute(pool_.get(), attribute, &value)));
    return value;
  }
  void* allocate(std::size_t bytes, const Stream& stream) const {
    void* memory = nullptr;
    ensure(CONFORMANCE_CALL(cudaMallocFromPoolAsync(&memory, bytes, pool_.get(), stream.get())));
    return memory;
  }

 private:
  struct Destroy {
    void operator()(cudaMemPool_t pool) const {
      if (cudaMemPoolDestroy(pool) != cudaSuccess) cudaGetLastError();
    }
  };
  std::unique_ptr<CUmemPoolHandle_st, Destroy> pool_;
};

TEST_F(MemoryApi, MemoryOfAPoolKeepsItsContentUntilItsReleaseIsReached) {
  claim(
      "Memory released by cudaFreeAsync is not given to other streams before the release is "
      "reached in its own",
      "CUDA C++ Programming Guide: Stream Ordered Memory Allocator");
  constexpr std::size_t kWords = 4096;
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  skip_without(devices, cudaDevAttrMemoryPoolsSupported, "memory pools");
  for_each_device(devices, [](const CudaDevice& device) {
    constexpr std::size_t kBytes = kWords * sizeof(std::uint64_t);
    const Pool pool(device);
    Stream owner, other;
    const DeviceBuffer<std::uint64_t> zeros(kWords);
    PinnedBuffer<std::uint64_t> seen_by_owner(kWords), seen_by_other(kWords);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(zeros.data(), 0, kBytes, owner.get())));
    auto* const first = static_cast<std::uint64_t*>(pool.allocate(kBytes, owner));
    // Loads the kernel.
    ensure(CONFORMANCE_CALL(kernels::advance(first, zeros.data(), kWords, 1, owner.get())));
    synchronize(owner, device.subject());

    HeldStream held(owner);
    ensure(CONFORMANCE_CALL(kernels::advance(seen_by_owner.data(), first, kWords, 3, owner.get())));
    ensure(CONFORMANCE_CALL(cudaFreeAsync(first, owner.get())));
    // If the pool gives out the same memory it must let this stream wait for the other one.
    auto* const second = static_cast<std::uint64_t*>(pool.allocate(kBytes, other));
    ensure(CONFORMANCE_CALL(kernels::advance(second, zeros.data(), kWords, 2, other.get())));
    ensure(
        CONFORMANCE_CALL(kernels::advance(seen_by_other.data(), second, kWords, 3, other.get())));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    held.release();
    synchronize(owner, device.subject());
    ensure(CONFORMANCE_CALL(cudaFreeAsync(second, other.get())));
    synchronize(other, device.subject());
    const auto expected = [](std::uint64_t step) {
      return kernels::advanced(kernels::advanced(0, step), 3);
    };
    expect_all(seen_by_owner.span(), expected(1), "memory that was to be released",
               device.subject());
    expect_all(seen_by_other.span(), expected(2), "memory of another stream", device.subject());
  });
}

TEST_F(MemoryApi, APoolCountsWhatItHoldsAndKeepsWhatItIsTold) {
  claim(
      "A pool counts the memory in use, keeps released memory up to its threshold, and gives it "
      "back to the system by cudaMemPoolTrimTo",
      "CUDA C++ Programming Guide: Stream Ordered Memory Allocator; CUDA Runtime API: "
      "cudaMemPoolTrimTo, cudaMemPoolGetAttribute");
  const CudaInventory& devices = require(Devices{1});
  skip_without(devices, cudaDevAttrMemoryPoolsSupported, "memory pools");
  for_each_device(devices, [](const CudaDevice& device) {
    const std::size_t bytes = scaled_bytes(std::size_t{8} << 20, device.total_memory);
    const Pool pool(device);
    Stream stream;
    const auto check = [&](bool right, std::string_view when) {
      const std::uint64_t used = pool.read(cudaMemPoolAttrUsedMemCurrent);
      const std::uint64_t reserved = pool.read(cudaMemPoolAttrReservedMemCurrent);
      expect(right, Finding(wrong_memory_count, device.subject(),
                            fmt::format("{} a pool uses {} of {} bytes", when, used, reserved),
                            {{"used", used}, {"reserved", reserved}}));
      verified(1, "states of a pool");
    };
    const auto used = [&] { return pool.read(cudaMemPoolAttrUsedMemCurrent); };
    const auto reserved = [&] { return pool.read(cudaMemPoolAttrReservedMemCurrent); };
    std::uint64_t keep_all = ~std::uint64_t{0};
    ensure(CONFORMANCE_CALL(
        cudaMemPoolSetAttribute(pool.get(), cudaMemPoolAttrReleaseThreshold, &keep_all)));
    check(used() == 0 && reserved() == 0, "before its first allocation");
    void* const memory = pool.allocate(bytes, stream);
    synchronize(stream, device.subject());
    check(used() >= bytes && reserved() >= used(), fmt::format("with {} bytes allocated", bytes));
    expect_type(memory, cudaMemoryTypeDevice, "memory of a pool", device);
    ensure(CONFORMANCE_CALL(cudaFreeAsync(memory, stream.get())));
    synchronize(stream, device.subject());
    check(used() == 0 && reserved() >= bytes, "after the release, with nothing to be given back,");
    // For a pool a query is no proof of the release's end; the stream is done, so this returns.
    ensure(CONFORMANCE_CALL(cudaStreamSynchronize(stream.get())));
    expect_code(cudaMemPoolTrimTo(pool.get(), 0), cudaSuccess, "cudaMemPoolTrimTo",
                device.subject());
    check(used() == 0 && reserved() == 0, "after cudaMemPoolTrimTo");
  });
}

}  // namespace
}  // namespace conformance::runtime
