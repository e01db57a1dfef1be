// Memory, events and communicators that several processes use: this program is all of them. A child
// runs one of the tasks below and answers by its exit code and what it prints.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/prctl.h>
#include <unistd.h>

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include "fixtures/child_task.h"

namespace conformance::sim {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Arguments = std::vector<std::string>;
using namespace std::chrono_literals;

constexpr int kGpus = 4;
constexpr std::size_t kWords = 25'001;  // ends within a page
using Words = std::vector<unsigned>;

template <typename Handle>
std::string to_text(const Handle& handle) {
  std::string text;
  const auto* byte = reinterpret_cast<const unsigned char*>(&handle);
  for (std::size_t i = 0; i < sizeof(handle); ++i) text += fmt::format("{:02x}", byte[i]);
  return text;
}

template <typename Handle>
Handle from_text(std::string_view text) {
  Handle handle;
  auto* byte = reinterpret_cast<unsigned char*>(&handle);
  for (std::size_t i = 0; i < sizeof(handle); ++i) {
    byte[i] =
        static_cast<unsigned char>(std::stoul(std::string(text.substr(2 * i, 2)), nullptr, 16));
  }
  return handle;
}

Words pattern(unsigned first) {
  Words words(kWords);
  for (std::size_t i = 0; i < kWords; ++i) words[i] = first + static_cast<unsigned>(i);
  return words;
}

unsigned* allocate(int ordinal) {
  void* memory = nullptr;
  cudaSetDevice(ordinal);
  EXPECT_EQ(cudaMalloc(&memory, kWords * sizeof(unsigned)), cudaSuccess);
  return static_cast<unsigned*>(memory);
}

void write(unsigned* memory, const Words& words) {
  EXPECT_EQ(cudaMemcpy(memory, words.data(), words.size() * sizeof(unsigned), cudaMemcpyDefault),
            cudaSuccess);
}

Words read(const unsigned* memory) {
  Words words(kWords);
  EXPECT_EQ(cudaMemcpy(words.data(), memory, kWords * sizeof(unsigned), cudaMemcpyDefault),
            cudaSuccess);
  return words;
}

cudaIpcMemHandle_t export_memory(void* memory) {
  cudaIpcMemHandle_t handle{};
  EXPECT_EQ(cudaIpcGetMemHandle(&handle, memory), cudaSuccess);
  return handle;
}

cudaError_t import_memory(const cudaIpcMemHandle_t& handle, unsigned** memory) {
  return cudaIpcOpenMemHandle(reinterpret_cast<void**>(memory), handle,
                              cudaIpcMemLazyEnablePeerAccess);
}

/// For children: a mistake is said on stderr and ends the process with 1.
void demand(bool holds, const char* what) {
  if (holds) return;
  fmt::print(stderr, "does not hold: {}; last errors: {}, {}\n", what,
             cudaGetErrorName(cudaPeekAtLastError()), ncclGetLastError(nullptr));
  std::_Exit(1);
}
#define DEMAND(condition) demand(condition, #condition)

void say(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

ChildOptions child(std::string_view task, Arguments arguments) {
  ChildOptions options = child_task(task, std::move(arguments));
  options.deadline = 30s;
  return options;
}

void expect_success(const ChildResult& result) {
  EXPECT_TRUE(result.succeeded()) << result.describe() << "\n" << result.error;
}

// Memory

int exchange_memory(const Arguments& arguments) {
  const auto handle = from_text<cudaIpcMemHandle_t>(arguments.at(0));
  unsigned *memory = nullptr, *again = nullptr;
  DEMAND(import_memory(handle, &memory) == cudaSuccess);
  DEMAND(read(memory) == pattern(1));
  write(memory, pattern(2));
  DEMAND(import_memory(handle, &again) == cudaSuccess && again == memory);
  DEMAND(cudaFree(memory) == cudaErrorInvalidValue);
  DEMAND(cudaIpcCloseMemHandle(memory) == cudaSuccess);
  DEMAND(read(memory) == pattern(2));  // opened twice
  DEMAND(cudaIpcCloseMemHandle(memory) == cudaSuccess);
  DEMAND(cudaIpcCloseMemHandle(memory) == cudaErrorInvalidValue);
  cudaPointerAttributes attributes{};
  DEMAND(cudaPointerGetAttributes(&attributes, memory) == cudaSuccess);
  DEMAND(attributes.type == cudaMemoryTypeUnregistered);
  return 0;
}

int open_memory(const Arguments& arguments) {
  unsigned* memory = nullptr;
  return import_memory(from_text<cudaIpcMemHandle_t>(arguments.at(0)), &memory);
}

int export_and_end(const Arguments&) {
  say(to_text(export_memory(allocate(0))));
  return 0;
}

TEST(SimulatedIpc, MemoryIsSharedBothWaysWhicheverGpusTheOtherProcessSees) {
  unsigned* const memory = allocate(1);
  const std::string handle = to_text(export_memory(memory));
  EXPECT_EQ(handle, to_text(export_memory(memory)));
  // Its own GPU, a peer, and one that hides the memory's GPU.
  for (const char* visible : {"1", "0,1", "GPU-51b0a7ed-0000-4000-8000-000000000001", "2"}) {
    SCOPED_TRACE(visible);
    write(memory, pattern(1));
    ChildOptions options = child("exchange-memory", {handle});
    options.environment["CUDA_VISIBLE_DEVICES"] = visible;
    expect_success(run_child(options));
    EXPECT_EQ(read(memory), pattern(2));
  }
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST(SimulatedIpc, HandlesAreRefusedForWhatTheyAre) {
  unsigned* const memory = allocate(0);
  unsigned* opened = nullptr;
  cudaIpcMemHandle_t handle = export_memory(memory);
  EXPECT_EQ(import_memory(handle, &opened), cudaErrorDeviceUninitialized) << "own memory";
  EXPECT_EQ(cudaIpcOpenMemHandle(reinterpret_cast<void**>(&opened), handle, 0),
            cudaErrorInvalidValue);
  handle.reserved[20] ^= 1;
  EXPECT_EQ(import_memory(handle, &opened), cudaErrorInvalidValue) << "damaged";
  EXPECT_EQ(cudaIpcGetMemHandle(&handle, memory + 1), cudaErrorInvalidValue) << "not its start";
  int on_host = 0;
  EXPECT_EQ(cudaIpcGetMemHandle(&handle, &on_host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaIpcCloseMemHandle(memory), cudaErrorInvalidValue) << "never opened";
  cudaFree(memory);
  cudaGetLastError();
}

TEST(SimulatedIpc, FreedMemoryCannotBeOpenedAndItsPlaceHasAnotherHandle) {
  unsigned* const memory = allocate(0);
  const std::string freed = to_text(export_memory(memory));
  EXPECT_EQ(run_child(child("open-memory", {freed})).code, cudaSuccess);
  cudaFree(memory);
  EXPECT_EQ(run_child(child("open-memory", {freed})).code, cudaErrorMapBufferObjectFailed);
  unsigned* const next = allocate(0);
  ASSERT_EQ(next, memory);
  const std::string handle = to_text(export_memory(next));
  EXPECT_NE(handle, freed);
  EXPECT_EQ(run_child(child("open-memory", {freed})).code, cudaErrorMapBufferObjectFailed);
  EXPECT_EQ(run_child(child("open-memory", {handle})).code, cudaSuccess);
  cudaFree(next);
}

TEST(SimulatedIpc, MemoryOfAProcessThatIsGoneCannotBeOpened) {
  const ChildResult result = run_child(child("export-and-end", {}));
  expect_success(result);
  unsigned* memory = nullptr;
  EXPECT_EQ(import_memory(from_text<cudaIpcMemHandle_t>(result.output), &memory),
            cudaErrorMapBufferObjectFailed);
  cudaGetLastError();
}

// Events

constexpr unsigned kInterprocess = cudaEventInterprocess | cudaEventDisableTiming;

std::pair<cudaEvent_t, std::string> exported_event() {
  cudaEvent_t event = nullptr;
  cudaIpcEventHandle_t handle{};
  EXPECT_EQ(cudaEventCreateWithFlags(&event, kInterprocess), cudaSuccess);
  EXPECT_EQ(cudaIpcGetEventHandle(&handle, event), cudaSuccess);
  return {event, to_text(handle)};
}

int fill_after_event(const Arguments& arguments) {
  cudaEvent_t go = nullptr, done = nullptr;
  unsigned* memory = nullptr;
  DEMAND(import_memory(from_text<cudaIpcMemHandle_t>(arguments.at(0)), &memory) == cudaSuccess);
  DEMAND(cudaIpcOpenEventHandle(&go, from_text<cudaIpcEventHandle_t>(arguments.at(1))) ==
         cudaSuccess);
  DEMAND(cudaIpcOpenEventHandle(&done, from_text<cudaIpcEventHandle_t>(arguments.at(2))) ==
         cudaSuccess);
  cudaIpcEventHandle_t handle;
  DEMAND(cudaIpcGetEventHandle(&handle, go) == cudaErrorInvalidResourceHandle);
  cudaGetLastError();
  DEMAND(cudaEventQuery(go) == cudaErrorNotReady);
  cudaStream_t stream = nullptr;
  DEMAND(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  DEMAND(cudaStreamWaitEvent(stream, go, 0) == cudaSuccess);
  DEMAND(cudaMemsetAsync(memory, 7, kWords * sizeof(unsigned), stream) == cudaSuccess);
  DEMAND(cudaEventRecord(done, stream) == cudaSuccess);
  say("recorded");
  DEMAND(cudaEventSynchronize(done) == cudaSuccess);
  DEMAND(cudaEventQuery(go) == cudaSuccess);
  return 0;
}

TEST(SimulatedIpc, EventsOrderTheWorkOfTwoProcesses) {
  unsigned* const memory = allocate(0);
  write(memory, pattern(1));
  const auto [go, go_text] = exported_event();
  const auto [done, done_text] = exported_event();
  EXPECT_EQ(cudaEventQuery(done), cudaSuccess) << "never recorded";
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  std::promise<void> release;
  auto released = release.get_future();
  cudaLaunchHostFunc(
      stream, [](void* future) { static_cast<std::future<void>*>(future)->wait(); }, &released);
  EXPECT_EQ(cudaEventRecord(go, stream), cudaSuccess);

  bool recorded = false;
  ChildOptions options =
      child("fill-after-event", {to_text(export_memory(memory)), go_text, done_text});
  options.on_output = [&, done = done](std::string_view output) {
    if (recorded || output.find("recorded") == std::string_view::npos) return;
    recorded = true;
    EXPECT_EQ(cudaEventQuery(done), cudaErrorNotReady) << "the other process waits for us";
    EXPECT_EQ(read(memory), pattern(1));
    release.set_value();
    EXPECT_EQ(cudaEventSynchronize(done), cudaSuccess);
    EXPECT_EQ(read(memory), Words(kWords, 0x07070707));
  };
  expect_success(run_child(options));
  if (!recorded) release.set_value();
  EXPECT_TRUE(recorded);
  EXPECT_EQ(cudaEventQuery(done), cudaSuccess);
  cudaStreamSynchronize(stream);
  cudaEventDestroy(go);
  cudaEventDestroy(done);
  cudaStreamDestroy(stream);
  cudaFree(memory);
}

int open_event(const Arguments& arguments) {
  cudaEvent_t event = nullptr;
  return cudaIpcOpenEventHandle(&event, from_text<cudaIpcEventHandle_t>(arguments.at(0)));
}

TEST(SimulatedIpc, EventHandlesAreRefusedForWhatTheyAre) {
  cudaEvent_t plain = nullptr, opened = nullptr;
  cudaIpcEventHandle_t handle{};
  EXPECT_EQ(cudaEventCreateWithFlags(&plain, cudaEventInterprocess), cudaErrorInvalidValue);
  cudaEventCreateWithFlags(&plain, cudaEventDisableTiming);
  EXPECT_EQ(cudaIpcGetEventHandle(&handle, plain), cudaErrorInvalidResourceHandle);
  cudaEventDestroy(plain);
  EXPECT_EQ(cudaIpcOpenEventHandle(&opened, handle), cudaErrorInvalidValue) << "no handle";
  const auto [event, text] = exported_event();
  EXPECT_EQ(cudaIpcOpenEventHandle(&opened, from_text<cudaIpcEventHandle_t>(text)),
            cudaErrorDeviceUninitialized)
      << "own event";
  EXPECT_EQ(run_child(child("open-event", {text})).code, cudaSuccess);
  cudaEventDestroy(event);
  EXPECT_EQ(run_child(child("open-event", {text})).code, cudaErrorMapBufferObjectFailed);
  cudaGetLastError();
}

// Communicators

/// A rank with its GPU, buffers and stream.
struct Rank {
  Rank(int rank_number, int ranks, const ncclUniqueId& id, bool blocking = true)
      : number(rank_number), size(ranks) {
    buffer = allocate(number);
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking ? 1 : 0;
    opened = blocking ? ncclCommInitRank(&communicator, size, id, number)
                      : ncclCommInitRankConfig(&communicator, size, id, number, &config);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;
  ~Rank() {
    cudaSetDevice(number);
    if (communicator != nullptr) ncclCommDestroy(communicator);
    cudaStreamDestroy(stream);
    cudaFree(buffer);
  }

  bool all_reduce(std::size_t words = kWords) {
    return ncclAllReduce(buffer, buffer, words, ncclInt32, ncclSum, communicator, stream) ==
           ncclSuccess;
  }
  /// The sum over all ranks of pattern(rank), by this rank.
  Words sum() {
    write(buffer, pattern(static_cast<unsigned>(number)));
    if (!all_reduce() || cudaStreamSynchronize(stream) != cudaSuccess) return {};
    return read(buffer);
  }
  ncclResult_t state() const {
    ncclResult_t result = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(communicator, &result);
    return asked == ncclSuccess ? result : asked;
  }

  int number, size;
  unsigned* buffer = nullptr;
  cudaStream_t stream = nullptr;
  ncclComm_t communicator = nullptr;
  ncclResult_t opened = ncclSuccess;
};

Words sum_of_patterns(unsigned ranks) {
  Words sum(kWords);
  for (std::size_t i = 0; i < kWords; ++i) {
    sum[i] = ranks * static_cast<unsigned>(i) + ranks * (ranks - 1) / 2;
  }
  return sum;
}

ncclUniqueId unique_id() {
  ncclUniqueId id;
  EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  return id;
}

template <typename Body>
void in_threads(int count, Body body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(SimulatedNccl, RanksInThreadsAddUp) {
  const ncclUniqueId id = unique_id();
  in_threads(kGpus, [&](int number) {
    Rank rank(number, kGpus, id);
    ASSERT_EQ(rank.opened, ncclSuccess);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(rank.sum(), sum_of_patterns(kGpus));
  });
}

TEST(SimulatedNccl, ACommunicatorThatDoesNotBlockIsInProgressUntilAllRanksAreThere) {
  const ncclUniqueId id = unique_id();
  Rank first(0, 2, id, false);
  EXPECT_EQ(first.opened, ncclInProgress);
  EXPECT_EQ(first.state(), ncclInProgress);
  Rank second(1, 2, id, false);
  EXPECT_EQ(first.state(), ncclSuccess);
  EXPECT_EQ(second.state(), ncclSuccess);
}

TEST(SimulatedNccl, AbortEndsTheWaitForARankThatNeverJoins) {
  Rank alone(0, 2, unique_id(), false);
  const auto start = Clock::now();
  EXPECT_EQ(ncclCommAbort(alone.communicator), ncclSuccess);
  alone.communicator = nullptr;
  EXPECT_LT(Clock::now() - start, 1s);
}

TEST(SimulatedNccl, MistakesOfRanksAreNamed) {
  ncclComm_t communicator = nullptr;
  const ncclUniqueId id = unique_id();
  for (const int rank : {-1, 2}) {
    EXPECT_EQ(ncclCommInitRank(&communicator, 2, id, rank), ncclInvalidArgument);
  }
  EXPECT_STREQ(ncclGetLastError(nullptr), "Invalid rank requested : 2/2");
  EXPECT_EQ(ncclCommInitRank(&communicator, 2, ncclUniqueId{}, 0), ncclInvalidArgument);

  const auto second = [](int ranks, int number, int gpu, const char* message) {
    SCOPED_TRACE(message);
    const ncclUniqueId fresh = unique_id();
    Rank first(0, 2, fresh, false);
    cudaSetDevice(gpu);
    ncclComm_t other = nullptr;
    EXPECT_EQ(ncclCommInitRank(&other, ranks, fresh, number), ncclInvalidUsage);
    EXPECT_STREQ(ncclGetLastError(nullptr), message);
    EXPECT_EQ(other, nullptr);
    EXPECT_EQ(first.state(), ncclInvalidUsage);
  };
  second(2, 1, 0, "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 10000");
  second(2, 0, 1, "rank 0 of 2 ranks has already checked in");
  second(3, 1, 1, "mismatch in rank count from procs 2 : 3");
}

/// Arguments: ID, rank, ranks. Says what became of the sum: "right", or how many words are
/// otherwise and by how much the first is.
int be_a_rank(const Arguments& arguments) {
  const auto ranks = static_cast<unsigned>(std::stoul(arguments.at(2)));
  Rank rank(std::stoi(arguments.at(1)), static_cast<int>(ranks),
            from_text<ncclUniqueId>(arguments.at(0)));
  DEMAND(rank.opened == ncclSuccess);
  const Words found = rank.sum(), expected = sum_of_patterns(ranks);
  DEMAND(found.size() == kWords);
  std::size_t wrong = 0, first = kWords;
  for (std::size_t i = kWords; i-- > 0;) {
    if (found[i] == expected[i]) continue;
    ++wrong;
    first = i;
  }
  say(wrong == 0 ? "right"
                 : fmt::format("{} from {}: {}", wrong, first,
                               static_cast<int>(found[first] - expected[first])));
  return 0;
}

std::vector<ChildResult> run_ranks(int count, const std::string& machine_file) {
  const std::string id = to_text(unique_id());
  std::vector<ChildResult> results(static_cast<std::size_t>(count));
  in_threads(count, [&](int rank) {
    ChildOptions options = child("rank", {id, std::to_string(rank), std::to_string(count)});
    if (!machine_file.empty()) options.environment["CONFORMANCE_SIM_MACHINE"] = machine_file;
    results[static_cast<std::size_t>(rank)] = run_child(options);
  });
  for (const ChildResult& result : results) expect_success(result);
  return results;
}

TEST(SimulatedNccl, RanksInProcessesAddUp) {
  for (const ChildResult& result : run_ranks(3, "")) EXPECT_EQ(result.output, "right\n");
}

TEST(SimulatedNccl, FaultsOfOneRankReachAcrossProcesses) {
  const std::string file = testing::TempDir() + "simulated_ranks_" + std::to_string(::getpid());
  std::ofstream(file) << R"({"faults": [
      {"call": "ncclAllReduce", "subject": {"rank": 1}, "effect": "lose-input",
       "byte": 400, "bytes": 4},
      {"call": "ncclAllReduce", "subject": {"rank": 2}, "effect": "bit-flip",
       "byte": 0, "bit": 2}]})";
  const std::vector<ChildResult> results = run_ranks(3, file);
  std::remove(file.c_str());
  // Rank 1 adds 1 + 100 there; the first word is 0 + 1 + 2, and gets 4 more.
  EXPECT_EQ(results[0].output, "1 from 100: -101\n");
  EXPECT_EQ(results[1].output, "1 from 100: -101\n");
  EXPECT_EQ(results[2].output, "2 from 0: 4\n");
}

/// Arguments: ID, rank, ranks, patience in milliseconds. All-reduces without end; gives up once one
/// takes too long, and says so.
int reduce_until_stuck(const Arguments& arguments) {
  Rank rank(std::stoi(arguments.at(1)), std::stoi(arguments.at(2)),
            from_text<ncclUniqueId>(arguments.at(0)));
  DEMAND(rank.opened == ncclSuccess);
  const std::chrono::milliseconds patience(std::stoi(arguments.at(3)));
  say(std::to_string(::getpid()));
  for (;;) {
    DEMAND(rank.all_reduce());
    const auto end = Clock::now() + patience;
    cudaError_t state = cudaErrorNotReady;
    while ((state = cudaStreamQuery(rank.stream)) == cudaErrorNotReady && Clock::now() < end) {
      std::this_thread::sleep_for(50us);
    }
    if (state == cudaErrorNotReady) break;
    DEMAND(state == cudaSuccess);
  }
  DEMAND(rank.state() == ncclSuccess);
  const auto start = Clock::now();
  DEMAND(ncclCommAbort(rank.communicator) == ncclSuccess);
  DEMAND(cudaStreamSynchronize(rank.stream) == cudaSuccess);
  DEMAND(Clock::now() - start < 2s);
  rank.communicator = nullptr;
  say("aborted");
  return 0;
}

TEST(SimulatedNccl, RanksAbortWhenOneIsKilledInTheMiddleOfACollective) {
  std::minstd_rand random(std::random_device{}());
  const auto moment = std::chrono::microseconds(20'000 + random() % 30'000);
  const std::string id = to_text(unique_id());
  std::vector<ChildResult> results(3);
  in_threads(3, [&](int rank) {
    ChildOptions options =
        child("reduce-until-stuck", {id, std::to_string(rank), "3", rank == 2 ? "20000" : "500"});
    if (rank == 2) {
      options.on_output = [&](std::string_view process) {
        std::this_thread::sleep_for(moment);
        ::kill(std::stoi(std::string(process)), SIGKILL);
      };
    }
    results[static_cast<std::size_t>(rank)] = run_child(options);
  });
  EXPECT_EQ(results[2].end, ChildResult::End::signalled) << results[2].describe();
  for (const int rank : {0, 1}) {
    const ChildResult& result = results[static_cast<std::size_t>(rank)];
    expect_success(result);
    EXPECT_NE(result.output.find("aborted"), std::string::npos) << result.output;
  }
}

// What a killed process leaves

/// Everything that is shared between processes, made and given up again without end.
int use_everything(const Arguments&) {
  say(std::to_string(::getpid()));
  for (;;) {
    unsigned* const memory = allocate(0);
    write(memory, pattern(1));
    export_memory(memory);
    const auto [event, text] = exported_event();
    cudaEventRecord(event, nullptr);
    const ncclUniqueId id = unique_id();
    in_threads(2, [&](int number) { Rank(number, 2, id).sum(); });
    cudaEventDestroy(event);
    cudaFree(memory);
  }
}

std::set<std::string> entries(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code ignored;  // a host without the folder has nothing in it
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    names.insert(entry.path().filename());
  }
  return names;
}

/// The targets of the descriptors of a process, such as "self".
std::set<std::string> open_files(const std::string& process) {
  std::set<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc/" + process + "/fd", ignored)) {
    found.insert(fs::read_symlink(entry.path(), ignored));
  }
  return found;
}

/// Files by name that the process has open or mapped for writing, and that would outlive it. What
/// this process has open, too, was inherited.
std::vector<std::string> lasting_files(int process) {
  std::vector<std::string> found;
  const std::string folder = fmt::format("/proc/{}/", process);
  const std::set<std::string> inherited = open_files("self");
  for (const std::string& target : open_files(std::to_string(process))) {
    const bool by_name = target.rfind("/tmp/", 0) == 0 || target.rfind("/dev/shm/", 0) == 0;
    if (by_name && inherited.count(target) == 0) found.push_back(target);
  }
  std::ifstream maps(folder + "maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rw-s ") == std::string::npos) continue;
    const bool nameless = line.find("/memfd:") != std::string::npos;
    if (!nameless) found.push_back(line);
  }
  return found;
}

/// How many processes have `mark` in their environment.
int processes_with(const std::string& mark) {
  int count = 0;
  for (const std::string& name : entries("/proc")) {
    std::ifstream environment("/proc/" + name + "/environ");
    const std::string all{std::istreambuf_iterator<char>(environment), {}};
    if (all.find(mark) != std::string::npos) ++count;
  }
  return count;
}

TEST(SimulatedProcesses, LeaveNothingBehindWheneverTheyAreKilled) {
  std::minstd_rand random(std::random_device{}());
  const fs::path scratch = fs::path(testing::TempDir()) / fmt::format("simulated_{}", ::getpid());
  fs::create_directory(scratch);
  const std::set<std::string> before = entries("/dev/shm");
  for (int round = 0; round < 6; ++round) {
    const auto moment = std::chrono::microseconds(random() % 60'000);
    SCOPED_TRACE(fmt::format("killed after {} us", moment.count()));
    ChildOptions options = child("use-everything", {});
    options.environment["TMPDIR"] = scratch.string();
    options.on_output = [&](std::string_view text) {
      const int process = std::stoi(std::string(text));
      std::this_thread::sleep_for(moment);
      ::kill(process, SIGSTOP);
      EXPECT_EQ(lasting_files(process), std::vector<std::string>{});
      EXPECT_EQ(processes_with(scratch), 1);
      ::kill(process, SIGKILL);
    };
    const ChildResult result = run_child(options);
    EXPECT_EQ(result.end, ChildResult::End::signalled) << result.describe() << result.error;
    EXPECT_EQ(processes_with(scratch), 0);
  }
  EXPECT_EQ(entries(scratch), std::set<std::string>{});
  EXPECT_EQ(entries("/dev/shm"), before);
  fs::remove_all(scratch);
}

int run_task(const std::string& name, const Arguments& arguments) {
  static const std::map<std::string, int (*)(const Arguments&)> kTasks{
      {"exchange-memory", exchange_memory},
      {"open-memory", open_memory},
      {"export-and-end", export_and_end},
      {"fill-after-event", fill_after_event},
      {"open-event", open_event},
      {"rank", be_a_rank},
      {"reduce-until-stuck", reduce_until_stuck},
      {"use-everything", use_everything}};
  return kTasks.at(name)(arguments);
}

}  // namespace
}  // namespace conformance::sim

int main(int argc, char** argv) {
  constexpr std::string_view kArgument = "--child-argument=";
  std::string task;
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--die-with") {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (std::to_string(::getppid()) != argv[++i]) return 3;
    } else if (option == "--child-task") {
      task = argv[++i];
    } else if (option.rfind(kArgument, 0) == 0) {
      arguments.emplace_back(option.substr(kArgument.size()));
    }
  }
  if (!task.empty()) return conformance::sim::run_task(task, arguments);
  testing::InitGoogleTest(&argc, argv);
  ::setenv("CONFORMANCE_SIM_GPUS", std::to_string(conformance::sim::kGpus).c_str(), 1);
  for (const char* name : {"CONFORMANCE_SIM_MACHINE", "CONFORMANCE_SIM_FIRED",
                           "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}) {
    ::unsetenv(name);
  }
  return RUN_ALL_TESTS();
}
