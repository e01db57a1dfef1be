#include "suites/memory/host_memory.h"

#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/cuda_status.h"

namespace conformance::memory {
namespace {

// Of linux/mempolicy.h, which not every C library brings.
constexpr int kBind = 2;

[[noreturn]] void refuse(const std::string& call) {
  const int error = errno;
  throw StatusError(Status("suite", error, false, fmt::format("errno {}", error),
                           std::strerror(error), call, std::source_location::current()));
}

}  // namespace

PageableMemory::PageableMemory(std::size_t bytes, int node) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) refuse(fmt::format("mmap of {} bytes", bytes));
  bytes_ = {static_cast<std::uint8_t*>(memory), bytes};
  if (node != kAnyNode) {
    constexpr std::size_t kBits = 8 * sizeof(unsigned long);
    std::vector<unsigned long> mask(static_cast<std::size_t>(node) / kBits + 1);
    mask[static_cast<std::size_t>(node) / kBits] = 1UL << static_cast<std::size_t>(node) % kBits;
    // The kernel leaves out the last of the bits that it is told of.
    if (::syscall(SYS_mbind, memory, bytes, kBind, mask.data(), mask.size() * kBits + 1, 0) != 0) {
      const int error = errno;
      ::munmap(memory, bytes);
      errno = error;
      refuse(fmt::format("mbind to node {}", node));
    }
  }
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (std::size_t at = 0; at < bytes; at += page) bytes_[at] = 0;
}

PageableMemory::~PageableMemory() { ::munmap(bytes_.data(), bytes_.size()); }

Registration::Registration(std::span<std::uint8_t> bytes) : bytes_(bytes) {
  ensure(CONFORMANCE_CALL(cudaHostRegister(bytes.data(), bytes.size(), cudaHostRegisterPortable)));
}

Registration::~Registration() {
  if (const cudaError_t error = cudaHostUnregister(bytes_.data()); error != cudaSuccess) {
    fmt::print(stderr, "conformance: cudaHostUnregister in a destructor: {}\n",
               cudaGetErrorName(error));
  }
}

}  // namespace conformance::memory
