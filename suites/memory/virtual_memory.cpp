// Memory and addresses apart: is what is mapped what was made, wherever it is mapped, and is it
// within the reach of those who were given access, and of no others?

#include <bit>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/child_task.h"
#include "fixtures/cuda_pattern.h"
#include "fixtures/deadline.h"
#include "fixtures/gpu_test.h"
#include "fixtures/jobs.h"
#include "fixtures/mapped_memory.h"
#include "suites/memory/findings.h"

namespace conformance::memory {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;
constexpr const char* kSource = "CUDA Driver API: Virtual Memory Management";

class VirtualMemory : public GpuTest {
 protected:
  /// The GPUs, with the driver's functions at hand. Ends the test as skipped if one of them has no
  /// virtual memory management. First line after the claim.
  const CudaInventory& open() {
    const CudaInventory& devices = require(Devices{1});
    cuda_.emplace(DriverTable::open());
    skip_without(*cuda_, devices, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                 "virtual memory management");
    return devices;
  }
  const DriverTable& cuda() const { return *cuda_; }

  /// The size of a piece of memory, if `wanted` would be fit for a large GPU: whole granules.
  std::size_t piece_of(const CudaDevice& device, std::size_t wanted_bytes) const {
    const std::size_t granule = granularity(cuda(), device.ordinal);
    const std::size_t wanted = scaled_bytes(wanted_bytes, device.total_memory);
    return (wanted + granule - 1) / granule * granule;
  }

  void allow(const CudaDevice& device, CUdeviceptr address, std::size_t bytes) const {
    ensure(CONFORMANCE_CALL(
        grant(cuda(), address, bytes, device.ordinal, CU_MEM_ACCESS_FLAGS_PROT_READWRITE)));
  }

 private:
  std::optional<DriverTable> cuda_;
};

std::uint64_t* words_at(CUdeviceptr address) { return std::bit_cast<std::uint64_t*>(address); }

TEST_F(VirtualMemory, WordsStayWithTheirMemoryWhereverItIsMapped) {
  claim(
      "Memory that is mapped at an address, at two addresses at a time, or at another one than "
      "before, is always the same memory, and pieces that are mapped side by side are used as one",
      kSource);
  for_each_device(open(), [&](const CudaDevice& device) {
    const std::size_t bytes = piece_of(device, 32 * kMebi);
    const std::size_t words = bytes / sizeof(std::uint64_t);
    const Pattern pattern{.seed = Session::current().settings().seed};
    const Stream stream;
    PatternCheck check(stream);
    const PhysicalMemory left(cuda(), device.ordinal, bytes), right(cuda(), device.ordinal, bytes);
    const AddressRange range(cuda(), 2 * bytes), other(cuda(), 2 * bytes);
    const auto expect_words = [&](CUdeviceptr address, std::size_t first, std::size_t count,
                                  const Pattern& expected, std::string_view what) {
      check.compare(words_at(address), count, expected, first);
      const kernels::PatternMismatch mismatch = check.result(device.subject());
      if (expect(mismatch.count == 0, mismatch_finding(mapping_wrong, device.subject(), what,
                                                       mismatch, count, expected))) {
        verified(count, "words");
      }
    };
    {
      Mapping first(cuda(), range.at(0), left), second(cuda(), range.at(bytes), right);
      allow(device, range.at(0), 2 * bytes);
      fill(words_at(range.at(0)), 2 * words, pattern, stream);
      expect_words(range.at(0), 0, 2 * words, pattern, "two pieces of memory side by side");
      {
        const Mapping again(cuda(), other.at(0), right), too(cuda(), other.at(bytes), left);
        allow(device, other.at(0), 2 * bytes);
        expect_words(other.at(0), words, words, pattern, "the second piece at a second address");
        expect_words(other.at(bytes), 0, words, pattern, "the first piece at a second address");
        fill(words_at(other.at(0)), words, pattern.complement(), stream, words);
        synchronize(stream, device.subject());
      }
      expect_words(range.at(bytes), words, words, pattern.complement(),
                   "the second piece after it was written by its second address");
      first.unmap();
      second.unmap();
    }
    const Mapping moved(cuda(), range.at(0), right);
    allow(device, range.at(0), bytes);
    expect_words(range.at(0), words, words, pattern.complement(),
                 "the second piece at the first one's address");
  });
}

TEST_F(VirtualMemory, AMappingHasTheAccessThatItWasGivenLast) {
  claim(
      "A new mapping is accessible to nobody, cuMemGetAccess yields what cuMemSetAccess has set, "
      "copies that need more are refused with cudaErrorInvalidValue, and what was unmapped and "
      "mapped again starts anew",
      kSource);
  for_each_device(open(), [&](const CudaDevice& device) {
    const std::size_t bytes = granularity(cuda(), device.ordinal);
    const PhysicalMemory memory(cuda(), device.ordinal, bytes);
    const AddressRange range(cuda(), bytes);
    const CUmemLocation here{CU_MEM_LOCATION_TYPE_DEVICE, device.ordinal};
    const auto expect_access = [&](CUmemAccess_flags expected, std::string_view when) {
      unsigned long long found = 0;
      ensure(CONFORMANCE_CALL(cuda().cuMemGetAccess(&found, &here, range.at(0))));
      if (expect(
              found == static_cast<unsigned long long>(expected),
              Finding(access_wrong, device.subject(),
                      fmt::format("{} the device's access is {}, not {}", when, found,
                                  static_cast<int>(expected)),
                      {{"found", std::uint64_t{found}}, {"expected", std::int64_t{expected}}}))) {
        verified(1, "states of access");
      }
    };
    const Stream stream;
    const PinnedBuffer<std::uint64_t> word(1);
    const auto expect_copy = [&](const char* way, cudaError_t found, bool allowed) {
      const cudaError_t expected = allowed ? cudaSuccess : cudaErrorInvalidValue;
      if (expect(found == expected,
                 Finding(access_wrong, device.subject(),
                         fmt::format("a copy {} mapped memory answered {}, not {}", way,
                                     cudaGetErrorName(found), cudaGetErrorName(expected)),
                         {{"code", std::int64_t{found}}, {"expected", std::int64_t{expected}}}))) {
        verified(1, "copies");
      }
      cudaGetLastError();
    };
    const auto expect_copies = [&](CUmemAccess_flags access) {
      auto* const mapped = words_at(range.at(0));
      expect_copy("from",
                  cudaMemcpyAsync(word.data(), mapped, sizeof(word[0]), cudaMemcpyDeviceToHost,
                                  stream.get()),
                  access != CU_MEM_ACCESS_FLAGS_PROT_NONE);
      expect_copy("to",
                  cudaMemcpyAsync(mapped, word.data(), sizeof(word[0]), cudaMemcpyHostToDevice,
                                  stream.get()),
                  access == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
      synchronize(stream, device.subject());
    };
    for (const char* when : {"before it was set", "of a new mapping at the same address"}) {
      const Mapping mapping(cuda(), range.at(0), memory);
      expect_access(CU_MEM_ACCESS_FLAGS_PROT_NONE, when);
      for (const auto access :
           {CU_MEM_ACCESS_FLAGS_PROT_READWRITE, CU_MEM_ACCESS_FLAGS_PROT_READ,
            CU_MEM_ACCESS_FLAGS_PROT_NONE, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}) {
        ensure(CONFORMANCE_CALL(grant(cuda(), range.at(0), bytes, device.ordinal, access)));
        expect_access(access, fmt::format("set to {}", static_cast<int>(access)));
        expect_copies(access);
      }
    }
  });
}

/// What kernels may do with mapped memory once its access was changed, as a process of its own
/// tells it: a wrong access costs the contexts of all devices in its process.
struct Touched {
  int allowed = -1;  ///< the kernel's code before the change
  int granted = -1;  ///< the code of the change
  int read = -1;     ///< that of a kernel that loads after it, if it may
  int tried = -1;    ///< that of a kernel that does what it may no longer do
};
Touched touch(const CudaDevice& device, CUmemAccess_flags access, const char* operation) {
  ChildOptions options = child_task("touch-mapping", {std::to_string(static_cast<int>(access)),
                                                      operation, std::to_string(device.ordinal)});
  options.deadline = deadline_of(std::chrono::seconds(45));
  // The fault is meant: no debugger or core dump is to be woken by it.
  options.environment["CUDA_ENABLE_COREDUMP_ON_EXCEPTION"] = std::nullopt;
  const ChildResult child = run_child(options);
  std::istringstream answer(child.output);
  Touched touched;
  const bool read =
      !!(answer >> touched.allowed >> touched.granted >> touched.read >> touched.tried);
  if (!child.succeeded() || !read) {
    fail_and_end(Finding(child_failed, device.subject(),
                         fmt::format("the process that was to touch mapped memory {}; it wrote "
                                     "\"{}\" and \"{}\"",
                                     child.describe(), child.output, child.error)));
  }
  return touched;
}

TEST_F(VirtualMemory, KernelsTouchOnlyWhatTheyHaveAccessTo) {
  claim(
      "A kernel loads from and stores to mapped memory as far as its device was given access, and "
      "ends with cudaErrorIllegalAddress otherwise",
      kSource);
  const CudaInventory& devices = open();
  const auto expect_kernel = [&](int found, cudaError_t expected, const std::string& what,
                                 const Subject& subject) {
    if (expect(found == expected,
               Finding(access_wrong, subject,
                       fmt::format("{} ended with {} ({}), not {} ({})", what,
                                   cudaGetErrorName(static_cast<cudaError_t>(found)), found,
                                   cudaGetErrorName(expected), static_cast<int>(expected)),
                       {{"code", std::int64_t{found}}, {"expected", std::int64_t{expected}}}))) {
      verified(1, "kernels");
    }
  };
  const std::pair<CUmemAccess_flags, const char*> forbidden[] = {
      {CU_MEM_ACCESS_FLAGS_PROT_NONE, "load"}, {CU_MEM_ACCESS_FLAGS_PROT_READ, "store"}};
  const auto expect_touches = [&](const CudaDevice& device, CUmemAccess_flags access,
                                  const char* operation) {
    const Touched touched = touch(device, access, operation);
    const Subject subject = device.subject();
    expect_kernel(touched.allowed, cudaSuccess,
                  fmt::format("a {} with access to read and write", operation), subject);
    ensure(to_status(static_cast<CUresult>(touched.granted), "cuMemSetAccess in a child process"));
    expect_kernel(touched.read, cudaSuccess, "a load with access to read", subject);
    expect_kernel(touched.tried, cudaErrorIllegalAddress,
                  fmt::format("a {} with access {}", operation, static_cast<int>(access)), subject);
  };
  // All processes at once: most of their time goes into starting.
  std::vector<Job> jobs;
  for (const CudaDevice& device : devices) {
    for (const auto& each : forbidden) {
      jobs.push_back({device.subject(), [&] { expect_touches(device, each.first, each.second); }});
    }
  }
  run_all(jobs, status_finding);
}

TEST_F(VirtualMemory, MemoryIsUsedFromItsCreationToItsLastUse) {
  claim(
      "Memory counts as used once it is created, also while only a mapping holds it, and as free "
      "when handle and mappings are gone",
      kSource);
  for_each_device(open(), [&](const CudaDevice& device) {
    const std::size_t bytes = piece_of(device, 2048 * kMebi);
    const auto free_bytes = [] {
      std::size_t free = 0, total = 0;
      ensure(CONFORMANCE_CALL(cudaMemGetInfo(&free, &total)));
      return static_cast<std::int64_t>(free);
    };
    const AddressRange range(cuda(), bytes);
    // Others may allocate and free at the same time, but less than half of this, or not always.
    constexpr int kAttempts = 10;
    const auto half = static_cast<std::int64_t>(bytes / 2);
    std::int64_t held = 0, mapped = 0, left = 0;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const std::int64_t before = free_bytes();
      PhysicalMemory memory(cuda(), device.ordinal, bytes);
      held = before - free_bytes();
      Mapping mapping(cuda(), range.at(0), memory);
      memory.release();
      mapped = before - free_bytes();
      mapping.unmap();
      left = before - free_bytes();
      if (held >= half && mapped >= half && left < half) {
        verified(3, "counts of free memory");
        return;
      }
    }
    fail(Finding(memory_not_returned, device.subject(),
                 fmt::format("of {} bytes, {} were used after their creation, {} when only a "
                             "mapping was left, and {} in the end",
                             bytes, held, mapped, left),
                 {{"bytes", std::uint64_t{bytes}},
                  {"used when created", held},
                  {"used when mapped only", mapped},
                  {"used in the end", left},
                  {"attempts", std::int64_t{kAttempts}}}));
  });
}

}  // namespace
}  // namespace conformance::memory
