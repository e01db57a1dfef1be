#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fixtures/status.h"

namespace conformance::memory {

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
