#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fixtures/status.h"

namespace conformance::memory {

/// The host's NUMA nodes that have both processors and memory, as /sys under `root` lists them;
/// empty if it does not. (A node with memory only may be a GPU's.)
std::vector<int> host_nodes(const std::string& root);

/// "0-2,5" -> 0, 1, 2, 5: how the kernel writes lists. What is not understood is left out.
std::vector<int> parse_number_list(const std::string& text);

/// Memory of the system's own making, as malloc would yield it; whole pages, each of them touched.
class PageableMemory {
 public:
  static constexpr int kAnyNode = -1;
  /// Throws StatusError, of API "suite", if the system has none, or none on that node.
  explicit PageableMemory(std::size_t bytes, int node = kAnyNode);
  PageableMemory(const PageableMemory&) = delete;
  PageableMemory& operator=(const PageableMemory&) = delete;
  ~PageableMemory();
  std::span<std::uint8_t> span() const { return bytes_; }

 private:
  std::span<std::uint8_t> bytes_;
};

/// Page-locks memory of others, for all devices, as long as it lives.
class Registration {
 public:
  /// Throws StatusError.
  explicit Registration(std::span<std::uint8_t> bytes);
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration();

 private:
  std::span<std::uint8_t> bytes_;
};

}  // namespace conformance::memory
