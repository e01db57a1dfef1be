#include "tests/simulator/nccl/clique.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace conformance::sim::nccl {
namespace {

// A rank may be so many collectives ahead of another.
constexpr std::size_t kMeetings = 16;

/// Elements that a rank gives and gets in a collective.
std::size_t sent(const Collective& call, int rank, int ranks) {
  switch (call.kind) {
    case Collective::Kind::broadcast:
      return rank == call.root ? call.count : 0;
    case Collective::Kind::reduce_scatter:
      return call.count * static_cast<std::size_t>(ranks);
    default:
      return call.count;
  }
}
std::size_t received(const Collective& call, int rank, int ranks) {
  switch (call.kind) {
    case Collective::Kind::reduce:
      return rank == call.root ? call.count : 0;
    case Collective::Kind::all_gather:
      return call.count * static_cast<std::size_t>(ranks);
    default:
      return call.count;
  }
}

/// Modelled: how often each byte goes through each link of a ring, for one byte per rank.
double passes(const Collective& call, int ranks) {
  const double others = ranks == 1 ? 1 : ranks - 1;
  switch (call.kind) {
    case Collective::Kind::all_reduce:
      return ranks == 1 ? 1 : 2 * others / ranks;
    case Collective::Kind::reduce_scatter:
    case Collective::Kind::all_gather:
      return others;
    default:
      return 1;
  }
}

bool without_peer_access() {
  const char* const value = std::getenv("NCCL_P2P_DISABLE");
  return value != nullptr && std::string_view(value) == "1";
}

/// Between two GPUs, as NCCL moves data there.
double hop_rate(int from, int to) {
  World& world = World::get();
  if (from == to || !without_peer_access()) return world.copy_rate(from, to);
  // Through host memory, one half after the other.
  return std::min(world.copy_rate(from, -1), world.copy_rate(-1, to)) / 2;
}

/// What a rank's faults make of its part of a collective.
class Disturbance {
 public:
  /// What is lost of the input is zero until the end: the rank that does the work may be in another
  /// process.
  Disturbance(const Collective& call, int rank, int ranks, const Firing& firing)
      : firing_(firing),
        input_(static_cast<char*>(const_cast<void*>(call.input))),
        output_(static_cast<char*>(call.output)),
        element_(bytes_of(call.type)),
        read_(sent(call, rank, ranks) * element_),
        written_(received(call, rank, ranks) * element_) {
    if (keeps_old_bytes(firing)) before_.assign(output_, output_ + written_);
    in_place_ = input_ < output_ + written_ && output_ < input_ + read_;
    for (const DataFault& fault : firing.data) {
      if (fault.kind != DataFault::Kind::lose_input || fault.offset >= read_) continue;
      const std::size_t from = fault.offset / element_ * element_;
      const std::size_t most = read_ - from;
      const std::size_t length = std::min<std::uint64_t>(fault.bytes, most) / element_ * element_;
      lost_.push_back({input_ + from, {input_ + from, input_ + from + length}});
      std::memset(input_ + from, 0, length);
    }
  }
  void end(bool done) {
    if (!done || !in_place_) {
      for (auto lost = lost_.rbegin(); lost != lost_.rend(); ++lost) {
        std::copy(lost->bytes.begin(), lost->bytes.end(), lost->at);
      }
    }
    if (!done) return;
    damage(firing_, output_, written_, element_, before_);
    for (const DataFault& fault : firing_.data) {
      const auto bit = static_cast<char>(1 << fault.bit);
      if (fault.kind == DataFault::Kind::change_input && fault.offset < read_) {
        input_[fault.offset] ^= bit;
      } else if (fault.kind == DataFault::Kind::write_behind) {
        output_[written_ + fault.offset] |= bit;
      }
    }
  }

 private:
  struct Lost {
    char* at;
    std::vector<char> bytes;
  };
  const Firing& firing_;
  char* input_;
  char* output_;
  std::size_t element_, read_, written_;
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

/// One collective; ranks meet here. Number 0: nobody does.
struct Membership::Meeting {
  std::uint64_t number;
  int arrived, left;
  bool done;
  double starts;
  Collective call;  ///< of the rank that came first; what is each rank's own is below
  struct Part {
    const char* input;  ///< addresses in the rank's process
    const char* output;
    std::uint64_t scalar;
  };
  std::array<Part, kMostRanks> parts;
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
    int device;               ///< of its machine
    char uuid[64];            ///< its GPU's
    SharedName memory;        ///< its GPU's
    const char* memory_base;  ///< the address in its process
  };
  std::array<Rank, kMostRanks> ranks;
  std::array<Meeting, kMeetings> meetings;
  /// A message on its way; one at a time for each pair.
  struct Mail {
    bool posted, taken;
    const char* data;  ///< the address in the sender's process
    std::size_t bytes;
    double ready;  ///< of who came last
  };
  std::array<std::array<Mail, kMostRanks>, kMostRanks> mail;  ///< by sender and receiver
  struct Split {
    int members, asked, left;  ///< ranks that take part, have said their wish, have their place
    struct Wish {
      bool said;
      int color, key;
      SharedName place;  ///< where the ranks of the color meet
    };
    std::array<Wish, kMostRanks> wishes;
  } split;
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

std::shared_ptr<SharedMemory> Membership::create_meeting_place() {
  std::shared_ptr<SharedMemory> memory = SharedMemory::create(sizeof(Membership::Shared));
  if (!memory) return nullptr;
  auto* const shared = new (memory->data()) Membership::Shared{};
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&shared->mutex, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
  const std::lock_guard lock(meeting_places().mutex);
  meeting_places().open.push_back(memory);
  return memory;
}

ncclResult_t make_unique_id(ncclUniqueId& id) {
  {
    const std::lock_guard lock(meeting_places().mutex);
    std::erase_if(meeting_places().open,
                  [](const auto& place) { return Membership::all_joined(*place); });
  }
  const std::shared_ptr<SharedMemory> memory = Membership::create_meeting_place();
  if (!memory) return ncclSystemError;
  write_handle(HandleKind::clique, memory->name(), id.internal);
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
      } else if (device.gpu().uuid == one.uuid &&
                 !world.faults().at({"refusal of two ranks on one GPU"}).code) {
        message = "Duplicate GPU detected : rank " + std::to_string(rank_) + " and rank " +
                  std::to_string(other) + " both on CUDA device " + bus_id(device.gpu());
      }
    }
    if (message.empty()) {
      mine = {true, ::getpid(), device_, {}, device.memory().name(), device.memory().data()};
      std::snprintf(mine.uuid, sizeof(mine.uuid), "%s", device.gpu().uuid.c_str());
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

Outcome Membership::run(const Collective& call, const Firing& firing) {
  Lock lock(shared());
  ++running_;
  Disturbance disturbance(call, rank_, size_, firing);
  Outcome outcome;
  const bool done = take_part(lock, call, outcome);
  disturbance.end(done);
  --running_;
  if (aborted_) announce_change(shared().changes);
  return outcome;
}

bool Membership::take_part(Lock& lock, const Collective& call, Outcome& outcome) {
  const std::uint64_t number = ++collectives_;
  Meeting& meeting = shared().meetings[number % kMeetings];
  const bool free = wait(
      lock, [&] { return meeting.number == number || (meeting.number == 0 && !shared().broken); });
  if (!free) return false;
  if (meeting.number == 0) {
    meeting.number = number;
    meeting.call = call;
  }
  const Collective& first = meeting.call;
  if (first.kind != call.kind || first.count != call.count || first.type != call.type ||
      first.operation != call.operation || first.root != call.root) {
    shared().broken = true;  // the ranks do not agree on what to do
  }
  meeting.parts[static_cast<std::size_t>(rank_)] = {static_cast<const char*>(call.input),
                                                    static_cast<const char*>(call.output),
                                                    call.scalar.value_or(0)};
  meeting.starts = std::max(meeting.starts, Stream::ready_time());
  if (++meeting.arrived == size_ && !shared().broken) {
    meeting.done = do_work(meeting);
    shared().broken = !meeting.done;
    announce_change(shared().changes);
  }
  const bool done = wait(lock, [&] { return meeting.done; });
  const double bytes = static_cast<double>(call.count * bytes_of(call.type));
  outcome = {5 * kLatency + passes(call, size_) * bytes / slowest_hop(), 0, meeting.starts};
  if (++meeting.left == size_) {
    meeting = {};
    announce_change(shared().changes);
  }
  return done;
}

bool Membership::do_work(const Meeting& meeting) {
  const Collective& call = meeting.call;
  const auto ranks = static_cast<std::size_t>(size_);
  const std::size_t bytes = call.count * bytes_of(call.type);
  std::vector<const char*> inputs;
  std::vector<char*> outputs;
  std::vector<std::uint64_t> scalars;
  for (int rank = 0; rank < size_; ++rank) {
    const Meeting::Part& part = meeting.parts[static_cast<std::size_t>(rank)];
    // A buffer that is not looked at may be null.
    inputs.push_back(local(rank, part.input));
    outputs.push_back(local(rank, part.output));
    if (inputs.back() == nullptr && sent(call, rank, size_) > 0) return false;
    if (outputs.back() == nullptr && received(call, rank, size_) > 0) return false;
    if (call.scalar) scalars.push_back(part.scalar);
  }
  const auto root = static_cast<std::size_t>(call.root);
  std::vector<char> result(bytes);
  const auto reduce_from = [&](std::size_t offset) {
    std::vector<const char*> parts;
    for (const char* const input : inputs) parts.push_back(input + offset);
    reduce(call.type, call.operation, scalars, parts, call.count, result.data());
  };
  switch (call.kind) {
    case Collective::Kind::all_reduce:
      reduce_from(0);
      for (char* const output : outputs) std::memcpy(output, result.data(), bytes);
      break;
    case Collective::Kind::reduce:
      reduce_from(0);
      std::memcpy(outputs[root], result.data(), bytes);
      break;
    case Collective::Kind::broadcast:
      for (char* const output : outputs) std::memmove(output, inputs[root], bytes);
      break;
    case Collective::Kind::reduce_scatter:
      // In place, a rank's result takes the place of what it contributed to just that.
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        reduce_from(rank * bytes);
        std::memcpy(outputs[rank], result.data(), bytes);
      }
      break;
    case Collective::Kind::all_gather:
      for (char* const output : outputs) {
        for (std::size_t rank = 0; rank < ranks; ++rank) {
          std::memmove(output + rank * bytes, inputs[rank], bytes);
        }
      }
      break;
  }
  return true;
}

Outcome Membership::exchange(const std::vector<Message>& sends,
                             const std::vector<Message>& receives) {
  Lock lock(shared());
  ++running_;
  std::vector<std::vector<char>> before(receives.size());
  for (std::size_t i = 0; i < receives.size(); ++i) {
    const auto* const data = static_cast<const char*>(receives[i].data);
    if (keeps_old_bytes(receives[i].firing)) before[i].assign(data, data + receives[i].bytes);
  }
  Outcome outcome;
  if (pass_messages(lock, sends, receives, outcome)) {
    for (std::size_t i = 0; i < receives.size(); ++i) {
      const Message& message = receives[i];
      damage(message.firing, message.data, message.bytes, message.element_bytes, before[i]);
    }
  }
  --running_;
  if (aborted_) announce_change(shared().changes);
  return outcome;
}

bool Membership::pass_messages(Lock& lock, const std::vector<Message>& sends,
                               const std::vector<Message>& receives, Outcome& outcome) {
  enum class State { waiting, posted, done };
  std::vector<State> sending(sends.size(), State::waiting);
  std::vector<bool> received(receives.size(), false);
  double starts = Stream::ready_time();
  // What goes between the same two ranks keeps its order.
  const auto first_to = [](const auto& messages, std::size_t which, const auto& over) {
    for (std::size_t i = 0; i < which; ++i) {
      if (messages[i].peer == messages[which].peer && !over(i)) return false;
    }
    return true;
  };
  const auto step = [&] {
    bool all = true;
    for (std::size_t i = 0; i < sends.size(); ++i) {
      Shared::Mail& mail =
          shared().mail[static_cast<std::size_t>(rank_)][static_cast<std::size_t>(sends[i].peer)];
      if (sending[i] == State::waiting && !mail.posted && !shared().broken &&
          first_to(sends, i, [&](std::size_t one) { return sending[one] == State::done; })) {
        mail = {true, false, static_cast<const char*>(sends[i].data), sends[i].bytes, starts};
        sending[i] = State::posted;
        announce_change(shared().changes);
      } else if (sending[i] == State::posted && mail.taken) {
        starts = std::max(starts, mail.ready);
        mail = {};
        sending[i] = State::done;
        announce_change(shared().changes);
      }
      all = all && sending[i] == State::done;
    }
    for (std::size_t i = 0; i < receives.size(); ++i) {
      Shared::Mail& mail =
          shared()
              .mail[static_cast<std::size_t>(receives[i].peer)][static_cast<std::size_t>(rank_)];
      if (!received[i] && mail.posted && !mail.taken && !shared().broken &&
          first_to(receives, i, [&](std::size_t one) { return bool{received[one]}; })) {
        const char* const data = local(receives[i].peer, mail.data);
        if (mail.bytes != receives[i].bytes || data == nullptr) {
          shared().broken = true;  // the ranks do not agree on what to do, or one is gone
          return false;
        }
        if (mail.bytes > 0) std::memmove(receives[i].data, data, mail.bytes);
        mail.taken = true;
        mail.ready = std::max(mail.ready, Stream::ready_time());
        starts = std::max(starts, mail.ready);
        received[i] = true;
        announce_change(shared().changes);
      }
      all = all && received[i];
    }
    return all;
  };
  // What a rank sends itself it takes only after it was posted.
  const bool done = wait(lock, [&] { return step() || step() || step(); });
  double out = 0;
  double in = 0;
  // What stays on a GPU takes no link.
  for (const Message& one : sends) {
    if (one.peer != rank_) out += static_cast<double>(one.bytes) / rate_to(one.peer);
  }
  for (const Message& one : receives) {
    if (one.peer != rank_) in += static_cast<double>(one.bytes) / rate_to(one.peer);
  }
  outcome = {5 * kLatency + std::max(out, in), 0, starts};
  return done;
}

bool Membership::begin_split(int color, int key, int members) {
  const Lock lock(shared());
  Shared::Split& split = shared().split;
  Shared::Split::Wish& mine = split.wishes[static_cast<std::size_t>(rank_)];
  if (mine.said || (split.asked > 0 && split.asked == split.members)) return false;
  split.members = members;
  mine = {true, color, key, {}};
  if (++split.asked == members) {
    std::map<int, SharedName> places;
    for (Shared::Split::Wish& wish : split.wishes) {
      if (!wish.said || wish.color == NCCL_SPLIT_NOCOLOR) continue;
      const auto [place, is_new] = places.try_emplace(wish.color);
      if (is_new) {
        if (const auto memory = create_meeting_place()) place->second = memory->name();
      }
      wish.place = place->second;
    }
    announce_change(shared().changes);
  }
  return true;
}

std::optional<std::shared_ptr<Membership>> Membership::end_split() {
  const Lock lock(shared());
  Shared::Split& split = shared().split;
  if (split.asked < split.members) return std::nullopt;
  const Shared::Split::Wish mine = split.wishes[static_cast<std::size_t>(rank_)];
  int number = 0;
  int ranks = 0;
  for (int rank = 0; rank < size_; ++rank) {
    const Shared::Split::Wish& other = split.wishes[static_cast<std::size_t>(rank)];
    if (!other.said || other.color != mine.color) continue;
    ++ranks;
    if (other.key < mine.key || (other.key == mine.key && rank < rank_)) ++number;
  }
  if (++split.left == split.members) split = {};
  if (mine.color == NCCL_SPLIT_NOCOLOR) return nullptr;
  return open(mine.place, number, ranks, World::get().device(device_));
}

std::string Membership::way_to_next() const {
  const int next = (rank_ + 1) % size_;
  const int to = shared().ranks[static_cast<std::size_t>(next)].device;
  const bool direct =
      !without_peer_access() && World::get().machine().link(device_, to).kind != Link::Kind::none;
  const std::string rank = std::to_string(rank_);
  const std::string other = std::to_string(next);
  return "Channel 00/0 : " + rank + "[" + std::to_string(device_) + "] -> " + other + "[" +
         std::to_string(to) + "] via " + (direct ? "P2P/direct pointer" : "SHM/direct/direct");
}

/// Where this process has an address of a rank's GPU; null if that rank's process is gone.
char* Membership::local(int rank, const char* address) {
  const Shared::Rank& one = shared().ranks[static_cast<std::size_t>(rank)];
  if (one.process == ::getpid()) return const_cast<char*>(address);
  std::shared_ptr<SharedMemory>& gpu = gpus_[static_cast<std::size_t>(rank)];
  if (!gpu) gpu = SharedMemory::open(one.memory);
  return gpu ? gpu->data() + (address - one.memory_base) : nullptr;
}

/// Modelled: what a ring over the ranks carries.
double Membership::slowest_hop() const {
  const auto ranks = static_cast<std::size_t>(size_);
  double rate = 0;
  for (std::size_t i = 0; i < ranks; ++i) {
    const double hop = hop_rate(shared().ranks[i].device, shared().ranks[(i + 1) % ranks].device);
    rate = i == 0 ? hop : std::min(rate, hop);
  }
  return rate;
}

double Membership::rate_to(int peer) const {
  return hop_rate(device_, shared().ranks[static_cast<std::size_t>(peer)].device);
}

}  // namespace conformance::sim::nccl
