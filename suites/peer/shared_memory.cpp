#include "suites/peer/shared_memory.h"

#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <list>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixtures/child.h"
#include "fixtures/cuda_memory.h"
#include "fixtures/cuda_stream.h"
#include "fixtures/deadline.h"
#include "fixtures/mapped_memory.h"
#include "kernels/pattern.h"

namespace conformance::peer {
namespace {

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

/// Says how a call went; true if well.
bool tell(std::string_view call, int gpu, int owner, cudaError_t code) {
  cudaGetLastError();  // said; it must not be the next call's
  say(fmt::format("{} {} {} {} {}", call, gpu, owner, static_cast<int>(code),
                  cudaGetErrorName(code)));
  return code == cudaSuccess;
}

/// An opened event; null, which is told, if it is refused.
cudaEvent_t open_event(const std::string& handle, int owner) {
  cudaEvent_t event = nullptr;
  const auto parsed = parse_handle<cudaIpcEventHandle_t>(handle);
  if (!parsed) throw std::runtime_error("a damaged handle");
  return tell("cudaIpcOpenEventHandle", owner, owner, cudaIpcOpenEventHandle(&event, *parsed))
             ? event
             : nullptr;
}

/// Waits until the other process has recorded the event. It is pending as long as that process
/// waits for "queued".
bool is_recorded(cudaEvent_t event) {
  const auto start = std::chrono::steady_clock::now();
  while (cudaEventQuery(event) != cudaErrorNotReady) {
    if (std::chrono::steady_clock::now() - start > deadline_of(kDeadline)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// One GPU's view of one memory.
struct View {
  int gpu, owner;
  std::uint64_t* memory;
  Stream stream;
  DeviceBuffer<kernels::PatternMismatch> found{1};
  PinnedBuffer<kernels::PatternMismatch> on_host{1};
  Event done{cudaEventDisableTiming};

  /// The GPU must be current.
  View(int on, int of, std::uint64_t* opened) : gpu(on), owner(of), memory(opened) {
    on_host[0] = kernels::no_mismatch();
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(found.data(), on_host.data(), on_host.bytes(),
                                            cudaMemcpyHostToDevice, stream.get())));
    // A kernel that is loaded at its first launch would wait for what the other process holds up.
    const DeviceBuffer<std::uint64_t> word(1);
    ensure(CONFORMANCE_CALL(kernels::fill_pattern(word.data(), 1, 0, 0, stream.get())));
    ensure(
        CONFORMANCE_CALL(kernels::check_pattern(word.data(), 1, 0, 0, found.data(), stream.get())));
    ensure(wait_for(stream.get()));
  }

  void compare_and_fill(std::uint64_t seed, cudaEvent_t after) {
    ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(stream.get(), after, 0)));
    compare_and_fill(seed);
    done.record(stream);
  }
  void compare_and_fill(std::uint64_t seed) {
    const Pattern theirs = shared_pattern(seed, owner, -1);
    ensure(CONFORMANCE_CALL(
        kernels::check_pattern(memory, kSharedWords, 0, theirs.seed, found.data(), stream.get())));
    const Pattern own = shared_pattern(seed, owner, gpu);
    ensure(CONFORMANCE_CALL(
        kernels::fill_pattern(memory + static_cast<std::size_t>(gpu + 1) * kSharedWords,
                              kSharedWords, 0, own.seed, stream.get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(on_host.data(), found.data(), on_host.bytes(),
                                            cudaMemcpyDeviceToHost, stream.get())));
  }
  void tell_wrong() const {
    say(fmt::format("wrong {} {} {}", gpu, owner, static_cast<std::uint64_t>(on_host[0].count)));
  }
};

/// On the device of a memory's owner, between the imported event and the views of its memory.
struct Relay {
  Stream stream;
  Event filled{cudaEventDisableTiming};
};

/// The GPUs that can access the owner's memory, itself among them.
std::vector<int> with_access(int owner, int gpus) {
  std::vector<int> result;
  for (int gpu = 0; gpu < gpus; ++gpu) {
    int can = gpu == owner ? 1 : 0;
    if (can == 0) ensure(CONFORMANCE_CALL(cudaDeviceCanAccessPeer(&can, gpu, owner)));
    if (can != 0) result.push_back(gpu);
  }
  return result;
}

int answer(std::span<const std::string> arguments) {
  constexpr std::size_t kEach = 2;
  const std::uint64_t seed = std::strtoull(arguments[0].c_str(), nullptr, 10);
  const int gpus = static_cast<int>((arguments.size() - 1) / kEach);
  std::list<View> views;
  std::vector<cudaEvent_t> filled;
  std::list<Event> answered;
  bool all = true;
  for (int owner = 0; owner < gpus; ++owner) {
    const std::string* const handles = &arguments[1 + static_cast<std::size_t>(owner) * kEach];
    for (const int gpu : with_access(owner, gpus)) {
      ensure(CONFORMANCE_CALL(cudaSetDevice(gpu)));
      const auto handle = parse_handle<cudaIpcMemHandle_t>(handles[0]);
      if (!handle) throw std::runtime_error("a damaged handle");
      void* memory = nullptr;
      if (tell("cudaIpcOpenMemHandle", gpu, owner,
               cudaIpcOpenMemHandle(&memory, *handle, cudaIpcMemLazyEnablePeerAccess))) {
        views.emplace_back(gpu, owner, static_cast<std::uint64_t*>(memory));
      } else {
        all = false;
      }
    }
    ensure(CONFORMANCE_CALL(cudaSetDevice(owner)));
    filled.push_back(open_event(handles[1], owner));
    all = all && filled.back() != nullptr;
    const Event& own = answered.emplace_back(cudaEventInterprocess | cudaEventDisableTiming);
    cudaIpcEventHandle_t handle{};
    if (tell("cudaIpcGetEventHandle", owner, owner, cudaIpcGetEventHandle(&handle, own.get()))) {
      say(fmt::format("answered {} {}", owner, handle_text(handle)));
    } else {
      all = false;
    }
  }
  if (!all) return 0;  // told
  say("ready");
  for (const cudaEvent_t event : filled) {
    if (!is_recorded(event)) {
      say("never-recorded");
      return 0;
    }
  }
  // An imported event is waited for on its own device alone: a driver of branch 580 ends the
  // process in which a stream of another device waits for one. Events of this process pass it on.
  std::list<Relay> relays;
  auto done = answered.begin();
  for (int owner = 0; owner < gpus; ++owner, ++done) {
    ensure(CONFORMANCE_CALL(cudaSetDevice(owner)));
    Relay& relay = relays.emplace_back();
    ensure(CONFORMANCE_CALL(
        cudaStreamWaitEvent(relay.stream.get(), filled[static_cast<std::size_t>(owner)], 0)));
    relay.filled.record(relay.stream);
    for (View& view : views) {
      if (view.owner != owner) continue;
      ensure(CONFORMANCE_CALL(cudaSetDevice(view.gpu)));
      view.compare_and_fill(seed, relay.filled.get());
    }
    ensure(CONFORMANCE_CALL(cudaSetDevice(owner)));
    for (const View& view : views) {
      if (view.owner != owner) continue;
      ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(relay.stream.get(), view.done.get(), 0)));
    }
    done->record(relay.stream);
  }
  say("queued");
  for (const Relay& relay : relays) ensure(wait_for(relay.stream.get()));
  for (const View& view : views) view.tell_wrong();
  for (const View& view : views) {
    ensure(CONFORMANCE_CALL(cudaSetDevice(view.gpu)));
    tell("cudaIpcCloseMemHandle", view.gpu, view.owner, cudaIpcCloseMemHandle(view.memory));
  }
  for (const cudaEvent_t event : filled) ensure(CONFORMANCE_CALL(cudaEventDestroy(event)));
  return 0;
}

/// Memory of another process, mapped here.
struct Imported {
  PhysicalMemory memory;
  AddressRange range;
  Mapping mapping;

  Imported(const DriverTable& cuda, const Descriptor& file, std::size_t bytes)
      : memory(cuda, file, bytes), range(cuda, bytes), mapping(cuda, range.at(0), memory) {}
};

/// "cuMemMap" of "cuda.cuMemMap(address, …)".
std::string called_function(const Status& status) {
  const std::string head = status.expression().substr(0, status.expression().find('('));
  return head.substr(head.find_last_of(".>") + 1);
}

int map_exported(std::span<const std::string> arguments) {
  const std::uint64_t seed = std::strtoull(arguments[0].c_str(), nullptr, 10);
  const int gpus = static_cast<int>(arguments.size()) - 1;
  const DriverTable cuda = DriverTable::open();
  ensure(CONFORMANCE_CALL(cuda.cuInit(0)));
  std::list<Imported> imported;
  for (int owner = 0; owner < gpus; ++owner) {
    int gpu = owner;
    try {
      ensure(CONFORMANCE_CALL(cudaSetDevice(owner)));
      const Descriptor file(kFirstHandedOn + owner);
      const std::size_t bytes =
          std::strtoull(arguments[static_cast<std::size_t>(owner) + 1].c_str(), nullptr, 10);
      const Imported& own = imported.emplace_back(cuda, file, bytes);
      say(fmt::format("cuMemImportFromShareableHandle {} {} 0 CUDA_SUCCESS", owner, owner));
      for (const int other : with_access(owner, gpus)) {
        gpu = other;
        ensure(CONFORMANCE_CALL(
            grant(cuda, own.range.at(0), bytes, gpu, CU_MEM_ACCESS_FLAGS_PROT_READWRITE)));
        ensure(CONFORMANCE_CALL(cudaSetDevice(gpu)));
        View view(gpu, owner, std::bit_cast<std::uint64_t*>(own.range.at(0)));
        view.compare_and_fill(seed);
        ensure(wait_for(view.stream.get()));
        view.tell_wrong();
      }
    } catch (const StatusError& error) {
      const Status& status = error.status();
      say(fmt::format("{} {} {} {} {}", called_function(status), gpu, owner, status.code(),
                      status.name()));
    }
  }
  return 0;
}

/// Runs a task whose errors end it.
int run(int (*task)(std::span<const std::string>), std::span<const std::string> arguments) {
  try {
    return task(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

}  // namespace

int answer_in_shared_memory(std::span<const std::string> arguments) {
  return arguments.size() < 3 ? 2 : run(answer, arguments);
}

int map_exported_memory(std::span<const std::string> arguments) {
  return arguments.size() < 2 ? 2 : run(map_exported, arguments);
}

}  // namespace conformance::peer
