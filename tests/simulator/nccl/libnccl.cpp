// NCCL as far as the suites call it: communicators over the GPUs of a host, and what they do.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <nccl.h>

#include "tests/simulator/core/capture.h"
#include "tests/simulator/core/context.h"
#include "tests/simulator/nccl/clique.h"

namespace conformance::sim::nccl {
namespace {

struct Communicator {
  std::shared_ptr<Membership> ranks;
  int rank = 0, size = 1, device = 0;
  bool blocking = true;
  CompletionPtr last;
  bool finalized = false;
  bool told_ways = false;
  std::string algorithm, protocol;  ///< that it is to use, if that is forced

  /// What a fault can tell its calls by from those of others.
  std::string variant() const {
    if (!algorithm.empty()) return algorithm + '/' + protocol;
    return ranks->spans_processes() ? "processes" : "";
  }

  /// An operation that multiplies before it adds.
  struct PreMultiplied {
    ncclDataType_t type;
    bool on_device;
    std::uint64_t scalar;  ///< its bits, or its address
  };
  std::vector<std::optional<PreMultiplied>> operations;
  std::set<void*> registered;

  std::set<void*> windows;

  /// A split that this rank has asked for.
  struct Split {
    int color, key;
    int members;  ///< ranks that take part
    bool asked;   ///< the other ranks know
    ncclComm_t* handle;
    bool blocking;
  };
  std::optional<Split> split;
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
  /// What a communicator's rank sends and receives in a stream.
  struct Exchange {
    std::shared_ptr<Communicator> communicator;
    cudaStream_t stream;
    std::vector<Message> sends, receives;
  };
  std::vector<Exchange> exchanges;
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

ncclResult_t open(ncclComm_t* handle, std::shared_ptr<Membership> ranks, bool blocking);

/// Goes on with a split as far as the other ranks let it; ncclInProgress until it is done.
ncclResult_t advance_split(Communicator& one) {
  if (!one.split) return ncclSuccess;
  Communicator::Split& split = *one.split;
  split.asked = split.asked || one.ranks->begin_split(split.color, split.key, split.members);
  if (!split.asked) return ncclInProgress;
  std::optional<std::shared_ptr<Membership>> made = one.ranks->end_split();
  if (!made) return ncclInProgress;
  const Communicator::Split done = *std::exchange(one.split, std::nullopt);
  if (*made == nullptr && done.color != NCCL_SPLIT_NOCOLOR) {
    return fail(ncclRemoteError, "the process of another rank is gone");
  }
  return *made == nullptr ? ncclSuccess : open(done.handle, std::move(*made), done.blocking);
}

ncclResult_t state_of(Communicator& one) {
  if (const ncclResult_t split = advance_split(one); split != ncclSuccess) return split;
  std::string message;
  const ncclResult_t state = one.ranks->state(message);
  if (state == ncclInProgress) return state;
  if (state != ncclSuccess) return fail(state, message);
  return one.finalized && one.last && !one.last->done() ? ncclInProgress : ncclSuccess;
}

/// Waits, for blocking communicators, until all ranks have joined.
ncclResult_t settle(Communicator& one) {
  if (one.blocking) one.ranks->wait_for_all();
  while (one.blocking && advance_split(one) == ncclInProgress) std::this_thread::yield();
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
  std::shared_ptr<Membership> ranks = Membership::open(*meeting_place, rank, size, *device);
  if (!ranks) return fail(ncclRemoteError, "the process that made the ID is gone");
  return open(handle, std::move(ranks), blocking);
}

ncclResult_t open(ncclComm_t* handle, std::shared_ptr<Membership> ranks, bool blocking) {
  auto made = std::make_shared<Communicator>();
  made->rank = ranks->rank();
  made->size = ranks->size();
  made->device = ranks->device();
  made->ranks = std::move(ranks);
  made->blocking = blocking;
  made->algorithm = forced("NCCL_ALGO");
  made->protocol = forced("NCCL_PROTO");
  const auto name = reinterpret_cast<ncclComm_t>(made.get());
  {
    const std::lock_guard lock(registry().mutex);
    registry().communicators[name] = made;
  }
  std::atomic_ref(*handle).store(name, std::memory_order_release);
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

constexpr std::array<const char*, ncclNumTypes> kTypes{
    "int8",    "uint8",   "int32",   "uint32",   "int64",       "uint64",
    "float16", "float32", "float64", "bfloat16", "float8 e4m3", "float8 e5m2"};

/// Whether a buffer is memory of the GPU, which ranks in other processes reach.
bool reachable(const void* buffer, std::size_t bytes, int device) {
  const Device& gpu = World::get().device(device);
  const Location location = gpu.find(buffer);
  return location.kind == Location::Kind::device && bytes <= location.left(buffer);
}

/// The faults at a call: under the function's name, and under that "of" the type.
Firing faults_at(const char* function, ncclDataType_t type, const Communicator& one) {
  Faults& faults = World::get().faults();
  const std::string variant = one.variant();
  Firing firing = faults.at({function, one.device, -1, one.rank, -1, variant});
  const std::string of_type =
      std::string(function) + " of " + kTypes.at(static_cast<std::size_t>(type));
  merge(firing, faults.at({of_type, one.device, -1, one.rank, -1, variant}));
  return firing;
}

bool captures(const StreamPtr& stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  capture_status(stream, status);
  return status != cudaStreamCaptureStatusNone;
}

/// Queues work of a communicator's rank; of work that is captured the faults are those of the
/// graph's launch.
ncclResult_t submit_work(Communicator& one, const StreamPtr& stream, const char* function,
                         const Firing& firing, std::function<Outcome(const Firing&)> work) {
  if (!stream || stream->device().index() != one.device) {
    return fail(ncclInvalidArgument, "the stream is not of the communicator's GPU");
  }
  Operation take;
  const bool captured = captures(stream);
  take.call = std::string(function) + (captured ? " in a graph" : "");
  take.device = one.device;
  take.work = std::move(work);
  return submit(stream, std::move(take), firing, captured ? nullptr : &one.last) == cudaSuccess
             ? ncclSuccess
             : fail(ncclUnhandledCudaError, "the work could not be queued");
}

/// The way to the next rank, if NCCL is asked for such, once.
void tell_ways(Communicator& one) {
  const char* const debug = std::getenv("NCCL_DEBUG");
  const char* const subsystems = std::getenv("NCCL_DEBUG_SUBSYS");
  const bool asked = debug != nullptr && std::string_view(debug) == "INFO" &&
                     subsystems != nullptr && std::string_view(subsystems) == "INIT";
  if (!asked || one.size == 1 || std::exchange(one.told_ways, true)) return;
  std::printf("simulated:%d NCCL INFO %s\n", ::getpid(), one.ranks->way_to_next().c_str());
}

/// What NCCL checks of every call's arguments, in its order.
ncclResult_t check_arguments(const char* function, const Communicator* one, ncclDataType_t type,
                             ncclRedOp_t operation, int root) {
  const std::string name = function;
  if (one == nullptr) return fail(ncclInvalidArgument, name + " : comm argument is NULL");
  if (root < 0 || root >= one->size) {
    return fail(ncclInvalidArgument, name + " : invalid root " + std::to_string(root));
  }
  if (bytes_of(type) == 0) return fail(ncclInvalidArgument, name + " : invalid type");
  const std::size_t own = static_cast<std::size_t>(operation) - ncclNumOps;
  const bool made = operation >= ncclNumOps && own < one->operations.size() && one->operations[own];
  if (operation < 0 || (operation >= ncclNumOps && !made)) {
    return fail(ncclInvalidArgument, name + " : invalid reduction operation");
  }
  return ncclSuccess;
}

ncclResult_t now_or_in_group(std::function<ncclResult_t()> call) {
  if (group().depth == 0) return call();
  group().calls.push_back(std::move(call));
  return ncclSuccess;
}

/// A collective, whose buffers have so many bytes that this rank uses.
ncclResult_t take_part(const char* function, ncclComm_t handle, Collective part,
                       std::size_t input_bytes, std::size_t output_bytes,
                       cudaStream_t stream_handle) {
  const auto one = find(handle);
  const ncclResult_t checked =
      check_arguments(function, one.get(), part.type, part.operation, part.root);
  if (checked != ncclSuccess) {
    // A fault may give a mistake another answer.
    const Firing firing = World::get().faults().at({"refusal of " + std::string(function)});
    return firing.code ? static_cast<ncclResult_t>(*firing.code) : checked;
  }
  if ((input_bytes > 0 && !reachable(part.input, input_bytes, one->device)) ||
      (output_bytes > 0 && !reachable(part.output, output_bytes, one->device))) {
    return fail(ncclInvalidArgument, "a buffer is not memory of the communicator's GPU");
  }
  std::optional<Communicator::PreMultiplied> own;
  if (part.operation >= ncclNumOps) {
    own = one->operations[static_cast<std::size_t>(part.operation) - ncclNumOps];
    part.operation = ncclSum;
  }
  return now_or_in_group([=]() mutable -> ncclResult_t {
    const StreamPtr stream = find_stream(stream_handle);
    Firing firing;
    if (stream && !captures(stream)) firing = faults_at(function, part.type, *one);
    if (firing.code) {
      return fail(static_cast<ncclResult_t>(*firing.code), firing.text.value_or(""));
    }
    if (one->protocol == "LL128" && one->size > 1 && !one->ranks->has_nvlink()) {
      return fail(ncclInvalidUsage, "Error : no algorithm/protocol available for function " +
                                        std::string(function).substr(4) +
                                        ". NCCL_ALGO was set to " + one->algorithm +
                                        ". NCCL_PROTO was set to LL128.");
    }
    if (part.count == 0) return ncclSuccess;
    tell_ways(*one);
    if (firing.value && part.kind == Collective::Kind::all_reduce) {
      part.operation = static_cast<ncclRedOp_t>(*firing.value);
    } else if (firing.value) {
      part.root = static_cast<int>(*firing.value);
    }
    return submit_work(*one, stream, function, firing,
                       [ranks = one->ranks, part, own](const Firing& at_work) mutable {
                         if (own) {
                           std::uint64_t scalar = own->scalar;
                           if (own->on_device) {
                             const auto* const from = reinterpret_cast<const void*>(own->scalar);
                             std::memcpy(&scalar, from, bytes_of(own->type));
                           }
                           part.scalar = scalar;
                         }
                         return ranks->run(part, at_work);
                       });
  });
}

ncclResult_t submit_exchange(const Group::Exchange& exchange) {
  const StreamPtr stream = find_stream(exchange.stream);
  Firing all;  // the damage is each message's own
  for (const Message& message : exchange.receives) {
    Firing rest = message.firing;
    rest.data.clear();
    merge(all, rest);
  }
  return submit_work(
      *exchange.communicator, stream, "ncclSend and ncclRecv", all,
      [ranks = exchange.communicator->ranks, sends = exchange.sends,
       receives = exchange.receives](const Firing&) { return ranks->exchange(sends, receives); });
}

ncclResult_t add_message(const char* function, bool is_sent, void* data, std::size_t count,
                         ncclDataType_t type, int peer, ncclComm_t handle, cudaStream_t stream) {
  const auto one = find(handle);
  const ncclResult_t checked = check_arguments(function, one.get(), type, ncclSum, peer);
  if (checked != ncclSuccess) return checked;
  Message message{peer, data, count * bytes_of(type), bytes_of(type), {}};
  if (count > 0 && !reachable(data, message.bytes, one->device)) {
    return fail(ncclInvalidArgument, "a buffer is not memory of the communicator's GPU");
  }
  const StreamPtr queue = find_stream(stream);
  if (queue && !captures(queue)) message.firing = faults_at(function, type, *one);
  if (message.firing.code) {
    return fail(static_cast<ncclResult_t>(*message.firing.code), message.firing.text.value_or(""));
  }
  Group::Exchange alone{one, stream, {}, {}};
  Group::Exchange* exchange = &alone;
  if (group().depth > 0) {
    auto& all = group().exchanges;
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& other) {
      return other.communicator == one && other.stream == stream;
    });
    exchange = found == all.end() ? &all.emplace_back(std::move(alone)) : &*found;
  }
  (is_sent ? exchange->sends : exchange->receives).push_back(std::move(message));
  return group().depth > 0 ? ncclSuccess : submit_exchange(*exchange);
}

/// Asks the other ranks for a communicator of some of them.
ncclResult_t split(const char* function, const std::shared_ptr<Communicator>& one,
                   Communicator::Split wish, const ncclConfig_t* config) {
  *wish.handle = nullptr;
  const Firing firing =
      World::get().faults().at({function, one->device, -1, one->rank, -1, one->variant()});
  obstruct(firing);
  if (firing.code) {
    return fail(static_cast<ncclResult_t>(*firing.code), firing.text.value_or(""));
  }
  if (firing.value) wish.key = static_cast<int>(*firing.value);
  wish.blocking = config == nullptr || config->blocking == NCCL_CONFIG_UNDEF_INT
                      ? one->blocking
                      : config->blocking != 0;
  one->split = wish;
  const auto ask = [one]() -> ncclResult_t {
    const ncclResult_t result = advance_split(*one);
    return result == ncclInProgress ? ncclSuccess : result;
  };
  if (group().depth > 0) {
    group().calls.push_back(ask);
    group().opened.push_back(one);
    return ncclSuccess;
  }
  const ncclResult_t asked = ask();
  return asked == ncclSuccess ? settle(*one) : asked;
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
  const auto exchanges = std::move(group().exchanges);
  group() = {};
  for (const auto& call : calls) {
    if (const ncclResult_t result = call(); result != ncclSuccess) return result;
  }
  for (const Group::Exchange& exchange : exchanges) {
    if (const ncclResult_t result = submit_exchange(exchange); result != ncclSuccess) return result;
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
                           ncclRedOp_t operation, ncclComm_t handle, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  return take_part(
      "ncclAllReduce", handle,
      {Collective::Kind::all_reduce, input, output, count, type, operation, std::nullopt, 0}, bytes,
      bytes, stream);
}

ncclResult_t ncclReduce(const void* input, void* output, size_t count, ncclDataType_t type,
                        ncclRedOp_t operation, int root, ncclComm_t handle, cudaStream_t stream) {
  const auto one = find(handle);
  const std::size_t bytes = count * bytes_of(type);
  return take_part(
      "ncclReduce", handle,
      {Collective::Kind::reduce, input, output, count, type, operation, std::nullopt, root}, bytes,
      one && one->rank == root ? bytes : 0, stream);
}

ncclResult_t ncclBroadcast(const void* input, void* output, size_t count, ncclDataType_t type,
                           int root, ncclComm_t handle, cudaStream_t stream) {
  const auto one = find(handle);
  const std::size_t bytes = count * bytes_of(type);
  return take_part(
      "ncclBroadcast", handle,
      {Collective::Kind::broadcast, input, output, count, type, ncclSum, std::nullopt, root},
      one && one->rank == root ? bytes : 0, bytes, stream);
}

ncclResult_t ncclReduceScatter(const void* input, void* output, size_t count, ncclDataType_t type,
                               ncclRedOp_t operation, ncclComm_t handle, cudaStream_t stream) {
  const auto one = find(handle);
  const std::size_t bytes = count * bytes_of(type);
  return take_part(
      "ncclReduceScatter", handle,
      {Collective::Kind::reduce_scatter, input, output, count, type, operation, std::nullopt, 0},
      one ? bytes * static_cast<std::size_t>(one->size) : 0, bytes, stream);
}

ncclResult_t ncclAllGather(const void* input, void* output, size_t count, ncclDataType_t type,
                           ncclComm_t handle, cudaStream_t stream) {
  const auto one = find(handle);
  const std::size_t bytes = count * bytes_of(type);
  return take_part(
      "ncclAllGather", handle,
      {Collective::Kind::all_gather, input, output, count, type, ncclSum, std::nullopt, 0}, bytes,
      one ? bytes * static_cast<std::size_t>(one->size) : 0, stream);
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t handle, cudaStream_t stream) {
  return add_message("ncclSend", true, const_cast<void*>(data), count, type, peer, handle, stream);
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t handle,
                      cudaStream_t stream) {
  return add_message("ncclRecv", false, data, count, type, peer, handle, stream);
}

ncclResult_t ncclAlltoAll(const void* input, void* output, size_t count, ncclDataType_t type,
                          ncclComm_t handle, cudaStream_t stream) {
  const auto one = find(handle);
  if (!one) return fail(ncclInvalidArgument, "ncclAlltoAll : comm argument is NULL");
  const std::size_t bytes = count * bytes_of(type);
  ncclGroupStart();
  ncclResult_t result = ncclSuccess;
  for (int peer = 0; peer < one->size && result == ncclSuccess; ++peer) {
    const std::size_t offset = static_cast<std::size_t>(peer) * bytes;
    result = ncclSend(static_cast<const char*>(input) + offset, count, type, peer, handle, stream);
    if (result != ncclSuccess) break;
    result = add_message("ncclAlltoAll", false, static_cast<char*>(output) + offset, count, type,
                         peer, handle, stream);
  }
  const ncclResult_t ended = ncclGroupEnd();
  return result != ncclSuccess ? result : ended;
}

ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t* operation, void* scalar, ncclDataType_t type,
                                      ncclScalarResidence_t residence, ncclComm_t handle) {
  const auto one = find(handle);
  if (!one) return fail(ncclInvalidArgument, "ncclRedOpCreatePreMulSum : comm argument is NULL");
  bool proceed = true;
  const ncclResult_t faulty =
      meet_faults("ncclRedOpCreatePreMulSum", one->rank, one->device, proceed);
  if (!proceed) return faulty;
  const bool on_device = residence == ncclScalarDevice;
  Communicator::PreMultiplied made{type, on_device, reinterpret_cast<std::uintptr_t>(scalar)};
  if (!on_device) {
    made.scalar = 0;
    std::memcpy(&made.scalar, scalar, bytes_of(type));
  }
  auto& all = one->operations;
  auto place = std::find(all.begin(), all.end(), std::nullopt);
  if (place == all.end()) place = all.emplace(all.end());
  *place = made;
  *operation = static_cast<ncclRedOp_t>(ncclNumOps + (place - all.begin()));
  return ncclSuccess;
}

ncclResult_t ncclRedOpDestroy(ncclRedOp_t operation, ncclComm_t handle) {
  const auto one = find(handle);
  if (operation >= 0 && operation < ncclNumOps) {
    return fail(ncclInvalidArgument, "ncclRedOpDestroy : operator is a NCCL builtin");
  }
  if (!one ||
      check_arguments("ncclRedOpDestroy", one.get(), ncclFloat, operation, 0) != ncclSuccess) {
    return fail(ncclInvalidArgument, "ncclRedOpDestroy : operator is unknown to this communicator");
  }
  one->operations[static_cast<std::size_t>(operation) - ncclNumOps].reset();
  return ncclSuccess;
}

ncclResult_t ncclCommSplit(ncclComm_t handle, int color, int key, ncclComm_t* made,
                           ncclConfig_t* config) {
  const auto one = find(handle);
  if (!one || made == nullptr || (color < 0 && color != NCCL_SPLIT_NOCOLOR)) {
    return fail(ncclInvalidArgument, "ncclCommSplit : no communicator, or a negative color");
  }
  return split("ncclCommSplit", one, {color, key, one->size, false, made, true}, config);
}

ncclResult_t ncclCommShrink(ncclComm_t handle, int* excluded, int count, ncclComm_t* made,
                            ncclConfig_t* config, int flags) {
  const auto one = find(handle);
  if (!one || made == nullptr || excluded == nullptr || count < 1 || count >= one->size ||
      std::find(excluded, excluded + count, one->rank) != excluded + count) {
    return fail(ncclInvalidArgument, "ncclCommShrink : no communicator, or wrong ranks");
  }
  constexpr int kAbort = 1;  // NCCL_SHRINK_ABORT, which older headers lack
  if ((flags & kAbort) != 0) one->ranks->abort();
  return split("ncclCommShrink", one, {0, one->rank, one->size - count, false, made, true}, config);
}

ncclResult_t ncclCommRegister(const ncclComm_t handle, void* buffer, size_t bytes,
                              void** registration) {
  const auto one = find(handle);
  if (!one || buffer == nullptr || registration == nullptr || bytes == 0) {
    return fail(ncclInvalidArgument, "ncclCommRegister : an argument is NULL");
  }
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclCommRegister", one->rank, one->device, proceed);
  if (!proceed) return faulty;
  one->registered.insert(buffer);
  *registration = buffer;
  return ncclSuccess;
}

ncclResult_t ncclCommDeregister(const ncclComm_t handle, void* registration) {
  const auto one = find(handle);
  if (!one || one->registered.erase(registration) == 0) {
    return fail(ncclInvalidUsage, "ncclCommDeregister : not registered");
  }
  return ncclSuccess;
}

#ifdef NCCL_WIN_COLL_SYMMETRIC  // else there are no windows
ncclResult_t ncclCommWindowRegister(ncclComm_t handle, void* buffer, size_t bytes,
                                    ncclWindow_t* window, int) {
  const auto one = find(handle);
  if (!one || buffer == nullptr || window == nullptr || bytes == 0) {
    return fail(ncclInvalidArgument, "ncclCommWindowRegister : an argument is NULL");
  }
  bool proceed = true;
  const ncclResult_t faulty =
      meet_faults("ncclCommWindowRegister", one->rank, one->device, proceed);
  if (!proceed) return faulty;
  *window = static_cast<ncclWindow_t>(buffer);
  one->windows.insert(*window);
  return ncclSuccess;
}

ncclResult_t ncclCommWindowDeregister(ncclComm_t handle, ncclWindow_t window) {
  const auto one = find(handle);
  if (!one || one->windows.erase(window) == 0) {
    return fail(ncclInvalidArgument, "ncclCommWindowDeregister : not registered");
  }
  return ncclSuccess;
}
#endif

ncclResult_t ncclMemAlloc(void** memory, size_t bytes) {
  Device* const device = device_at(current_ordinal());
  if (memory == nullptr || device == nullptr) return fail(ncclInvalidArgument, "no pointer");
  bool proceed = true;
  const ncclResult_t faulty = meet_faults("ncclMemAlloc", -1, device->index(), proceed);
  if (!proceed) return faulty;
  *memory = device->allocate(bytes);
  return *memory != nullptr ? ncclSuccess : fail(ncclUnhandledCudaError, "out of memory");
}

ncclResult_t ncclMemFree(void* memory) {
  World& world = World::get();
  for (int index = 0; index < world.device_count(); ++index) {
    if (world.device(index).release(memory)) return ncclSuccess;
  }
  return fail(ncclInvalidUsage, "not memory of ncclMemAlloc");
}

ncclResult_t ncclCommFinalize(ncclComm_t handle) {
  const auto one = find(handle);
  if (!one) return ncclInvalidArgument;
  bool proceed = true;
  const ncclResult_t faulty =
      meet_faults("ncclCommFinalize", one->rank, one->device, proceed, one->variant());
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
