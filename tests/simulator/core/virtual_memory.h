#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "tests/simulator/core/shared_memory.h"

namespace conformance::sim {

class Device;
struct Location;

/// Memory of a GPU that has no address by itself: what cuMemCreate makes. It counts as used until
/// the last reference to it goes.
class PhysicalMemory {
 public:
  /// Null if the GPU has too little left.
  static std::shared_ptr<PhysicalMemory> create(Device& owner, std::size_t bytes);
  /// What another process exported as this file, which counts as used there; null if it is none.
  static std::shared_ptr<PhysicalMemory> import_file(int descriptor);
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;
  ~PhysicalMemory();

  Device& owner() const { return owner_; }
  std::size_t bytes() const { return bytes_; }
  /// A new descriptor of its file; -1 if the system refuses.
  int export_file() const;
  /// Shows it at `address`, from `shift` on and then from its start. False if the system refuses.
  bool show_at(char* address, std::size_t bytes, std::size_t shift) const;

 private:
  PhysicalMemory(Device& owner, std::shared_ptr<SharedMemory> file, std::size_t bytes, bool counted)
      : owner_(owner), file_(std::move(file)), bytes_(bytes), counted_(counted) {}

  Device& owner_;
  const std::shared_ptr<SharedMemory> file_;
  const std::size_t bytes_;
  const bool counted_;  ///< as used on its GPU
};

/// What a GPU may do with mapped memory; the values are those of CUmemAccess_flags.
enum class Access : unsigned { none = 0, read = 1, read_write = 3 };

/// The ranges of addresses of this process that were reserved, and what is mapped there.
/// Thread-safe. Whoever changes a mapping has waited for the work that may use it.
class VirtualMemory {
 public:
  /// Null if the system refuses.
  char* reserve(std::size_t bytes, std::size_t alignment);
  /// False if this is not a reservation as it was made, or something is mapped in it.
  bool free(char* address, std::size_t bytes);

  /// False unless the range lies in one reservation and nothing is mapped there.
  bool map(char* address, std::size_t bytes, std::shared_ptr<const PhysicalMemory> memory,
           std::size_t shift);
  /// False unless the range is that of whole mappings.
  bool unmap(char* address, std::size_t bytes);

  /// False unless the range is that of whole mappings.
  bool set_access(char* address, std::size_t bytes, int device, Access access);
  /// Nothing where nothing is mapped.
  std::optional<Access> access(const char* address, int device) const;
  /// Whether a GPU may read, or write, all of the range; everything that is not mapped here is none
  /// of this class's business, and allowed.
  bool allows(const void* address, std::size_t bytes, int device, bool writes) const;

  /// Null where nothing is mapped.
  std::shared_ptr<const PhysicalMemory> memory_at(const char* address) const;
  /// The mapping at an address, together with those behind it that follow without a gap on the same
  /// GPU.
  Location find(const char* address) const;

 private:
  struct Mapping {
    std::shared_ptr<const PhysicalMemory> memory;
    std::size_t bytes = 0;
    std::map<int, Access> access;  ///< by GPU; none where it is not said
  };
  using Mappings = std::map<char*, Mapping>;

  // With the lock held.
  Mappings::const_iterator at(const char* address) const;
  /// Calls `each` with the mappings that make up the range; false, without a call, if it is not
  /// one of whole mappings.
  bool for_whole_mappings(char* address, std::size_t bytes,
                          const std::function<void(Mappings::iterator)>& each);

  mutable std::mutex mutex_;
  std::map<char*, std::size_t> reservations_;
  Mappings mappings_;
};

}  // namespace conformance::sim
