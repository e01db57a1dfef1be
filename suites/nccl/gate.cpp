#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <fmt/format.h>

#include "fixtures/descriptor.h"
#include "fixtures/gpu_test.h"
#include "fixtures/host_facts.h"
#include "fixtures/version.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {
namespace {

class Gate : public GpuTest {};

/// What NCCL always puts into /dev/shm is less; and a segment of its, through which a GPU reaches
/// another one that it has no peer access to ("size 9637888" in NCCL's own messages).
constexpr std::uint64_t kControlBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kSegmentBytes = 9'637'888;

/// The size that a line of the mount table limits /dev/shm to; nothing if none does.
std::optional<std::uint64_t> shared_memory_limit(const std::string& mounts) {
  std::optional<std::uint64_t> limit;
  std::istringstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    std::string device, point, type, options;
    std::istringstream(line) >> device >> point >> type >> options;
    if (point != "/dev/shm") continue;
    limit.reset();  // the last one counts
    const std::string::size_type size = ("," + options).find(",size=");
    if (size == std::string::npos) continue;
    const char* const digits = options.c_str() + size + std::string_view("size=").size();
    char* unit = nullptr;
    const std::uint64_t number = std::strtoull(digits, &unit, 10);
    if (*unit == 'k') {
      limit = number << 10;
    } else if (*unit == 'm') {
      limit = number << 20;
    } else if (*unit == 'g') {
      limit = number << 30;
    } else if (*unit == ',' || *unit == '\0') {
      limit = number;
    }
  }
  return limit;
}

/// GPUs that have no peer access to some other one.
std::uint64_t gpus_without_peers(const CudaInventory& devices) {
  std::uint64_t count = 0;
  for (const CudaDevice& from : devices) {
    bool all = true;
    for (const CudaDevice& to : devices) {
      if (from.ordinal == to.ordinal) continue;
      int can = 0;
      ensure(CONFORMANCE_CALL(cudaDeviceCanAccessPeer(&can, from.ordinal, to.ordinal)));
      all = all && can != 0;
    }
    if (!all) ++count;
  }
  return count;
}

std::string locked_memory_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return fmt::format("{} bytes", std::uint64_t{limit.rlim_cur});
}

/// Has the system read the library's file while CUDA starts: NCCL loads most of it for the first
/// communicator, in pieces, which takes many seconds where the disk is slow.
void read_ahead() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&ncclGetVersion), &info) == 0) return;
  const Descriptor file(::open(info.dli_fname, O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_WILLNEED);
}

TEST_F(Gate, TheLibraryFitsTheHeadersItWasBuiltWith) {
  claim("The NCCL in use has the major version of the headers and is no older than they are",
        "NCCL: ncclGetVersion, NCCL_VERSION_CODE");
  guarded(host_subject(), [] {
    read_ahead();
    int number = 0;
    ensure(CONFORMANCE_CALL(ncclGetVersion(&number)));
    const LibraryVersion headers{NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH};
    const LibraryVersion library = parse_nccl_version(number).value_or(LibraryVersion{});
    fact("nccl.version", library.text());
    fact("nccl.environment", nccl_environment());
    expect(library.major == headers.major && library >= headers,
           Finding(version_mismatch, host_subject(),
                   fmt::format("the library says {}, which is {}; the headers are {}", number,
                               library.text(), headers.text()),
                   {{"library", library.text()}, {"headers", headers.text()}}));
    verified(1, "versions");
  });
}

TEST_F(Gate, SharedMemoryHasRoomForEveryRank) {
  claim(
      "/dev/shm has room for the segments through which GPUs without peer access reach each other",
      "NCCL: Troubleshooting, Sharing Data; Docker (--shm-size)");
  const CudaInventory& devices = require(Devices{1});
  guarded(host_subject(), [&] {
    const std::string root = Session::current().settings().host_root;
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(root + "/dev/shm", error);
    std::uint64_t size = error ? 0 : std::uint64_t{space.capacity};
    if (const auto mounts = read_text_file(root + "/proc/mounts")) {
      size = std::min(size, shared_memory_limit(*mounts).value_or(size));
    }
    const std::uint64_t room = std::min(size, error ? 0 : std::uint64_t{space.available});
    const std::uint64_t needed = kControlBytes + kSegmentBytes * gpus_without_peers(devices);
    fact("nccl.shared-memory", fmt::format("{} bytes, {} needed", size, needed));
    fact("nccl.locked-memory", locked_memory_limit());
    expect(room >= needed,
           Finding(shared_memory_full, {"file", "/dev/shm"},
                   error ? fmt::format("/dev/shm: {}", error.message())
                         : fmt::format("there is room for {} bytes; {} ranks need {}", room,
                                       devices.size(), needed),
                   {{"room_bytes", room}, {"needed_bytes", needed}}));
    verified(devices.size(), "ranks");
  });
}

TEST_F(Gate, EachGpuIsThereOnceWithUnifiedMemory) {
  claim("The GPUs are different ones, as ranks need, and have the unified memory that NCCL uses",
        "NCCL: Creating a Communicator; CUDA Runtime API: cudaDevAttrManagedMemory");
  const CudaInventory& devices = require(Devices{1});
  std::map<std::string, int> first;
  for (const CudaDevice& device : devices) {
    const auto [same, is_new] = first.emplace(device.uuid, device.ordinal);
    expect(is_new,
           Finding(duplicate_gpu, device.subject(),
                   fmt::format("GPU {} has the UUID of GPU {}", device.ordinal, same->second),
                   {{"uuid", device.uuid}}));
    expect(device.managed_memory,
           Finding(not_supported, device.subject(),
                   fmt::format("GPU {} has no unified memory (managedMemory is 0)", device.ordinal),
                   {{"managed_memory", false}}));
    verified(1, "GPUs");
  }
}

TEST_F(Gate, ACommunicatorOverAllGpusComesUp) {
  claim("A communicator over all GPUs comes up, and each rank has its size, number and GPU",
        "NCCL: ncclCommInitRankConfig, ncclCommCount, ncclCommUserRank, ncclCommCuDevice");
  const CudaInventory& devices = require(Devices{1});
  const Subject all{"communicator", "all GPUs"};
  guarded(all, [&] {
    Ranks ranks(devices, 4096);
    ranks.check_identities();
  });
}

}  // namespace
}  // namespace conformance::nccl
