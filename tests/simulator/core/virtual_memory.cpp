#include "tests/simulator/core/virtual_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>

#include "tests/simulator/core/device.h"

namespace conformance::sim {
namespace {

/// Behind the memory in its file: what another process that is given the file must know of it.
struct Trailer {
  static constexpr std::uint64_t kMark = 0x6d656d6f72792121;
  std::uint64_t mark = kMark;
  std::int64_t gpu = -1;
  std::uint64_t bytes = 0;
};

/// Takes `bytes` at `address`, or anywhere, as addresses without memory.
char* take_addresses(char* address, std::size_t bytes) {
  void* const taken = ::mmap(
      address, bytes, PROT_NONE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (address != nullptr ? MAP_FIXED : 0), -1, 0);
  return taken == MAP_FAILED ? nullptr : static_cast<char*>(taken);
}

}  // namespace

std::shared_ptr<PhysicalMemory> PhysicalMemory::create(Device& owner, std::size_t bytes) {
  if (!owner.take(bytes)) return nullptr;
  auto file = SharedMemory::create(bytes + sizeof(Trailer));
  if (!file) {
    owner.give_back(bytes);
    return nullptr;
  }
  const Trailer trailer{.gpu = owner.index(), .bytes = bytes};
  std::memcpy(file->data() + bytes, &trailer, sizeof(trailer));
  return std::shared_ptr<PhysicalMemory>(new PhysicalMemory(owner, std::move(file), bytes, true));
}

std::shared_ptr<PhysicalMemory> PhysicalMemory::import_file(int descriptor) {
  auto file = SharedMemory::adopt(descriptor);
  if (!file || file->bytes() < sizeof(Trailer)) return nullptr;
  const std::size_t bytes = file->bytes() - sizeof(Trailer);
  Trailer trailer;
  std::memcpy(&trailer, file->data() + bytes, sizeof(trailer));
  World& world = World::get();
  if (trailer.mark != Trailer::kMark || trailer.bytes != bytes || trailer.gpu < 0 ||
      trailer.gpu >= world.device_count()) {
    return nullptr;
  }
  return std::shared_ptr<PhysicalMemory>(new PhysicalMemory(
      world.device(static_cast<int>(trailer.gpu)), std::move(file), bytes, false));
}

PhysicalMemory::~PhysicalMemory() {
  if (counted_) owner_.give_back(bytes_);
}

int PhysicalMemory::export_file() const {
  return ::fcntl(file_->name().descriptor, F_DUPFD_CLOEXEC, 0);
}

bool PhysicalMemory::show_at(char* address, std::size_t bytes, std::size_t shift) const {
  const auto show = [&](char* to, std::size_t count, std::size_t from) {
    return count == 0 || ::mmap(to, count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                                file_->name().descriptor, static_cast<off_t>(from)) != MAP_FAILED;
  };
  const std::size_t first = std::min(bytes, bytes_ - shift % bytes_);
  return show(address, first, shift % bytes_) && show(address + first, bytes - first, 0);
}

char* VirtualMemory::reserve(std::size_t bytes, std::size_t alignment) {
  if (bytes + alignment < bytes) return nullptr;
  char* const start = take_addresses(nullptr, bytes + alignment);
  if (start == nullptr) return nullptr;
  const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % alignment;
  const std::size_t before = past == 0 ? 0 : alignment - past;
  if (before > 0) ::munmap(start, before);
  if (before < alignment) ::munmap(start + before + bytes, alignment - before);
  const std::lock_guard lock(mutex_);
  reservations_[start + before] = bytes;
  return start + before;
}

bool VirtualMemory::free(char* address, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = reservations_.find(address);
  if (found == reservations_.end() || found->second != bytes) return false;
  const auto next = mappings_.lower_bound(address);
  if (next != mappings_.end() && next->first < address + bytes) return false;
  reservations_.erase(found);
  ::munmap(address, bytes);
  return true;
}

bool VirtualMemory::map(char* address, std::size_t bytes,
                        std::shared_ptr<const PhysicalMemory> memory, std::size_t shift) {
  const std::lock_guard lock(mutex_);
  auto reservation = reservations_.upper_bound(address);
  if (reservation == reservations_.begin()) return false;
  --reservation;
  const auto offset = static_cast<std::size_t>(address - reservation->first);
  if (offset > reservation->second || bytes > reservation->second - offset) return false;
  const auto next = mappings_.lower_bound(address);
  if (at(address) != mappings_.end() ||
      (next != mappings_.end() && next->first < address + bytes)) {
    return false;
  }
  if (!memory->show_at(address, bytes, shift)) return false;
  mappings_[address] = {std::move(memory), bytes, {}};
  return true;
}

bool VirtualMemory::unmap(char* address, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::vector<Mappings::iterator> whole;
  if (!for_whole_mappings(address, bytes, [&](auto mapping) { whole.push_back(mapping); })) {
    return false;
  }
  take_addresses(address, bytes);
  for (const auto mapping : whole) mappings_.erase(mapping);
  return true;
}

bool VirtualMemory::set_access(char* address, std::size_t bytes, int device, Access access) {
  const std::lock_guard lock(mutex_);
  return for_whole_mappings(address, bytes,
                            [&](auto mapping) { mapping->second.access[device] = access; });
}

std::optional<Access> VirtualMemory::access(const char* address, int device) const {
  const std::lock_guard lock(mutex_);
  const auto mapping = at(address);
  if (mapping == mappings_.end()) return std::nullopt;
  const auto said = mapping->second.access.find(device);
  return said == mapping->second.access.end() ? Access::none : said->second;
}

bool VirtualMemory::allows(const void* address, std::size_t bytes, int device, bool writes) const {
  const auto* const first = static_cast<const char*>(address);
  const std::lock_guard lock(mutex_);
  for (auto mapping = at(first); mapping != mappings_.end() && mapping->first < first + bytes;
       ++mapping) {
    const auto said = mapping->second.access.find(device);
    const Access access = said == mapping->second.access.end() ? Access::none : said->second;
    if (access == Access::none || (writes && access != Access::read_write)) return false;
  }
  return true;
}

std::shared_ptr<const PhysicalMemory> VirtualMemory::memory_at(const char* address) const {
  const std::lock_guard lock(mutex_);
  const auto mapping = at(address);
  return mapping == mappings_.end() ? nullptr : mapping->second.memory;
}

Location VirtualMemory::find(const char* address) const {
  const std::lock_guard lock(mutex_);
  const auto mapping = at(address);
  if (mapping == mappings_.end()) return {};
  Location location;
  location.kind = Location::Kind::device;
  location.device = mapping->second.memory->owner().index();
  location.base = mapping->first;
  location.mapped = true;
  for (auto next = mapping;
       next != mappings_.end() && next->first == location.base + location.bytes &&
       next->second.memory->owner().index() == location.device;
       ++next) {
    location.bytes += next->second.bytes;
  }
  return location;
}

VirtualMemory::Mappings::const_iterator VirtualMemory::at(const char* address) const {
  auto mapping = mappings_.upper_bound(const_cast<char*>(address));
  if (mapping == mappings_.begin()) return mappings_.end();
  --mapping;
  return address < mapping->first + mapping->second.bytes ? mapping : mappings_.end();
}

bool VirtualMemory::for_whole_mappings(char* address, std::size_t bytes,
                                       const std::function<void(Mappings::iterator)>& each) {
  std::size_t covered = 0;
  std::vector<Mappings::iterator> whole;
  for (auto mapping = mappings_.find(address);
       mapping != mappings_.end() && covered < bytes && mapping->first == address + covered;
       ++mapping) {
    covered += mapping->second.bytes;
    whole.push_back(mapping);
  }
  if (whole.empty() || covered != bytes) return false;
  std::for_each(whole.begin(), whole.end(), each);
  return true;
}

}  // namespace conformance::sim
