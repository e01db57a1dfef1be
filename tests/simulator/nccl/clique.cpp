#include "tests/simulator/nccl/clique.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace conformance::sim::nccl {
namespace {

// A rank may be so many collectives ahead of another.
constexpr std::size_t kMeetings = 16;

template <typename T>
void reduce(const std::vector<const char*>& inputs, const std::vector<char*>& outputs,
            std::size_t count, ncclRedOp_t operation) {
  const auto* first = reinterpret_cast<const T*>(inputs[0]);
  std::vector<T> result(first, first + count);
  for (std::size_t rank = 1; rank < inputs.size(); ++rank) {
    const auto* input = reinterpret_cast<const T*>(inputs[rank]);
    for (std::size_t i = 0; i < count; ++i) {
      if (operation == ncclSum) {
        result[i] += input[i];
      } else if (operation == ncclMax) {
        result[i] = std::max(result[i], input[i]);
      } else {
        result[i] = std::min(result[i], input[i]);
      }
    }
  }
  for (char* const output : outputs) {
    std::copy(result.begin(), result.end(), reinterpret_cast<T*>(output));
  }
}

/// What a rank's faults make of its part of an all-reduce.
class Disturbance {
 public:
  /// What is lost of the input is zero until the end: the rank that does the work may be in another
  /// process.
  Disturbance(const AllReduce& call, const Firing& firing)
      : firing_(firing),
        output_(static_cast<char*>(call.output)),
        element_(bytes_of(call.type)),
        bytes_(call.count * element_) {
    if (keeps_old_bytes(firing)) before_.assign(output_, output_ + bytes_);
    auto* const input = static_cast<char*>(const_cast<void*>(call.input));
    in_place_ = input == output_;
    for (const DataFault& fault : firing.data) {
      if (fault.kind != DataFault::Kind::lose_input || fault.offset >= bytes_) continue;
      const std::size_t from = fault.offset / element_ * element_;
      const std::size_t most = bytes_ - from;
      const std::size_t length = std::min<std::uint64_t>(fault.bytes, most) / element_ * element_;
      lost_.push_back({input + from, {input + from, input + from + length}});
      std::memset(input + from, 0, length);
    }
  }
  void end(bool done) {
    if (!done || !in_place_) {
      for (auto lost = lost_.rbegin(); lost != lost_.rend(); ++lost) {
        std::copy(lost->bytes.begin(), lost->bytes.end(), lost->at);
      }
    }
    if (done) damage(firing_, output_, bytes_, element_, before_);
  }

 private:
  struct Lost {
    char* at;
    std::vector<char> bytes;
  };
  const Firing& firing_;
  char* output_;
  std::size_t element_, bytes_;
  bool in_place_ = false;
  std::vector<char> before_;
  std::vector<Lost> lost_;
};

/// The meeting places of IDs that this process made, while ranks may still come.
struct MeetingPlaces {
  std::mutex mutex;
  std::vector<std::shared_ptr<SharedMemory>> open;
};
MeetingPlaces& meeting_places() {
  static auto* made = new MeetingPlaces;
  return *made;
}

/// A GPU's address as NCCL writes it.
std::string bus_id(const Gpu& gpu) {
  char text[20];
  std::snprintf(text, sizeof(text), "%x",
                gpu.pci_domain << 20 | gpu.pci_bus << 12 | gpu.pci_device << 4);
  return text;
}

}  // namespace

std::size_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclFloat32:
    case ncclInt32:
      return 4;
    case ncclFloat64:
    case ncclUint64:
      return 8;
    default:
      return 0;
  }
}

/// One collective; ranks meet here. Number 0: nobody does.
struct Membership::Meeting {
  std::uint64_t number;
  int arrived, left;
  bool done;
  double starts;
  AllReduce call;  ///< of the rank that came first; the buffers are below
  struct Buffers {
    const char* input;  ///< addresses in the rank's process
    const char* output;
  };
  std::array<Buffers, kMostRanks> buffers;
};

/// All zero at first, but for the mutex.
struct Membership::Shared {
  pthread_mutex_t mutex;  ///< outlives a process that dies with it
  std::atomic<std::uint32_t> changes;
  int size, joined;
  ncclResult_t error;
  char message[200];
  bool broken;   ///< a rank is gone: no collective will be done
  double clock;  ///< the modelled time at which the last rank joined
  struct Rank {
    bool joined;
    std::int32_t process;
    int device;
    SharedName memory;        ///< its GPU's
    const char* memory_base;  ///< the address in its process
  };
  std::array<Rank, kMostRanks> ranks;
  std::array<Meeting, kMeetings> meetings;
};

/// Holds the shared mutex.
class Membership::Lock {
 public:
  explicit Lock(Shared& shared) : shared_(shared) { lock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { ::pthread_mutex_unlock(&shared_.mutex); }

  /// Lets others go on until something changes.
  void wait() {
    const std::uint32_t seen = shared_.changes.load();
    ::pthread_mutex_unlock(&shared_.mutex);
    wait_for_change(shared_.changes, seen);
    lock();
  }

 private:
  void lock() {
    if (::pthread_mutex_lock(&shared_.mutex) != EOWNERDEAD) return;
    // A process died at work on what is shared, which may be half done.
    ::pthread_mutex_consistent(&shared_.mutex);
    shared_.broken = true;
  }

  Shared& shared_;
};

bool Membership::all_joined(const SharedMemory& memory) {
  auto& shared = *reinterpret_cast<Shared*>(memory.data());
  const Lock lock(shared);
  return shared.size > 0 && shared.joined == shared.size;
}

ncclResult_t make_unique_id(ncclUniqueId& id) {
  std::shared_ptr<SharedMemory> memory = SharedMemory::create(sizeof(Membership::Shared));
  if (!memory) return ncclSystemError;
  auto* const shared = new (memory->data()) Membership::Shared{};
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&shared->mutex, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
  write_handle(HandleKind::clique, memory->name(), id.internal);
  const std::lock_guard lock(meeting_places().mutex);
  std::erase_if(meeting_places().open,
                [](const auto& place) { return Membership::all_joined(*place); });
  meeting_places().open.push_back(std::move(memory));
  return ncclSuccess;
}

std::shared_ptr<Membership> Membership::open(const SharedName& meeting_place, int rank, int size,
                                             const Device& device) {
  std::shared_ptr<SharedMemory> memory = SharedMemory::open(meeting_place);
  if (!memory || memory->bytes() != sizeof(Shared)) return nullptr;
  return std::shared_ptr<Membership>(new Membership(std::move(memory), rank, size, device));
}

Membership::Membership(std::shared_ptr<SharedMemory> memory, int rank, int size,
                       const Device& device)
    : memory_(std::move(memory)),
      rank_(rank),
      size_(size),
      device_(device.index()),
      gpus_(static_cast<std::size_t>(std::clamp(size, 0, kMostRanks))) {}

ncclResult_t Membership::fail(ncclResult_t result, const std::string& message) {
  const Lock lock(shared());
  if (shared().error == ncclSuccess) {
    shared().error = result;
    std::snprintf(shared().message, sizeof(shared().message), "%s", message.c_str());
    announce_change(shared().changes);
  }
  return result;
}

ncclResult_t Membership::join(std::string& message) {
  {
    World& world = World::get();
    const auto& gpus = world.machine().gpus;
    const Device& device = world.device(device_);
    const Lock lock(shared());
    Shared& all = shared();
    if (all.error != ncclSuccess) {
      message = all.message;
      return all.error;
    }
    if (all.size == 0) all.size = size_;
    Shared::Rank& mine = all.ranks[static_cast<std::size_t>(rank_)];
    message.clear();
    if (all.size != size_) {
      message = "mismatch in rank count from procs " + std::to_string(all.size) + " : " +
                std::to_string(size_);
    } else if (mine.joined) {
      message = "rank " + std::to_string(rank_) + " of " + std::to_string(size_) +
                " ranks has already checked in";
    }
    for (int other = 0; other < size_ && message.empty(); ++other) {
      const Shared::Rank& one = all.ranks[static_cast<std::size_t>(other)];
      if (!one.joined) continue;
      if (one.device >= world.device_count()) {
        message = "the ranks see different machines";
      } else if (gpus[static_cast<std::size_t>(one.device)].uuid == device.gpu().uuid) {
        message = "Duplicate GPU detected : rank " + std::to_string(rank_) + " and rank " +
                  std::to_string(other) + " both on CUDA device " + bus_id(device.gpu());
      }
    }
    if (message.empty()) {
      mine = {true, ::getpid(), device_, device.memory().name(), device.memory().data()};
      ++all.joined;
      all.clock = std::max(all.clock, host_clock::now());
      announce_change(all.changes);
      return ncclSuccess;
    }
    // Ranks that are at work already have nothing to do with a late one's mistake.
    if (all.joined == all.size) return ncclInvalidUsage;
  }
  return fail(ncclInvalidUsage, message);
}

ncclResult_t Membership::state(std::string& message) {
  const Lock lock(shared());
  if (shared().error != ncclSuccess) {
    message = shared().message;
    return shared().error;
  }
  if (shared().joined < size_) return ncclInProgress;
  host_clock::observe(shared().clock);
  return ncclSuccess;
}

bool Membership::spans_processes() const {
  const Lock lock(shared());
  return std::ranges::any_of(shared().ranks, [](const Shared::Rank& one) {
    return one.joined && one.process != ::getpid();
  });
}

bool Membership::has_nvlink() const {
  const Machine& machine = World::get().machine();
  for (int from = 0; from < size_; ++from) {
    for (int to = 0; to < size_; ++to) {
      const auto gpu = [this](int rank) {
        return shared().ranks[static_cast<std::size_t>(rank)].device;
      };
      if (from != to && machine.link(gpu(from), gpu(to)).kind != Link::Kind::nvlink) return false;
    }
  }
  return true;
}

/// True when the condition holds; false when this rank aborts before.
template <typename Condition>
bool Membership::wait(Lock& lock, Condition condition) {
  while (!condition()) {
    if (aborted_) return false;
    lock.wait();
  }
  return true;
}

void Membership::wait_for_all() {
  Lock lock(shared());
  wait(lock, [&] { return shared().joined == size_ || shared().error != ncclSuccess; });
}

void Membership::abort() {
  Lock lock(shared());
  aborted_ = true;
  shared().broken = true;
  announce_change(shared().changes);
  while (running_ > 0) lock.wait();
}

Outcome Membership::run(const AllReduce& call, const Firing& firing) {
  Lock lock(shared());
  ++running_;
  Disturbance disturbance(call, firing);
  Outcome outcome;
  const bool done = take_part(lock, call, outcome);
  disturbance.end(done);
  --running_;
  if (aborted_) announce_change(shared().changes);
  return outcome;
}

bool Membership::take_part(Lock& lock, const AllReduce& call, Outcome& outcome) {
  Meeting& meeting = shared().meetings[call.number % kMeetings];
  const bool free = wait(lock, [&] {
    return meeting.number == call.number || (meeting.number == 0 && !shared().broken);
  });
  if (!free) return false;
  if (meeting.number == 0) {
    meeting.number = call.number;
    meeting.call = call;
  }
  const AllReduce& first = meeting.call;
  if (first.count != call.count || first.type != call.type || first.operation != call.operation) {
    shared().broken = true;  // the ranks do not agree on what to do
  }
  meeting.buffers[static_cast<std::size_t>(rank_)] = {static_cast<const char*>(call.input),
                                                      static_cast<const char*>(call.output)};
  meeting.starts = std::max(meeting.starts, Stream::ready_time());
  if (++meeting.arrived == size_ && !shared().broken) {
    meeting.done = do_work(meeting);
    shared().broken = !meeting.done;
    announce_change(shared().changes);
  }
  const bool done = wait(lock, [&] { return meeting.done; });
  outcome = {seconds_for(call.count * bytes_of(call.type)), 0, meeting.starts};
  if (++meeting.left == size_) {
    meeting = {};
    announce_change(shared().changes);
  }
  return done;
}

bool Membership::do_work(const Meeting& meeting) {
  std::vector<const char*> inputs;
  std::vector<char*> outputs;
  for (int rank = 0; rank < size_; ++rank) {
    const Meeting::Buffers& buffers = meeting.buffers[static_cast<std::size_t>(rank)];
    inputs.push_back(local(rank, buffers.input));
    outputs.push_back(local(rank, buffers.output));
    if (inputs.back() == nullptr || outputs.back() == nullptr) return false;
  }
  const AllReduce& call = meeting.call;
  switch (call.type) {
    case ncclFloat32:
      reduce<float>(inputs, outputs, call.count, call.operation);
      break;
    case ncclFloat64:
      reduce<double>(inputs, outputs, call.count, call.operation);
      break;
    case ncclInt32:
      reduce<std::int32_t>(inputs, outputs, call.count, call.operation);
      break;
    default:
      reduce<std::uint64_t>(inputs, outputs, call.count, call.operation);
      break;
  }
  return true;
}

/// Where this process has an address of a rank's GPU; null if that rank's process is gone.
char* Membership::local(int rank, const char* address) {
  const Shared::Rank& one = shared().ranks[static_cast<std::size_t>(rank)];
  if (one.process == ::getpid()) return const_cast<char*>(address);
  std::shared_ptr<SharedMemory>& gpu = gpus_[static_cast<std::size_t>(rank)];
  if (!gpu) gpu = SharedMemory::open(one.memory);
  return gpu ? gpu->data() + (address - one.memory_base) : nullptr;
}

/// Modelled: a ring over the slowest of its links, in both halves of an all-reduce.
double Membership::seconds_for(std::size_t bytes) {
  const auto ranks = static_cast<std::size_t>(size_);
  const World& world = World::get();
  double rate = 0;
  for (std::size_t i = 0; i < ranks; ++i) {
    const double hop =
        world.copy_rate(shared().ranks[i].device, shared().ranks[(i + 1) % ranks].device);
    rate = i == 0 ? hop : std::min(rate, hop);
  }
  const double factor =
      ranks == 1 ? 1 : 2.0 * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  return 5 * kLatency + factor * static_cast<double>(bytes) / rate;
}

}  // namespace conformance::sim::nccl
