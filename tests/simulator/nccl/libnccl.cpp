// NCCL as far as the suites call it: communicators over GPUs of one process, and the all-reduce.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <nccl.h>

#include "tests/simulator/core/context.h"

namespace conformance::sim::nccl {
namespace {

/// One collective: the ranks meet here, and the last one does the work for all.
struct Meeting {
  struct Rank {
    const void* input = nullptr;
    void* output = nullptr;
    Firing firing;
  };
  std::vector<Rank> ranks;
  int arrived = 0;
  bool done = false;
  double starts = 0;
};

/// What the ranks of one communicator share.
struct Clique {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> devices;  ///< by rank; -1 until the rank has joined
  int joined = 0;
  ncclResult_t error = ncclSuccess;
  bool aborted = false;
  std::map<std::uint64_t, Meeting> meetings;
};

struct Communicator {
  std::shared_ptr<Clique> clique;
  int rank = 0, size = 1, device = 0;
  bool blocking = true;
  std::uint64_t collectives = 0;
  CompletionPtr last;
  bool finalized = false;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<Clique>> cliques;
  std::map<ncclComm_t, std::shared_ptr<Communicator>> communicators;
};
Registry& registry() {
  static auto* made = new Registry;
  return *made;
}

std::string& last_error() {
  thread_local std::string text;
  return text;
}

ncclResult_t fail(ncclResult_t result, const std::string& text) {
  last_error() = text;
  return result;
}

std::shared_ptr<Communicator> find(ncclComm_t handle) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().communicators.find(handle);
  return found == registry().communicators.end() ? nullptr : found->second;
}

/// What a group that is being collected will do.
struct Group {
  int depth = 0;
  std::vector<std::shared_ptr<Communicator>> opened;
  std::vector<std::function<ncclResult_t()>> calls;
};
Group& group() {
  thread_local Group one;
  return one;
}

/// Faults at a call, and what they make of it; `proceed` is false if the call ends here.
ncclResult_t meet_faults(const char* name, int rank, int device, bool& proceed) {
  const Firing firing = World::get().faults().at({name, device, -1, rank});
  obstruct(firing);
  proceed = !firing.code;
  if (proceed) return ncclSuccess;
  return fail(static_cast<ncclResult_t>(*firing.code), firing.text.value_or(""));
}

template <typename T>
void reduce(const Meeting& meeting, std::size_t count, ncclRedOp_t operation) {
  std::vector<T> result(count);
  for (std::size_t rank = 0; rank < meeting.ranks.size(); ++rank) {
    const Meeting::Rank& one = meeting.ranks[rank];
    std::vector<T> input(static_cast<const T*>(one.input),
                         static_cast<const T*>(one.input) + count);
    for (const DataFault& fault : one.firing.data) {
      if (fault.kind != DataFault::Kind::lose_input) continue;
      const std::size_t first = std::min<std::uint64_t>(fault.offset / sizeof(T), count);
      const std::size_t most = count - first;
      const std::size_t lost = std::min<std::uint64_t>(fault.bytes / sizeof(T), most);
      std::fill_n(input.begin() + static_cast<std::ptrdiff_t>(first), lost, T{0});
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (rank == 0) {
        result[i] = input[i];
      } else if (operation == ncclSum) {
        result[i] += input[i];
      } else if (operation == ncclMax) {
        result[i] = std::max(result[i], input[i]);
      } else {
        result[i] = std::min(result[i], input[i]);
      }
    }
  }
  for (const Meeting::Rank& one : meeting.ranks) {
    const auto* old = static_cast<const char*>(one.output);
    std::vector<char> before;
    if (keeps_old_bytes(one.firing)) before.assign(old, old + count * sizeof(T));
    std::copy(result.begin(), result.end(), static_cast<T*>(one.output));
    damage(one.firing, one.output, count * sizeof(T), sizeof(T), before);
  }
}

using Reduce = void (*)(const Meeting&, std::size_t, ncclRedOp_t);
Reduce reduce_for(ncclDataType_t type, std::size_t& bytes) {
  switch (type) {
    case ncclFloat32:
      bytes = 4;
      return &reduce<float>;
    case ncclFloat64:
      bytes = 8;
      return &reduce<double>;
    case ncclInt32:
      bytes = 4;
      return &reduce<std::int32_t>;
    case ncclUint64:
      bytes = 8;
      return &reduce<std::uint64_t>;
    default:
      return nullptr;
  }
}

/// Modelled: a ring over the slowest of its links, in both halves of an all-reduce.
double seconds_of(const Clique& clique, std::size_t bytes) {
  const std::size_t ranks = clique.devices.size();
  const World& world = World::get();
  double rate = 0;
  for (std::size_t i = 0; i < ranks; ++i) {
    const double hop = world.copy_rate(clique.devices[i], clique.devices[(i + 1) % ranks]);
    rate = i == 0 ? hop : std::min(rate, hop);
  }
  const double factor =
      ranks == 1 ? 1 : 2.0 * static_cast<double>(ranks - 1) / static_cast<double>(ranks);
  return 5 * kLatency + factor * static_cast<double>(bytes) / rate;
}

Outcome take_part(Clique& clique, std::uint64_t number, int rank, const void* input, void* output,
                  std::size_t count, Reduce work, std::size_t bytes, ncclRedOp_t operation,
                  const Firing& firing) {
  std::unique_lock lock(clique.mutex);
  Meeting& meeting = clique.meetings[number];
  meeting.ranks.resize(clique.devices.size());
  meeting.ranks[static_cast<std::size_t>(rank)] = {input, output, firing};
  meeting.starts = std::max(meeting.starts, Stream::ready_time());
  ++meeting.arrived;
  if (meeting.arrived == static_cast<int>(clique.devices.size())) {
    work(meeting, count, operation);
    meeting.done = true;
    clique.changed.notify_all();
  } else {
    clique.changed.wait(lock, [&] { return meeting.done || clique.aborted; });
  }
  const Outcome outcome{seconds_of(clique, count * bytes), 0, meeting.starts};
  if (--meeting.arrived == 0) clique.meetings.erase(number);
  return outcome;
}

ncclResult_t state_of(const Communicator& one) {
  const std::lock_guard lock(one.clique->mutex);
  if (one.clique->error != ncclSuccess) return one.clique->error;
  if (one.clique->joined < one.size) return ncclInProgress;
  if (one.finalized && one.last && !one.last->done()) return ncclInProgress;
  return ncclSuccess;
}

/// Waits, for blocking communicators, until all ranks have joined.
ncclResult_t settle(const Communicator& one) {
  if (!one.blocking) return state_of(one);
  {
    std::unique_lock lock(one.clique->mutex);
    one.clique->changed.wait(lock, [&] {
      return one.clique->joined == one.size || one.clique->error != ncclSuccess ||
             one.clique->aborted;
    });
  }
  return state_of(one);
}

ncclResult_t open(ncclComm_t* handle, int size, const ncclUniqueId& id, int rank, bool blocking) {
  if (handle == nullptr || size < 1 || rank < 0 || rank >= size) return ncclInvalidArgument;
  Device* device = device_at(current_ordinal());
  if (start_driver() != 0 || device == nullptr || device->lost() != 0) {
    return fail(ncclUnhandledCudaError, "CUDA does not work");
  }
  auto made = std::make_shared<Communicator>();
  made->rank = rank;
  made->size = size;
  made->device = device->index();
  made->blocking = blocking;
  *handle = reinterpret_cast<ncclComm_t>(made.get());
  {
    const std::lock_guard lock(registry().mutex);
    std::weak_ptr<Clique>& known =
        registry().cliques[std::string(id.internal, sizeof(id.internal))];
    made->clique = known.lock();
    if (!made->clique) {
      made->clique = std::make_shared<Clique>();
      made->clique->devices.assign(static_cast<std::size_t>(size), -1);
      known = made->clique;
    }
    registry().communicators[*handle] = made;
  }
  const auto join = [made] {
    bool proceed = true;
    const ncclResult_t faulty =
        meet_faults("ncclCommInitRankConfig", made->rank, made->device, proceed);
    Clique& clique = *made->clique;
    const std::lock_guard lock(clique.mutex);
    if (!proceed) {
      clique.error = faulty;
      clique.changed.notify_all();
      return faulty;
    }
    for (int other = 0; other < made->size; ++other) {
      const int place = clique.devices[static_cast<std::size_t>(other)];
      if (place < 0) continue;
      const auto& gpus = World::get().machine().gpus;
      if (gpus[static_cast<std::size_t>(place)].uuid ==
          gpus[static_cast<std::size_t>(made->device)].uuid) {
        clique.error = ncclInvalidUsage;
        clique.changed.notify_all();
        return fail(ncclInvalidUsage, "Duplicate GPU detected : rank " +
                                          std::to_string(made->rank) + " and rank " +
                                          std::to_string(other));
      }
    }
    clique.devices[static_cast<std::size_t>(made->rank)] = made->device;
    ++clique.joined;
    clique.changed.notify_all();
    return ncclSuccess;
  };
  if (group().depth > 0) {
    group().calls.push_back(join);
    group().opened.push_back(made);
    return ncclSuccess;
  }
  const ncclResult_t joined = join();
  return joined == ncclSuccess ? settle(*made) : joined;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  if (version == nullptr) return ncclInvalidArgument;
  const Firing firing = World::get().faults().at({"ncclGetVersion"});
  *version = firing.value ? static_cast<int>(*firing.value) : NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess ? "no error" : "an error of the simulated NCCL";
}

const char* ncclGetLastError(ncclComm_t) { return last_error().c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (id == nullptr) return ncclInvalidArgument;
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclGetUniqueId", -1, -1, proceed);
  if (!proceed) return faulty;
  std::random_device random;
  for (char& byte : id->internal) byte = static_cast<char>(random());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* handle, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  const bool blocking = config == nullptr || config->blocking != 0;
  return open(handle, size, id, rank, blocking);
}

ncclResult_t ncclCommInitRank(ncclComm_t* handle, int size, ncclUniqueId id, int rank) {
  return open(handle, size, id, rank, true);
}

ncclResult_t ncclCommInitAll(ncclComm_t* handles, int count, const int* ordinals) {
  ncclUniqueId id;
  const ncclResult_t made = ncclGetUniqueId(&id);
  if (made != ncclSuccess) return made;
  const int before = current_ordinal();
  ncclGroupStart();
  ncclResult_t result = ncclSuccess;
  for (int rank = 0; rank < count && result == ncclSuccess; ++rank) {
    current_ordinal() = ordinals == nullptr ? rank : ordinals[rank];
    result = open(&handles[rank], count, id, rank, true);
  }
  current_ordinal() = before;
  const ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

ncclResult_t ncclGroupStart() {
  ++group().depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group().depth <= 0) return fail(ncclInvalidUsage, "no group to end");
  if (--group().depth > 0) return ncclSuccess;
  const auto calls = std::move(group().calls);
  const auto opened = std::move(group().opened);
  group() = {};
  for (const auto& call : calls) {
    if (const ncclResult_t result = call(); result != ncclSuccess) return result;
  }
  for (const auto& one : opened) {
    if (const ncclResult_t result = settle(*one);
        result != ncclSuccess && result != ncclInProgress) {
      return result;
    }
  }
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* state) {
  const auto one = find(handle);
  if (!one || state == nullptr) return ncclInvalidArgument;
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclCommGetAsyncError", one->rank, one->device, proceed);
  *state = proceed ? state_of(*one) : faulty;
  return ncclSuccess;
}

ncclResult_t ncclCommCount(ncclComm_t handle, int* count) {
  const auto one = find(handle);
  if (!one || count == nullptr) return ncclInvalidArgument;
  const Firing firing = World::get().faults().at({"ncclCommCount", one->device, -1, one->rank});
  *count = firing.value ? static_cast<int>(*firing.value) : one->size;
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(ncclComm_t handle, int* rank) {
  const auto one = find(handle);
  if (!one || rank == nullptr) return ncclInvalidArgument;
  const Firing firing = World::get().faults().at({"ncclCommUserRank", one->device, -1, one->rank});
  *rank = firing.value ? static_cast<int>(*firing.value) : one->rank;
  return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(ncclComm_t handle, int* ordinal) {
  const auto one = find(handle);
  if (!one || ordinal == nullptr) return ncclInvalidArgument;
  const Firing firing = World::get().faults().at({"ncclCommCuDevice", one->device, -1, one->rank});
  *ordinal = firing.value ? static_cast<int>(*firing.value) : World::get().ordinal(one->device);
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* input, void* output, size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t handle, cudaStream_t stream_handle) {
  const auto one = find(handle);
  std::size_t bytes = 0;
  const Reduce work = reduce_for(type, bytes);
  if (!one || work == nullptr ||
      (operation != ncclSum && operation != ncclMax && operation != ncclMin)) {
    return fail(ncclInvalidArgument, "not simulated");
  }
  const auto enqueue = [=]() -> ncclResult_t {
    const Firing firing = World::get().faults().at({"ncclAllReduce", one->device, -1, one->rank});
    if (firing.code) {
      return fail(static_cast<ncclResult_t>(*firing.code), firing.text.value_or(""));
    }
    if (count == 0) return ncclSuccess;
    const StreamPtr stream = find_stream(stream_handle);
    if (!stream || stream->device().index() != one->device) {
      return fail(ncclInvalidArgument, "the stream is not of the communicator's GPU");
    }
    Operation take;
    take.call = "ncclAllReduce";
    take.device = one->device;
    take.work = [=, number = one->collectives++](const Firing& own) {
      return take_part(*one->clique, number, one->rank, input, output, count, work, bytes,
                       operation, own);
    };
    return submit(stream, std::move(take), firing, &one->last) == cudaSuccess
               ? ncclSuccess
               : fail(ncclUnhandledCudaError, "the all-reduce could not be queued");
  };
  if (group().depth > 0) {
    group().calls.push_back(enqueue);
    return ncclSuccess;
  }
  return enqueue();
}

ncclResult_t ncclCommFinalize(ncclComm_t handle) {
  const auto one = find(handle);
  if (!one) return ncclInvalidArgument;
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclCommFinalize", one->rank, one->device, proceed);
  if (!proceed) return faulty;
  one->finalized = true;
  return one->blocking ? ncclSuccess : state_of(*one);
}

ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  const std::lock_guard lock(registry().mutex);
  return registry().communicators.erase(handle) == 1 ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t ncclCommAbort(ncclComm_t handle) {
  const auto one = find(handle);
  if (!one) return ncclInvalidArgument;
  {
    const std::lock_guard lock(one->clique->mutex);
    one->clique->aborted = true;
    one->clique->changed.notify_all();
  }
  return ncclCommDestroy(handle);
}

}  // extern "C"
}  // namespace conformance::sim::nccl
