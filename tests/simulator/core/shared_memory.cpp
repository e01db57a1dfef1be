#include "tests/simulator/core/shared_memory.h"

#include <ctime>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace conformance::sim {
namespace {

constexpr const char* kFileName = "conformance-sim";

/// Whether the link in /proc to an open file leads to one that create() made.
bool is_ours(const std::string& link) {
  char target[PATH_MAX];
  const ssize_t length = ::readlink(link.c_str(), target, sizeof(target));
  const std::string ours = std::string("/memfd:") + kFileName;
  return length >= 0 &&
         std::string_view(target, static_cast<std::size_t>(length)).rfind(ours, 0) == 0;
}

}  // namespace

std::shared_ptr<SharedMemory> SharedMemory::map(int file, std::size_t bytes, bool keep) {
  struct stat status {};
  void* data = MAP_FAILED;
  if (::fstat(file, &status) == 0) {
    data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  }
  if (data == MAP_FAILED || !keep) ::close(file);
  if (data == MAP_FAILED) return nullptr;
  const SharedName name{::getpid(), keep ? file : -1, status.st_ino};
  return std::shared_ptr<SharedMemory>(
      new SharedMemory(static_cast<char*>(data), bytes, name, keep ? file : -1));
}

std::shared_ptr<SharedMemory> SharedMemory::create(std::size_t bytes) {
  const int file = ::memfd_create(kFileName, MFD_CLOEXEC);
  if (file < 0) return nullptr;
  if (::ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    ::close(file);
    return nullptr;
  }
  return map(file, bytes, true);
}

std::shared_ptr<SharedMemory> SharedMemory::open(const SharedName& name) {
  const std::string path =
      "/proc/" + std::to_string(name.process) + "/fd/" + std::to_string(name.descriptor);
  // The number may mean something else by now, which must not be opened.
  if (!is_ours(path)) return nullptr;
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat status {};
  if (::fstat(file, &status) != 0 || status.st_ino != name.inode) {
    ::close(file);
    return nullptr;
  }
  return map(file, static_cast<std::size_t>(status.st_size), false);
}

std::shared_ptr<SharedMemory> SharedMemory::adopt(int descriptor) {
  if (!is_ours("/proc/self/fd/" + std::to_string(descriptor))) return nullptr;
  struct stat status {};
  const int file = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (file < 0) return nullptr;
  if (::fstat(file, &status) != 0) {
    ::close(file);
    return nullptr;
  }
  return map(file, static_cast<std::size_t>(status.st_size), true);
}

SharedMemory::~SharedMemory() {
  ::munmap(data_, bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

void wait_for_change(const std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  static_assert(sizeof(word) == sizeof(std::uint32_t));
  // An end to the wait, for whoever has to look at more than this word.
  const timespec longest{0, 50'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, &longest, nullptr, 0);
}

void announce_change(std::atomic<std::uint32_t>& word) {
  word.fetch_add(1);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

std::uint32_t checksum(const void* bytes, std::size_t count) {
  // FNV-1a.
  std::uint32_t sum = 2166136261u;
  const auto* byte = static_cast<const unsigned char*>(bytes);
  for (std::size_t i = 0; i < count; ++i) sum = (sum ^ byte[i]) * 16777619u;
  return sum;
}

}  // namespace conformance::sim
