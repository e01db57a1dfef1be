// Do two processes that share memory and events of GPUs see the same?

#include <bit>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/child_task.h"
#include "fixtures/deadline.h"
#include "fixtures/held_stream.h"
#include "fixtures/mapped_memory.h"
#include "suites/peer/findings.h"
#include "suites/peer/pairs.h"
#include "suites/peer/shared_memory.h"

namespace conformance::peer {
namespace {

/// A GPU's part of what this process shares.
struct Shared {
  const CudaDevice& device;
  Stream stream;
  DeviceBuffer<std::uint64_t> memory;
  PatternCheck check{stream};
  Event filled{cudaEventInterprocess | cudaEventDisableTiming};
  Stream after;  ///< goes on behind the other process's event
  PatternCheck check_after{after};

  /// The device must be current.
  Shared(const CudaDevice& gpu, std::size_t gpus)
      : device(gpu),
        memory(DeviceBuffer<std::uint64_t>::poisoned((gpus + 1) * kSharedWords, stream.get())) {
    synchronize(stream, gpu.subject());
  }

  std::uint64_t* part(int opener) const {
    return memory.data() + static_cast<std::size_t>(opener + 1) * kSharedWords;
  }
};

/// The text of a handle that `get` hands out; a refusal is a finding that ends the test.
template <typename Handle, typename Get>
std::string export_handle(const Get& get, const char* call, const Subject& subject) {
  Handle handle{};
  const cudaError_t code = get(&handle);
  cudaGetLastError();
  if (code == cudaErrorNotSupported) skip(fmt::format("{} is not supported here", call));
  if (code != cudaSuccess) {
    fail_and_end(Finding(ipc_refused, subject,
                         fmt::format("{} returned {}", call, cudaGetErrorName(code)),
                         {{"call", call}, {"found", cudaGetErrorName(code)}}));
  }
  verified(1, "handles");
  return handle_text(handle);
}

/// Of data that moves from one GPU's memory to another GPU, or stays on one.
Subject way_of(const CudaInventory& devices, int from, int to) {
  const CudaDevice& first = devices.at(static_cast<std::size_t>(from));
  if (from == to) return first.subject();
  return OrderedPair{first, devices.at(static_cast<std::size_t>(to))}.subject();
}

struct DestroyEvent {
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
};
using ImportedEvent = std::unique_ptr<CUevent_st, DestroyEvent>;

/// What the other process has said before "queued".
struct Answers {
  std::map<int, cudaIpcEventHandle_t> events;  ///< by GPU
  std::vector<std::pair<int, int>> opened;     ///< which GPU opened whose memory
};
Answers read_answers(const std::string& output) {
  Answers answers;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what, text;
    int gpu = 0, owner = 0, code = 0;
    words >> what >> gpu;
    if (what == "answered" && words >> text) {
      if (const auto handle = parse_handle<cudaIpcEventHandle_t>(text)) {
        answers.events.emplace(gpu, *handle);
      }
    } else if (what == "cudaIpcOpenMemHandle" && words >> owner >> code && code == 0) {
      answers.opened.emplace_back(gpu, owner);
    }
  }
  return answers;
}

/// Judges the lines of the other process; yields which GPUs answered in whose memory.
std::vector<std::pair<int, int>> judge_lines(const std::string& output,
                                             const CudaInventory& devices) {
  std::vector<std::pair<int, int>> views;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what, name;
    int gpu = 0, owner = 0;
    std::uint64_t number = 0;
    if (!(words >> what) || what == "answered") continue;
    if (!(words >> gpu >> owner >> number)) continue;
    const Subject subject = way_of(devices, owner, gpu);
    if (what == "wrong") {
      views.emplace_back(gpu, owner);
      verified(kSharedWords, "words of another process");
      expect(number == 0,
             Finding(ipc_wrong, subject,
                     fmt::format("GPU {} of another process saw {} of {} words wrong in memory of "
                                 "GPU {}, behind the event that said they were there",
                                 gpu, number, kSharedWords, owner),
                     {{"wrong_words", number}, {"compared_words", std::uint64_t{kSharedWords}}}));
    } else {
      words >> name;
      verified(1, "calls");
      expect(number == 0,
             Finding(ipc_refused, subject,
                     fmt::format("{} on GPU {} for GPU {}, in another process, returned "
                                 "{}",
                                 what, gpu, owner, name),
                     {{"call", what}, {"found", name}}));
    }
  }
  return views;
}

void expect_ended_well(const ChildResult& child) {
  expect(child.succeeded(), Finding(ipc_refused, host_subject(),
                                    fmt::format("the process that was to share memory {}; it wrote "
                                                "\"{}\"",
                                                child.describe(), child.error),
                                    {{"output", child.output}}));
}

/// The owners compare what the GPUs of the other process stored in their memory: `memories` has
/// one for each GPU, `views` says which GPU stored in whose.
template <typename Memories>
void expect_stored(const std::vector<std::pair<int, int>>& views, const CudaInventory& devices,
                   Memories& memories, std::uint64_t seed) {
  for (auto& own : memories) {
    const CurrentDevice current(own.device);
    for (const auto& [gpu, owner] : views) {
      if (owner != own.device.ordinal) continue;
      own.check.expect(own.part(gpu), kSharedWords, shared_pattern(seed, owner, gpu), ipc_wrong,
                       way_of(devices, gpu, owner),
                       fmt::format("words that GPU {} of another process stored", gpu));
      verified(kSharedWords, "words of another process");
    }
  }
}

TEST_F(Data, AnotherProcessSharesMemoryAndEventsOfEveryGpu) {
  claim(
      "Memory and events of a device that a process hands to another one are the same there, on "
      "every device with access, and events order the work of both",
      "CUDA C++ Programming Guide: Interprocess Communication; CUDA Runtime API: "
      "cudaIpcOpenMemHandle, cudaIpcOpenEventHandle");
  const CudaInventory& devices = require(Devices{1});
  skip_if_exclusive(devices);
  const std::uint64_t seed = Session::current().settings().seed;
  guarded(host_subject(), [&] {
    std::list<Shared> shared;
    std::vector<std::string> arguments{std::to_string(seed)};
    for (const CudaDevice& device : devices) {
      const CurrentDevice current(device);
      const Subject subject = device.subject();
      Shared& own = shared.emplace_back(device, devices.size());
      arguments.push_back(export_handle<cudaIpcMemHandle_t>(
          [&](auto* out) { return cudaIpcGetMemHandle(out, own.memory.data()); },
          "cudaIpcGetMemHandle", subject));
      arguments.push_back(export_handle<cudaIpcEventHandle_t>(
          [&](auto* out) { return cudaIpcGetEventHandle(out, own.filled.get()); },
          "cudaIpcGetEventHandle", subject));
      // What is held up below must be loaded before.
      conformance::fill(own.part(-1), kSharedWords, Pattern{}, own.stream);
      own.check.expect(own.part(-1), kSharedWords, Pattern{}, ipc_wrong, subject,
                       "this process's own words");
    }

    std::vector<std::unique_ptr<HeldStream>> held;
    bool queued = false;
    std::string output;
    ChildOptions options = child_task("answer-in-shared-memory", arguments);
    options.deadline = deadline_of(std::chrono::seconds(60));
    const auto fill_behind_event = [&] {
      for (Shared& own : shared) {
        const CurrentDevice current(own.device);
        held.push_back(std::make_unique<HeldStream>(own.stream));
        const Pattern pattern = shared_pattern(seed, own.device.ordinal, -1);
        conformance::fill(own.part(-1), kSharedWords, pattern, own.stream);
        own.filled.record(own.stream);
      }
    };
    std::vector<ImportedEvent> answered;
    const auto let_go = [&] {
      const Answers answers = read_answers(output);
      for (Shared& own : shared) {
        const CurrentDevice current(own.device);
        const int gpu = own.device.ordinal;
        const auto handle = answers.events.find(gpu);
        if (handle == answers.events.end()) continue;  // the other process said why
        cudaEvent_t event = nullptr;
        const cudaError_t opened = cudaIpcOpenEventHandle(&event, handle->second);
        cudaGetLastError();
        if (!expect(opened == cudaSuccess, Finding(ipc_refused, own.device.subject(),
                                                   fmt::format("cudaIpcOpenEventHandle returned {}",
                                                               cudaGetErrorName(opened)),
                                                   {{"call", "cudaIpcOpenEventHandle"},
                                                    {"found", cudaGetErrorName(opened)}}))) {
          continue;
        }
        answered.emplace_back(event);
        const cudaError_t state = cudaEventQuery(event);
        verified(1, "events");
        expect(state == cudaErrorNotReady,
               Finding(ipc_wrong, own.device.subject(),
                       fmt::format("an event that another process recorded behind work that waits "
                                   "for this one is said to be {}",
                                   cudaGetErrorName(state)),
                       {{"found", cudaGetErrorName(state)}}));
        cudaGetLastError();
        ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(own.after.get(), event, 0)));
        for (const auto& [opener, owner] : answers.opened) {
          if (owner != gpu) continue;
          own.check_after.compare(own.part(opener), kSharedWords,
                                  shared_pattern(seed, owner, opener));
        }
      }
      for (const auto& one : held) one->release();
    };
    Status failed;
    options.on_output = [&](std::string_view piece) {
      output += piece;
      try {
        if (held.empty() && output.find("ready\n") != std::string::npos) {
          fill_behind_event();
        } else if (!queued && output.find("queued\n") != std::string::npos) {
          queued = true;
          let_go();
        }
      } catch (const StatusError& error) {
        // The other process is to be ended first.
        failed = error.status();
      }
    };
    options.cancelled = [&] { return !failed.ok(); };
    const ChildResult child = run_child(options);
    held.clear();  // goes on, whatever became of the other process
    ensure(failed);

    const std::vector<std::pair<int, int>> views = judge_lines(child.output, devices);
    expect_ended_well(child);
    for (Shared& own : shared) {
      const CurrentDevice current(own.device);
      synchronize(own.stream, own.device.subject());
    }
    for (Shared& own : shared) {
      const CurrentDevice current(own.device);
      const std::uint64_t wrong = own.check_after.result(own.device.subject()).count;
      expect(wrong == 0,
             Finding(ipc_wrong, own.device.subject(),
                     fmt::format("{} words that another process stored were not there behind the "
                                 "event that said they were",
                                 wrong),
                     {{"wrong_words", wrong}}));
    }
    expect_stored(views, devices, shared, seed);
  });
}

/// Memory of a GPU that another process is to map.
struct Exported {
  const CudaDevice& device;
  PhysicalMemory memory;
  AddressRange range;
  Mapping mapping;
  Descriptor file;
  Stream stream;
  PatternCheck check{stream};

  /// The device must be current.
  Exported(const DriverTable& cuda, const CudaDevice& gpu, std::size_t bytes)
      : device(gpu),
        memory(cuda, gpu.ordinal, bytes, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
        range(cuda, bytes),
        mapping(cuda, range.at(0), memory),
        file(memory.export_file()) {
    ensure(CONFORMANCE_CALL(
        grant(cuda, range.at(0), bytes, gpu.ordinal, CU_MEM_ACCESS_FLAGS_PROT_READWRITE)));
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(part(-1), 0xA5, bytes, stream.get())));
  }

  std::uint64_t* part(int opener) const {
    return std::bit_cast<std::uint64_t*>(range.at(0)) +
           static_cast<std::size_t>(opener + 1) * kSharedWords;
  }
};

TEST_F(Data, AnotherProcessMapsMemoryThatWasExportedAsAFile) {
  claim(
      "Memory that cuMemExportToShareableHandle hands to another process as a file is the same "
      "there, on every device with access",
      "CUDA C++ Programming Guide: Virtual Memory Management, Allocate a Shareable Memory; CUDA "
      "Driver API: cuMemImportFromShareableHandle");
  const CudaInventory& devices = require(Devices{1});
  skip_if_exclusive(devices);
  const DriverTable cuda = DriverTable::open();
  skip_without(cuda, devices, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
               "virtual memory management");
  skip_without(cuda, devices, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
               "memory that is exported as a file");
  const std::uint64_t seed = Session::current().settings().seed;
  std::list<Exported> exported;
  ChildOptions options = child_task("map-exported-memory", {std::to_string(seed)});
  options.deadline = deadline_of(std::chrono::seconds(60));
  for (const CudaDevice& device : devices) {
    try {
      const CurrentDevice current(device);
      const std::size_t granule = granularity(cuda, device.ordinal);
      const std::size_t wanted = (devices.size() + 1) * kSharedWords * sizeof(std::uint64_t);
      const std::size_t bytes = (wanted + granule - 1) / granule * granule;
      Exported& own = exported.emplace_back(cuda, device, bytes);
      conformance::fill(own.part(-1), kSharedWords, shared_pattern(seed, device.ordinal, -1),
                        own.stream);
      synchronize(own.stream, device.subject());
      options.argv.push_back(std::to_string(bytes));
      options.descriptors.push_back(own.file.get());
      verified(1, "exports");
    } catch (const StatusError& error) {
      fail_and_end(Finding(ipc_refused, device.subject(), error.status().describe(),
                           {{"found", error.status().name()}}),
                   error.status().where());
    }
  }
  const ChildResult child = run_child(options);
  const std::vector<std::pair<int, int>> views = judge_lines(child.output, devices);
  expect_ended_well(child);
  expect_stored(views, devices, exported, seed);
}

}  // namespace
}  // namespace conformance::peer
