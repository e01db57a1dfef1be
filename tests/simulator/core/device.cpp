#include "tests/simulator/core/device.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>
#include <nlohmann/json.hpp>

#include "tests/simulator/core/device_attributes.h"

namespace conformance::sim {
namespace {

constexpr std::size_t kAlignment = 512;
constexpr std::size_t kContextShare = 64;  // a context takes this part of a GPU's memory

[[noreturn]] void refuse(const std::string& message) {
  std::fprintf(stderr, "simulator: %s\n", message.c_str());
  std::_Exit(3);
}

nlohmann::json read_scenario() {
  const char* path = std::getenv("CONFORMANCE_SIM_MACHINE");
  if (path == nullptr || *path == '\0') return nlohmann::json::object();
  std::ifstream file(path);
  if (!file) refuse(std::string("cannot read CONFORMANCE_SIM_MACHINE=") + path);
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    refuse(std::string(path) + ": " + error.what());
  }
}

const nlohmann::json& scenario() {
  static const auto* json = new nlohmann::json(read_scenario());
  return *json;
}

template <typename Read>
auto checked(Read read) {
  try {
    return read();
  } catch (const std::exception& error) {
    refuse(error.what());
  }
}

int asked_gpus() {
  const char* text = std::getenv("CONFORMANCE_SIM_GPUS");
  if (text == nullptr || *text == '\0') return -1;
  char* end = nullptr;
  const long count = std::strtol(text, &end, 10);
  if (*end != '\0' || count < 0) refuse(std::string("CONFORMANCE_SIM_GPUS=") + text);
  return static_cast<int>(count);
}

nlohmann::json part(const char* key, const nlohmann::json& otherwise) {
  return scenario().contains(key) ? scenario().at(key) : otherwise;
}

std::string fired_file() {
  const char* path = std::getenv("CONFORMANCE_SIM_FIRED");
  return path == nullptr ? "" : path;
}

/// A GPU's memory, and behind it a word for each place where an allocation may start: the number of
/// the export of the allocation there, 0 if it has none.
std::shared_ptr<SharedMemory> reserve(std::size_t bytes) {
  auto memory = SharedMemory::create(bytes + bytes / kAlignment * sizeof(std::uint64_t));
  if (!memory) refuse("cannot reserve memory for a GPU");
  return memory;
}

using ExportNumber = std::atomic<std::uint64_t>;
ExportNumber& export_number(const SharedMemory& memory, std::size_t offset) {
  const std::size_t of_gpu = memory.bytes() / (kAlignment + sizeof(ExportNumber)) * kAlignment;
  return reinterpret_cast<ExportNumber*>(memory.data() + of_gpu)[offset / kAlignment];
}

std::size_t round_up(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Device::Device(const Gpu& gpu, int index)
    : gpu_(gpu),
      index_(index),
      memory_(reserve(gpu.memory_bytes)),
      arena_(memory_->data()),
      legacy_(std::make_shared<Stream>(*this, cudaStreamDefault, 0)) {}

void* Device::allocate(std::size_t bytes) {
  const std::size_t size = round_up(bytes);
  const std::lock_guard lock(mutex_);
  if (size < bytes || size > left()) return nullptr;
  std::size_t at = 0;
  for (const auto& [offset, taken] : allocations_) {
    if (offset - at >= size) break;
    at = offset + round_up(taken);
  }
  if (gpu_.memory_bytes - at < size) return nullptr;
  allocations_[at] = bytes;
  used_ += size;
  return arena_ + at;
}

bool Device::release(void* memory) {
  const std::lock_guard lock(mutex_);
  if (!owns(memory)) return false;
  const auto found =
      allocations_.find(static_cast<std::size_t>(static_cast<char*>(memory) - arena_));
  if (found == allocations_.end()) return false;
  used_ -= round_up(found->second);
  // A number that is zero is not written: that would take memory.
  ExportNumber& number = export_number(*memory_, found->first);
  if (number != 0) number = 0;
  allocations_.erase(found);
  return true;
}

std::optional<MemoryExport> Device::export_memory(const void* memory) {
  const std::lock_guard lock(mutex_);
  if (!owns(memory)) return std::nullopt;
  const auto found =
      allocations_.find(static_cast<std::size_t>(static_cast<const char*>(memory) - arena_));
  if (found == allocations_.end()) return std::nullopt;
  ExportNumber& number = export_number(*memory_, found->first);
  if (number == 0) number = ++exports_;
  return MemoryExport{memory_->name(), uuid(), found->first, found->second, number};
}

std::array<char, 16> Device::uuid() const {
  cudaDeviceProp properties;
  fill_properties(gpu_, properties);
  std::array<char, 16> bytes;
  std::copy(std::begin(properties.uuid.bytes), std::end(properties.uuid.bytes), bytes.begin());
  return bytes;
}

std::size_t Device::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return left();
}

std::size_t Device::left() const {
  const std::size_t taken = used_ + gpu_.foreign_bytes + gpu_.memory_bytes / kContextShare;
  return gpu_.memory_bytes - std::min(taken, gpu_.memory_bytes);
}

bool Device::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > left()) return false;
  used_ += bytes;
  return true;
}

void Device::give_back(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= std::min(bytes, used_);
}

bool Device::owns(const void* address) const {
  const auto* byte = static_cast<const char*>(address);
  return byte >= arena_ && byte < arena_ + gpu_.memory_bytes;
}

Location Device::find(const void* address) const {
  Location location;
  if (!owns(address)) return location;
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(address) - arena_);
  const std::lock_guard lock(mutex_);
  auto next = allocations_.upper_bound(offset);
  if (next == allocations_.begin()) return location;
  --next;
  if (offset >= next->first + next->second) return location;
  location.kind = Location::Kind::device;
  location.device = index_;
  location.base = arena_ + next->first;
  location.bytes = next->second;
  return location;
}

StreamPtr Device::create_stream(unsigned flags, int priority) {
  auto stream = std::make_shared<Stream>(*this, flags, priority);
  const std::lock_guard lock(mutex_);
  streams_[stream.get()] = stream;
  return stream;
}

bool Device::destroy_stream(Stream* stream) {
  const std::lock_guard lock(mutex_);
  return streams_.erase(stream) == 1;
}

StreamPtr Device::per_thread_stream() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t thread = ++threads;
  const std::lock_guard lock(mutex_);
  StreamPtr& stream = per_thread_[thread];
  if (!stream) {
    stream = std::make_shared<Stream>(*this, cudaStreamDefault, 0);
    streams_[stream.get()] = stream;
  }
  return stream;
}

std::vector<StreamPtr> Device::streams() const {
  const std::lock_guard lock(mutex_);
  std::vector<StreamPtr> all;
  all.reserve(streams_.size());
  for (const auto& [handle, stream] : streams_) all.push_back(stream);
  return all;
}

CompletionPtr Device::enqueue(const StreamPtr& stream, Operation operation,
                              std::vector<CompletionPtr> after, const Firing& firing) {
  // A fault may order no stream with the legacy one, or every stream.
  std::optional<double> order;
  if (World::get().faults().watches("implicit order")) {
    order = World::get().faults().at({"implicit order", index_}).value;
  }
  const auto ordered = [&](const Stream& one) { return order ? *order != 0 : one.blocking(); };
  const std::lock_guard lock(mutex_);
  if (stream == legacy_) {
    for (const auto& [handle, other] : streams_) {
      if (!ordered(*other)) continue;
      if (CompletionPtr last = other->last(); last && !last->done()) after.push_back(last);
    }
  } else if (ordered(*stream)) {
    if (CompletionPtr last = legacy_->last(); last && !last->done()) after.push_back(last);
  }
  return stream->submit(std::move(operation), std::move(after), firing);
}

std::vector<CompletionPtr> Device::pending() const {
  std::vector<StreamPtr> all = streams();
  all.push_back(legacy_);
  std::vector<CompletionPtr> ends;
  for (const StreamPtr& stream : all) {
    if (CompletionPtr last = stream->last()) ends.push_back(std::move(last));
  }
  return ends;
}

bool Device::enable_peer(int peer) {
  const std::lock_guard lock(mutex_);
  return peers_.insert(peer).second;
}

bool Device::disable_peer(int peer) {
  const std::lock_guard lock(mutex_);
  return peers_.erase(peer) == 1;
}

bool Device::peer_enabled(int peer) const {
  const std::lock_guard lock(mutex_);
  const auto imports = imports_of_peers_.find(peer);
  return peers_.count(peer) == 1 || (imports != imports_of_peers_.end() && imports->second > 0);
}

void Device::count_imports(int peer, int change) {
  const std::lock_guard lock(mutex_);
  imports_of_peers_[peer] += change;
}

void Device::damage_cells(const char* when) {
  if (!World::get().faults().watches(when)) return;
  damage(World::get().faults().at({when, index_}), arena_, gpu_.memory_bytes, 1, {});
}

void Device::begin_work() {
  constexpr std::chrono::milliseconds kIdle{300};
  if (std::chrono::steady_clock::now().time_since_epoch() - idle_since_.load() > kIdle) {
    damage_cells("idle memory");
  }
}

void Device::end_work() {
  damage_cells("memory cell");
  idle_since_ = std::chrono::steady_clock::now().time_since_epoch();
}

void Device::reset() {
  const std::lock_guard lock(mutex_);
  for (const auto& [offset, bytes] : allocations_) {
    ExportNumber& number = export_number(*memory_, offset);
    if (number != 0) number = 0;
  }
  allocations_.clear();
  used_ = 0;
  peers_.clear();
  imports_of_peers_.clear();
  streams_.clear();
  per_thread_.clear();
}

void Device::set_constant(const std::string& name, std::size_t offset, const void* bytes,
                          std::size_t count) {
  const std::lock_guard lock(mutex_);
  std::vector<char>& constant = constants_[name];
  constant.resize(std::max(constant.size(), offset + count));
  std::memcpy(constant.data() + offset, bytes, count);
}

std::map<std::string, std::vector<char>> Device::constants() const {
  const std::lock_guard lock(mutex_);
  return constants_;
}

World& World::get() {
  // Never destroyed: streams' threads may outlive main's statics.
  static auto* world = new World();
  return *world;
}

World::World()
    : machine_(checked([] {
        if (!scenario().is_object()) throw std::runtime_error("a scenario must be a JSON object");
        return read_machine(part("machine", nlohmann::json::object()), asked_gpus());
      })),
      faults_(
          checked([] { return Faults(part("faults", nlohmann::json::array()), fired_file()); })),
      visible_(visible_gpus(machine_, std::getenv("CUDA_DEVICE_ORDER"),
                            std::getenv("CUDA_VISIBLE_DEVICES"))) {
  for (const Gpu& gpu : machine_.gpus) {
    devices_.push_back(std::make_unique<Device>(gpu, gpu.index));
  }
}

int World::ordinal(int index) const {
  const auto found = std::find(visible_.begin(), visible_.end(), index);
  return found == visible_.end() ? -1 : static_cast<int>(found - visible_.begin());
}

Location World::find(const void* address) {
  for (const auto& device : devices_) {
    if (device->owns(address)) return device->find(address);
  }
  auto* byte = const_cast<char*>(static_cast<const char*>(address));
  if (const Location mapped = virtual_memory_.find(byte); mapped.kind != Location::Kind::unknown) {
    return mapped;
  }
  {
    const std::lock_guard lock(imports_mutex_);
    auto next = imports_.upper_bound(byte);
    if (next != imports_.begin()) {
      --next;
      const Import& import = next->second;
      if (byte < next->first + import.exported.bytes) {
        Location location;
        location.kind = Location::Kind::device;
        location.device = import.owner;
        location.base = next->first;
        location.bytes = import.exported.bytes;
        return location;
      }
    }
  }
  const std::lock_guard lock(pinned_mutex_);
  auto next = pinned_.upper_bound(byte);
  if (next == pinned_.begin()) return {};
  --next;
  if (byte >= next->first + next->second.bytes) return {};
  Location location;
  location.kind = Location::Kind::pinned;
  location.device = next->second.device;
  location.base = next->first;
  location.bytes = next->second.bytes;
  location.flags = next->second.flags;
  location.registered = next->second.registered;
  return location;
}

void* World::allocate_pinned(std::size_t bytes, unsigned flags, int device) {
  constexpr std::size_t kPage = 4096;
  const std::size_t size = (bytes + kPage - 1) / kPage * kPage;
  if (size < bytes) return nullptr;
  void* memory = std::aligned_alloc(kPage, size);
  if (memory == nullptr) return nullptr;
  const std::lock_guard lock(pinned_mutex_);
  pinned_[static_cast<char*>(memory)] = {bytes, flags, device, false};
  return memory;
}

bool World::release_pinned(void* memory) {
  const std::lock_guard lock(pinned_mutex_);
  const auto found = pinned_.find(static_cast<char*>(memory));
  if (found == pinned_.end() || found->second.registered) return false;
  pinned_.erase(found);
  std::free(memory);
  return true;
}

World::Registering World::register_host(void* memory, std::size_t bytes, unsigned flags,
                                        int device) {
  if (memory == nullptr || bytes == 0) return Registering::invalid;
  auto* first = static_cast<char*>(memory);
  const std::lock_guard lock(pinned_mutex_);
  for (const auto& [start, pinned] : pinned_) {
    if (first < start + pinned.bytes && start < first + bytes) return Registering::already;
  }
  pinned_[first] = {bytes, flags, device, true};
  return Registering::done;
}

World::Registering World::unregister_host(void* memory) {
  const std::lock_guard lock(pinned_mutex_);
  const auto found = pinned_.find(static_cast<char*>(memory));
  if (found == pinned_.end() || !found->second.registered) return Registering::invalid;
  pinned_.erase(found);
  return Registering::done;
}

int World::gpu_with(const std::array<char, 16>& uuid) const {
  for (const auto& device : devices_) {
    if (device->uuid() == uuid) return device->index();
  }
  return -1;
}

void* World::import_memory(const MemoryExport& exported, int owner, int opener) {
  const std::lock_guard lock(imports_mutex_);
  for (auto& [start, import] : imports_) {
    if (import.exported.memory == exported.memory && import.exported.number == exported.number &&
        import.opener == opener) {
      ++import.uses;
      return start;
    }
  }
  auto memory = SharedMemory::open(exported.memory);
  const std::size_t most = device(owner).memory().bytes();
  if (!memory || memory->bytes() != most || exported.offset % kAlignment != 0 ||
      exported.offset > most || exported.bytes > most - exported.offset ||
      export_number(*memory, exported.offset) != exported.number) {
    return nullptr;
  }
  char* const start = memory->data() + exported.offset;
  imports_[start] = {std::move(memory), exported, owner, opener, 1};
  if (owner != opener) device(opener).count_imports(owner, 1);
  return start;
}

bool World::close_import(void* memory) {
  const std::lock_guard lock(imports_mutex_);
  const auto found = imports_.find(static_cast<char*>(memory));
  if (found == imports_.end()) return false;
  const Import& import = found->second;
  if (--found->second.uses > 0) return true;
  if (import.owner != import.opener) device(import.opener).count_imports(import.owner, -1);
  imports_.erase(found);
  return true;
}

void World::close_imports_of(int opener) {
  const std::lock_guard lock(imports_mutex_);
  std::erase_if(imports_, [&](const auto& item) { return item.second.opener == opener; });
}

double World::copy_rate(int from, int to) const {
  if (from < 0 && to < 0) return 10e9;
  if (from == to) {
    const Gpu& gpu = machine_.gpus[static_cast<std::size_t>(from)];
    // Each byte is read and written.
    return gpu.memory_bytes_per_second() * gpu.memory_efficiency / 2;
  }
  if (from < 0 || to < 0) {
    return machine_.gpus[static_cast<std::size_t>(std::max(from, to))].host_link_bytes_per_second;
  }
  const Link& link = machine_.link(from, to);
  if (link.kind != Link::Kind::none) return link.bytes_per_second;
  // Through host memory, one half after the other.
  return std::min(machine_.gpus[static_cast<std::size_t>(from)].host_link_bytes_per_second,
                  machine_.gpus[static_cast<std::size_t>(to)].host_link_bytes_per_second) /
         2;
}

double World::take_turn(int from, int to, double seconds) {
  if (from < 0 || to < 0 || from == to || machine_.link(from, to).bus.empty()) return 0;
  const std::lock_guard lock(buses_mutex_);
  double& free = buses_[machine_.link(from, to).bus];
  const double begin = std::max(free, Stream::ready_time());
  free = begin + seconds;
  return begin;
}

bool keeps_old_bytes(const Firing& firing) {
  return std::any_of(firing.data.begin(), firing.data.end(), [](const DataFault& fault) {
    return fault.kind == DataFault::Kind::drop_write;
  });
}

void damage(const Firing& firing, void* out, std::size_t bytes, std::size_t element_bytes,
            const std::vector<char>& before) {
  auto* byte = static_cast<unsigned char*>(out);
  for (DataFault fault : firing.data) {
    if (fault.offset == ~0ull && bytes > 0) fault.offset = bytes / element_bytes - 1;
    switch (fault.kind) {
      case DataFault::Kind::bit_flip:
        if (fault.offset < bytes) byte[fault.offset] ^= static_cast<unsigned char>(1u << fault.bit);
        break;
      case DataFault::Kind::stuck_bit: {
        const auto mask = static_cast<unsigned char>(1u << fault.bit);
        for (std::uint64_t at = fault.offset;
             at < std::min(fault.offset + fault.bytes, std::uint64_t{bytes}); ++at) {
          byte[at] =
              static_cast<unsigned char>(fault.value == 0 ? byte[at] & ~mask : byte[at] | mask);
        }
        break;
      }
      case DataFault::Kind::wrong_element: {
        if ((fault.offset + 1) * element_bytes > bytes) break;
        unsigned char* element = byte + fault.offset * element_bytes;
        // A mantissa bit, which leaves every floating-point type finite; of zero it would make a
        // number too small to matter.
        if (std::all_of(element, element + element_bytes, [](unsigned char c) { return c == 0; })) {
          element[element_bytes - 1] = 0x3f;
        } else {
          element[element_bytes - (element_bytes > 1 ? 2 : 1)] ^= 0x20;
        }
        break;
      }
      case DataFault::Kind::not_a_number:
        // All ones is a NaN in every floating-point format.
        if ((fault.offset + 1) * element_bytes <= bytes) {
          std::memset(byte + fault.offset * element_bytes, 0xff, element_bytes);
        }
        break;
      case DataFault::Kind::lose_input:
      case DataFault::Kind::change_input:
      case DataFault::Kind::write_behind:
        break;  // the collective's own affair
      case DataFault::Kind::drop_write:
        if (fault.offset < before.size()) {
          std::memcpy(byte + fault.offset, before.data() + fault.offset,
                      std::min<std::uint64_t>(fault.bytes, before.size() - fault.offset));
        }
        break;
    }
  }
}

}  // namespace conformance::sim
