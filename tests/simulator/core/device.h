#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/simulator/core/fault.h"
#include "tests/simulator/core/ipc.h"
#include "tests/simulator/core/machine.h"
#include "tests/simulator/core/timeline.h"
#include "tests/simulator/core/virtual_memory.h"

namespace conformance::sim {

/// An address as the simulator knows it.
struct Location {
  enum class Kind { unknown, device, pinned } kind = Kind::unknown;
  int device = -1;          ///< GPU that owns it, or was current when it was pinned
  char* base = nullptr;     ///< start of the allocation
  std::size_t bytes = 0;    ///< of the allocation
  unsigned flags = 0;       ///< of pinned memory, as given
  bool registered = false;  ///< pinned by cudaHostRegister
  bool mapped = false;      ///< by cuMemMap: what a GPU may do there is said by VirtualMemory
  std::size_t left(const void* address) const {
    return bytes - static_cast<std::size_t>(static_cast<const char*>(address) - base);
  }
};

/// This process's context on one GPU.
class Device {
 public:
  Device(const Gpu& gpu, int index);

  const Gpu& gpu() const { return gpu_; }
  int index() const { return index_; }  ///< in PCI order

  /// The error that the context is lost to, 0 while it works.
  int lost() const { return lost_.load(); }
  void lose(int error) {
    int none = 0;
    lost_.compare_exchange_strong(none, error);
  }

  /// Device memory; null when there is not enough.
  void* allocate(std::size_t bytes);
  /// False if `memory` is not the start of an allocation.
  bool release(void* memory);
  std::size_t free_bytes() const;
  /// Counts bytes as used that are not part of an allocation; false when there is not enough.
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes);
  Location find(const void* address) const;
  bool owns(const void* address) const;
  /// All of the GPU's memory as this process has it; other processes may open it.
  const SharedMemory& memory() const { return *memory_; }
  /// An allocation for other processes to open; nothing if `memory` is not the start of one.
  std::optional<MemoryExport> export_memory(const void* memory);
  std::array<char, 16> uuid() const;

  StreamPtr create_stream(unsigned flags, int priority);
  bool destroy_stream(Stream* stream);
  StreamPtr legacy_stream() const { return legacy_; }
  StreamPtr per_thread_stream();
  std::vector<StreamPtr> streams() const;
  /// Queues an operation with the legacy default stream's implicit order: it waits for the work of
  /// all blocking streams, and they wait for it.
  CompletionPtr enqueue(const StreamPtr& stream, Operation operation,
                        std::vector<CompletionPtr> after, const Firing& firing);
  /// Ends of everything that is queued on any stream now.
  std::vector<CompletionPtr> pending() const;

  /// 0 or the error of enabling access that is enabled, disabling access that is not.
  bool enable_peer(int peer);
  bool disable_peer(int peer);
  /// Whether the GPU reaches a peer's memory: by enable_peer, or through memory of another process
  /// that was opened for it.
  bool peer_enabled(int peer) const;
  /// Counts what is opened of a peer's memory for this GPU: one more, or one less.
  void count_imports(int peer, int change);
  void reset();

  // What a stream calls before and after each piece of work: faults of the memory itself.
  void begin_work();
  void end_work();

  /// Sets a part of a __constant__ variable. Called in stream order.
  void set_constant(const std::string& name, std::size_t offset, const void* bytes,
                    std::size_t count);
  /// The __constant__ variables that were set, by the names nvcc registers.
  std::map<std::string, std::vector<char>> constants() const;

 private:
  // With the lock held.
  std::size_t left() const;
  void damage_cells(const char* when);

  const Gpu& gpu_;
  const int index_;
  std::atomic<int> lost_{0};
  std::atomic<std::chrono::steady_clock::duration> idle_since_{
      std::chrono::steady_clock::now().time_since_epoch()};
  const std::shared_ptr<SharedMemory> memory_;
  char* const arena_;
  mutable std::mutex mutex_;
  std::map<std::size_t, std::size_t> allocations_;  ///< offset -> bytes
  std::size_t used_ = 0;
  std::uint64_t exports_ = 0;
  std::set<int> peers_;
  std::map<int, int> imports_of_peers_;
  std::map<std::string, std::vector<char>> constants_;
  StreamPtr legacy_;
  std::map<Stream*, StreamPtr> streams_;
  std::unordered_map<std::uint64_t, StreamPtr> per_thread_;
};

/// The whole simulation of this process: the machine, its faults and the contexts.
class World {
 public:
  /// Reads CONFORMANCE_SIM_MACHINE, CONFORMANCE_SIM_GPUS and CONFORMANCE_SIM_FIRED at the first
  /// call; a mistake in them ends the process with a message and status 3.
  static World& get();

  const Machine& machine() const { return machine_; }
  Faults& faults() { return faults_; }
  /// GPUs in PCI order.
  Device& device(int index) { return *devices_[static_cast<std::size_t>(index)]; }
  int device_count() const { return static_cast<int>(devices_.size()); }

  /// What CUDA shows of them: GPU indices by CUDA ordinal, after CUDA_VISIBLE_DEVICES and
  /// CUDA_DEVICE_ORDER.
  const std::vector<int>& visible() const { return visible_; }
  /// The CUDA ordinal of a GPU, -1 if it is not visible.
  int ordinal(int index) const;

  Location find(const void* address);
  /// What is reserved and mapped apart from allocations.
  VirtualMemory& virtual_memory() { return virtual_memory_; }
  void* allocate_pinned(std::size_t bytes, unsigned flags, int device);
  bool release_pinned(void* memory);
  enum class Registering { done, invalid, already };
  Registering register_host(void* memory, std::size_t bytes, unsigned flags, int device);
  Registering unregister_host(void* memory);

  /// The GPU with a UUID, -1 if there is none.
  int gpu_with(const std::array<char, 16>& uuid) const;
  /// Opens another process's memory on `owner` for use by `opener`, both GPUs; what is open already
  /// is counted once more. Null if it is gone.
  void* import_memory(const MemoryExport& exported, int owner, int opener);
  /// False if nothing is open there.
  bool close_import(void* memory);
  /// Closes all that is open for a GPU.
  void close_imports_of(int opener);

  /// Bytes per second and direction of a copy between two places (-1: the host).
  double copy_rate(int from, int to) const;
  /// Within an operation's work: when data that takes `seconds` can begin to go from one GPU to
  /// another, whose way may share a bus.
  double take_turn(int from, int to, double seconds);

 private:
  World();

  Machine machine_;
  Faults faults_;
  const std::vector<int> visible_;
  std::vector<std::unique_ptr<Device>> devices_;
  VirtualMemory virtual_memory_;
  std::mutex pinned_mutex_;
  struct Pinned {
    std::size_t bytes;
    unsigned flags;
    int device;
    bool registered;
  };
  std::map<char*, Pinned> pinned_;
  std::mutex buses_mutex_;
  std::map<std::string, double> buses_;  ///< when each is free again
  std::mutex imports_mutex_;
  struct Import {
    std::shared_ptr<SharedMemory> memory;
    MemoryExport exported;
    int owner, opener;
    int uses;
  };
  std::map<char*, Import> imports_;
};

/// Changes `bytes` of output at `out` as the faults say. `before` holds what was there before, if
/// a fault needs it (see keeps_old_bytes).
void damage(const Firing& firing, void* out, std::size_t bytes, std::size_t element_bytes,
            const std::vector<char>& before);
bool keeps_old_bytes(const Firing& firing);

/// The fixed cost of an operation, in modelled seconds.
inline constexpr double kLatency = 1e-6;

}  // namespace conformance::sim
