// NCCL as far as the suites call it: communicators over the GPUs of a host, and the all-reduce.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include <nccl.h>

#include "tests/simulator/core/context.h"
#include "tests/simulator/nccl/clique.h"

namespace conformance::sim::nccl {
namespace {

struct Communicator {
  std::shared_ptr<Membership> ranks;
  int rank = 0, size = 1, device = 0;
  bool blocking = true;
  std::uint64_t collectives = 0;
  CompletionPtr last;
  bool finalized = false;
  std::string algorithm, protocol;  ///< that it is to use, if that is forced

  /// What a fault can tell its calls by from those of others.
  std::string variant() const {
    if (!algorithm.empty()) return algorithm + '/' + protocol;
    return ranks->spans_processes() ? "processes" : "";
  }
};

struct Registry {
  std::mutex mutex;
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

/// Reads a variable as NCCL does when a communicator is made, and says so if it was asked to.
std::string forced(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) return "";
  const char* const debug = std::getenv("NCCL_DEBUG");
  if (debug != nullptr && std::string_view(debug) == "INFO") {
    std::printf("simulated:%d NCCL INFO %s set by environment to %s\n", ::getpid(), name, value);
  }
  return value;
}

/// Faults at a call, and what they make of it; `proceed` is false if the call ends here.
ncclResult_t meet_faults(const char* name, int rank, int device, bool& proceed,
                         const std::string& variant = "") {
  const Firing firing = World::get().faults().at({name, device, -1, rank, -1, variant});
  obstruct(firing);
  proceed = !firing.code;
  if (proceed) return ncclSuccess;
  return fail(static_cast<ncclResult_t>(*firing.code), firing.text.value_or(""));
}

ncclResult_t state_of(const Communicator& one) {
  std::string message;
  const ncclResult_t state = one.ranks->state(message);
  if (state == ncclInProgress) return state;
  if (state != ncclSuccess) return fail(state, message);
  return one.finalized && one.last && !one.last->done() ? ncclInProgress : ncclSuccess;
}

/// Waits, for blocking communicators, until all ranks have joined.
ncclResult_t settle(const Communicator& one) {
  if (one.blocking) one.ranks->wait_for_all();
  return state_of(one);
}

ncclResult_t join(const Communicator& one) {
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclCommInitRankConfig", one.rank, one.device, proceed);
  if (!proceed) return one.ranks->fail(faulty, last_error());
  std::string message;
  const ncclResult_t joined = one.ranks->join(message);
  return joined == ncclSuccess ? ncclSuccess : fail(joined, message);
}

ncclResult_t open(ncclComm_t* handle, int size, const ncclUniqueId& id, int rank, bool blocking) {
  const auto meeting_place = read_handle<SharedName>(HandleKind::clique, id.internal);
  if (handle == nullptr || !meeting_place) return fail(ncclInvalidArgument, "no ID, or no handle");
  if (size < 1 || size > kMostRanks || rank < 0 || rank >= size) {
    return fail(ncclInvalidArgument,
                "Invalid rank requested : " + std::to_string(rank) + "/" + std::to_string(size));
  }
  Device* device = device_at(current_ordinal());
  if (start_driver() != 0 || device == nullptr || device->lost() != 0) {
    return fail(ncclUnhandledCudaError, "CUDA does not work");
  }
  auto made = std::make_shared<Communicator>();
  made->ranks = Membership::open(*meeting_place, rank, size, *device);
  if (!made->ranks) return fail(ncclRemoteError, "the process that made the ID is gone");
  made->rank = rank;
  made->size = size;
  made->device = device->index();
  made->blocking = blocking;
  made->algorithm = forced("NCCL_ALGO");
  made->protocol = forced("NCCL_PROTO");
  *handle = reinterpret_cast<ncclComm_t>(made.get());
  {
    const std::lock_guard lock(registry().mutex);
    registry().communicators[*handle] = made;
  }
  if (group().depth > 0) {
    group().calls.push_back([made] { return join(*made); });
    group().opened.push_back(made);
    return ncclSuccess;
  }
  ncclResult_t result = join(*made);
  if (result == ncclSuccess) result = settle(*made);
  if (blocking && result != ncclSuccess) {
    const std::lock_guard lock(registry().mutex);
    registry().communicators.erase(*handle);
    *handle = nullptr;
  }
  return result;
}

/// Whether a buffer of an all-reduce is memory of the GPU, which ranks in other processes reach.
bool reachable(const void* buffer, std::size_t bytes, int device) {
  const Device& gpu = World::get().device(device);
  const Location location = gpu.find(buffer);
  return location.kind == Location::Kind::device && bytes <= location.left(buffer);
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
  return proceed ? make_unique_id(*id) : faulty;
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
  ncclResult_t all = ncclSuccess;
  for (const auto& one : opened) {
    const ncclResult_t result = settle(*one);
    if (result != ncclSuccess && result != ncclInProgress) return result;
    if (result == ncclInProgress) all = result;
  }
  return all;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* state) {
  const auto one = find(handle);
  if (!one || state == nullptr) return ncclInvalidArgument;
  bool proceed = true;
  const ncclResult_t faulty =
      meet_faults("ncclCommGetAsyncError", one->rank, one->device, proceed, one->variant());
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
  const std::size_t bytes = bytes_of(type);
  if (!one || bytes == 0 ||
      (operation != ncclSum && operation != ncclMax && operation != ncclMin)) {
    return fail(ncclInvalidArgument, "not simulated");
  }
  if (count > 0 && (!reachable(input, count * bytes, one->device) ||
                    !reachable(output, count * bytes, one->device))) {
    return fail(ncclInvalidArgument, "a buffer is not memory of the communicator's GPU");
  }
  const auto enqueue = [=]() -> ncclResult_t {
    const std::string variant = one->variant();
    const Firing firing =
        World::get().faults().at({"ncclAllReduce", one->device, -1, one->rank, -1, variant});
    if (firing.code) {
      return fail(static_cast<ncclResult_t>(*firing.code), firing.text.value_or(""));
    }
    if (one->protocol == "LL128" && one->size > 1 && !one->ranks->has_nvlink()) {
      return fail(ncclInvalidUsage,
                  "Error : no algorithm/protocol available for function AllReduce. NCCL_ALGO was "
                  "set to " +
                      one->algorithm + ". NCCL_PROTO was set to LL128.");
    }
    if (count == 0) return ncclSuccess;
    const StreamPtr stream = find_stream(stream_handle);
    if (!stream || stream->device().index() != one->device) {
      return fail(ncclInvalidArgument, "the stream is not of the communicator's GPU");
    }
    const AllReduce part{++one->collectives, input, output, count, type, operation};
    Operation take;
    take.call = "ncclAllReduce";
    take.device = one->device;
    take.work = [ranks = one->ranks, part](const Firing& own) { return ranks->run(part, own); };
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
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclCommAbort", one->rank, one->device, proceed);
  if (!proceed) return faulty;
  one->ranks->abort();
  return ncclCommDestroy(handle);
}

}  // extern "C"
}  // namespace conformance::sim::nccl
