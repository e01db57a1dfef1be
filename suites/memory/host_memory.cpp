#include "suites/memory/host_memory.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "fixtures/cuda_status.h"
#include "fixtures/host_facts.h"

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

std::vector<int> parse_number_list(const std::string& text) {
  std::vector<int> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    int first = 0;
    auto read = std::from_chars(at, end, first);
    int last = first;
    if (read.ec == std::errc() && read.ptr < end && *read.ptr == '-') {
      read = std::from_chars(read.ptr + 1, end, last);
    }
    if (read.ec == std::errc() && first >= 0 && last - first < 4096) {
      for (int number = first; number <= last; ++number) numbers.push_back(number);
    }
    at = std::find(read.ptr, end, ',');
    if (at < end) ++at;
  }
  return numbers;
}

std::vector<int> host_nodes(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/node/";
  const Reading<std::string> cpu = read_text_file(folder + "has_cpu");
  const Reading<std::string> memory = read_text_file(folder + "has_memory");
  if (!cpu || !memory) return {};
  const std::vector<int> with_cpu = parse_number_list(*cpu),
                         with_memory = parse_number_list(*memory);
  std::vector<int> both;
  std::copy_if(with_cpu.begin(), with_cpu.end(), std::back_inserter(both), [&](int node) {
    return std::find(with_memory.begin(), with_memory.end(), node) != with_memory.end();
  });
  return both;
}

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
