#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "fixtures/cuda_graph.h"
#include "fixtures/gpu_test.h"
#include "fixtures/held_stream.h"
#include "kernels/runtime_probe.h"
#include "suites/runtime/error_codes.h"
#include "suites/runtime/findings.h"
#include "suites/runtime/words.h"

namespace conformance::runtime {
namespace {

class Graphs : public GpuTest {};

constexpr std::size_t kWords = 1024;
using Word = std::uint64_t;

using Executable = GraphExecutable;

class Capture : public StreamCapture {
 public:
  using StreamCapture::end;
  using StreamCapture::StreamCapture;
  /// Ends a capture that was forbidden something: no graph comes of it, and the stream is as
  /// before.
  void expect_refused(cudaError_t code, std::string_view after, const Subject& subject) {
    cudaGraph_t graph = nullptr;
    expect_code(end(&graph), code, fmt::format("cudaStreamEndCapture after {}", after), subject);
    cudaGetLastError();
    expect(graph == nullptr, Finding(wrong_graph, subject,
                                     fmt::format("a capture ended with a graph after {}", after)));
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
};

void fill(std::span<Word> words, Word value) { std::fill(words.begin(), words.end(), value); }

void advance(Word* target, const Word* source, Word step, const Stream& stream) {
  ensure(CONFORMANCE_CALL(kernels::advance(target, source, kWords, step, stream.get())));
}

TEST_F(Graphs, CapturedWorkRunsAtEachLaunchAsItRanEagerly) {
  claim(
      "Work of a capturing stream does not run but becomes a graph; each launch of that graph does "
      "what the work does without capture",
      "CUDA C++ Programming Guide: CUDA Graphs, Creating a Graph Using Stream Capture; CUDA "
      "Runtime "
      "API: cudaStreamBeginCapture, cudaGraphInstantiate, cudaGraphLaunch");
  static constexpr int kLaunches = 4;
  constexpr Word kUntouched = 0xA5;
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    const DeviceBuffer<Word> one(kWords), other(kWords);
    const PinnedBuffer<Word> host(kWords);
    struct Seen {
      std::span<Word> words;
      int calls = 0;
    } seen{host.span()};
    const auto add_one = [](void* data) {
      auto& here = *static_cast<Seen*>(data);
      for (Word& word : here.words) ++word;
      ++here.calls;
    };
    const auto work = [&] {
      advance(other.data(), one.data(), 1, stream);
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(one.data(), other.data(), one.bytes(),
                                              cudaMemcpyDeviceToDevice, stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemsetAsync(other.data(), 0, other.bytes(), stream.get())));
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), one.data(), one.bytes(),
                                              cudaMemcpyDeviceToHost, stream.get())));
      ensure(CONFORMANCE_CALL(cudaLaunchHostFunc(stream.get(), add_one, &seen)));
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(one.data(), host.data(), one.bytes(),
                                              cudaMemcpyHostToDevice, stream.get())));
      advance(one.data(), one.data(), 2, stream);
    };
    const auto expected_after = [](int times) {
      Word word = 0;
      while (times-- > 0) word = kernels::advanced(kernels::advanced(word, 1) + 1, 2);
      return word;
    };
    const auto check = [&](int times, std::string_view what) {
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), one.data(), one.bytes(),
                                              cudaMemcpyDeviceToHost, stream.get())));
      synchronize(stream, device.subject());
      expect_all(host.span(), expected_after(times), what, device.subject(), wrong_graph);
    };
    const auto start_anew = [&] {
      ensure(CONFORMANCE_CALL(cudaMemsetAsync(one.data(), 0, one.bytes(), stream.get())));
      synchronize(stream, device.subject());
      seen.calls = 0;
      fill(host.span(), kUntouched);
    };
    // Loads the kernel, too.
    start_anew();
    work();
    check(1, "work without capture");

    start_anew();
    Capture capture(stream);
    work();
    const Graph graph = capture.end();
    const Executable executable(graph);
    synchronize(stream, device.subject());
    expect(seen.calls == 0, Finding(wrong_graph, device.subject(),
                                    "a host function ran while its stream was capturing"));
    expect_all(host.span(), kUntouched, "page-locked memory after a capture", device.subject(),
               wrong_graph);
    for (int i = 0; i < kLaunches; ++i) executable.launch(stream);
    check(kLaunches, fmt::format("{} launches of captured work", kLaunches));
    expect(seen.calls == kLaunches,
           Finding(
               wrong_graph, device.subject(),
               fmt::format("{} launches ran their host function {} times", kLaunches, seen.calls)));
    verified(kLaunches, "launches of a graph");
  });
}

TEST_F(Graphs, ForkedStreamsJoinWhereTheirEventsSay) {
  claim(
      "Streams that wait for an event of a capturing stream take part in its capture; their work "
      "comes after that event, and what waits for theirs comes after it",
      "CUDA C++ Programming Guide: CUDA Graphs, Cross-stream Dependencies and Events");
  // Long enough for work that does not wait to come first.
  static constexpr std::chrono::milliseconds kPause{10};
  for_each_device(require(Devices{1}), [&](const CudaDevice& device) {
    Stream origin, left, right;
    Event forked(cudaEventDisableTiming), left_done(cudaEventDisableTiming),
        right_done(cudaEventDisableTiming);
    const PinnedBuffer<Word> source(kWords), by_left(kWords), by_right(kWords), from_left(kWords),
        from_right(kWords);
    fill(source.span(), 0);
    const std::span<Word> words = source.span();
    const auto pause = [](void*) { std::this_thread::sleep_for(kPause); };
    const auto pause_and_add = [](void* data) {
      std::this_thread::sleep_for(kPause);
      for (Word& word : *static_cast<const std::span<Word>*>(data)) ++word;
    };
    advance(by_left.data(), source.data(), 0, origin);  // loads the kernel
    synchronize(origin, device.subject());

    Capture capture(origin);
    const auto wait = [](const Stream& stream, const Event& event) {
      ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(stream.get(), event.get(), 0)));
    };
    ensure(CONFORMANCE_CALL(
        cudaLaunchHostFunc(origin.get(), pause_and_add, const_cast<std::span<Word>*>(&words))));
    forked.record(origin);
    wait(left, forked);
    wait(right, forked);
    advance(by_left.data(), source.data(), 2, left);
    ensure(CONFORMANCE_CALL(cudaLaunchHostFunc(right.get(), pause, nullptr)));
    advance(by_right.data(), source.data(), 3, right);
    left_done.record(left);
    right_done.record(right);
    wait(origin, left_done);
    wait(origin, right_done);
    advance(from_left.data(), by_left.data(), 4, origin);
    advance(from_right.data(), by_right.data(), 5, origin);
    const Graph graph = capture.end();
    const Executable executable(graph);
    for (Word launch = 1; launch <= 2; ++launch) {
      executable.launch(origin);
      synchronize(origin, device.subject());
      const auto check = [&](std::span<const Word> found, Word step, Word last,
                             std::string_view what) {
        expect_all(found, kernels::advanced(kernels::advanced(launch, step), last),
                   fmt::format("launch {}, {} branch", launch, what), device.subject(),
                   wrong_graph);
      };
      check(from_left.span(), 2, 4, "the short");
      check(from_right.span(), 3, 5, "the long");
    }
  });
}

TEST_F(Graphs, LaunchesOfOneGraphFollowEachOther) {
  claim(
      "A launch of an executable graph begins when its last launch is done, in whatever stream "
      "that "
      "was",
      "CUDA Runtime API, Graph Management: cudaGraphLaunch");
  const CudaInventory& devices = require(Devices{1});
  if (launches_block()) skip(kLaunchesBlock);
  for_each_device(devices, [](const CudaDevice& device) {
    Stream first, second;
    const DeviceBuffer<Word> words(kWords);
    const PinnedBuffer<Word> host(kWords);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(words.data(), 0, words.bytes(), first.get())));
    advance(host.data(), words.data(), 0, first);  // loads the kernel
    synchronize(first, device.subject());
    Capture capture(first);
    advance(words.data(), words.data(), 1, first);
    const Graph graph = capture.end();
    const Executable executable(graph);

    HeldStream held(first);
    executable.launch(first);
    executable.launch(second);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const cudaError_t early = cudaStreamQuery(second.get());
    cudaGetLastError();
    held.release();
    synchronize(first, device.subject());
    synchronize(second, device.subject());
    expect(
        early == cudaErrorNotReady,
        Finding(wrong_order, device.subject(),
                fmt::format("the second launch of a graph answered {} before the first could run",
                            cudaGetErrorName(early))));
    advance(host.data(), words.data(), 2, second);
    synchronize(second, device.subject());
    expect_all(host.span(), kernels::advanced(kernels::advanced(kernels::advanced(0, 1), 1), 2),
               "two launches of a graph in two streams", device.subject(), wrong_graph);
  });
}

TEST_F(Graphs, AnUpdatedGraphDoesWhatTheNewOneSays) {
  claim(
      "cudaGraphExecUpdate gives an executable graph the parameters of one of the same shape; one "
      "of another shape is refused with cudaErrorGraphExecUpdateFailure and changes nothing",
      "CUDA C++ Programming Guide: CUDA Graphs, Whole Graph Update; CUDA Runtime API: "
      "cudaGraphExecUpdate");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    const DeviceBuffer<Word> words(kWords);
    const PinnedBuffer<Word> host(kWords);
    const auto captured = [&](Word step, int times) {
      Capture capture(stream);
      ensure(CONFORMANCE_CALL(cudaMemsetAsync(words.data(), 0, words.bytes(), stream.get())));
      while (times-- > 0) advance(words.data(), words.data(), step, stream);
      ensure(CONFORMANCE_CALL(cudaMemcpyAsync(host.data(), words.data(), words.bytes(),
                                              cudaMemcpyDeviceToHost, stream.get())));
      return capture.end();
    };
    const auto check = [&](const Executable& executable, Word step, std::string_view what) {
      fill(host.span(), ~Word{0});
      executable.launch(stream);
      synchronize(stream, device.subject());
      expect_all(host.span(), kernels::advanced(0, step), what, device.subject(), wrong_graph);
    };
    advance(host.data(), words.data(), 0, stream);  // loads the kernel
    synchronize(stream, device.subject());
    const Executable executable(captured(5, 1));
    check(executable, 5, "a graph as it was captured");

    const auto update = [&](const Graph& graph, cudaError_t code, cudaGraphExecUpdateResult result,
                            std::string_view what) {
      cudaGraphExecUpdateResultInfo info{};
      const cudaError_t answer = cudaGraphExecUpdate(executable.get(), graph.get(), &info);
      cudaGetLastError();
      expect_code(answer, code, fmt::format("cudaGraphExecUpdate to {}", what), device.subject());
      expect(info.result == result,
             Finding(wrong_graph, device.subject(),
                     fmt::format("cudaGraphExecUpdate to {} had the result {}, not {}", what,
                                 static_cast<int>(info.result), static_cast<int>(result)),
                     {{"found", std::int64_t{info.result}}, {"expected", std::int64_t{result}}}));
    };
    update(captured(6, 1), cudaSuccess, cudaGraphExecUpdateSuccess, "a graph of the same shape");
    check(executable, 6, "a graph after its update");
    update(captured(7, 2), cudaErrorGraphExecUpdateFailure, cudaGraphExecUpdateErrorTopologyChanged,
           "a graph with a node more");
    check(executable, 6, "a graph after an update that was refused");
  });
}

TEST_F(Graphs, NodesDoWhatTheirParametersSay) {
  claim(
      "A graph made of nodes does what their parameters say, and after "
      "cudaGraphExecKernelNodeSetParams and cudaGraphExecMemcpyNodeSetParams1D what those say",
      "CUDA C++ Programming Guide: CUDA Graphs, Creating a Graph Using Graph APIs, Individual Node "
      "Update");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    Stream stream;
    const PinnedBuffer<Word> source(kWords), first(kWords), second(kWords);
    const DeviceBuffer<Word> words(kWords), others(kWords);
    fill(source.span(), 1);
    fill(first.span(), 0);
    fill(second.span(), 0);
    advance(others.data(), source.data(), 9, stream);  // loads the kernel, too
    synchronize(stream, device.subject());

    const Graph graph;
    cudaGraphNode_t kernel = nullptr, copy = nullptr;
    ensure(CONFORMANCE_CALL(
        kernels::add_advance_node(&kernel, graph.get(), words.data(), source.data(), kWords, 3)));
    ensure(CONFORMANCE_CALL(cudaGraphAddMemcpyNode1D(&copy, graph.get(), &kernel, 1, first.data(),
                                                     words.data(), words.bytes(),
                                                     cudaMemcpyDeviceToHost)));
    const Executable executable(graph);
    const auto check = [&](const PinnedBuffer<Word>& target, Word expected, std::string_view what) {
      executable.launch(stream);
      synchronize(stream, device.subject());
      expect_all(target.span(), expected, what, device.subject(), wrong_graph);
      fill(target.span(), 0);
    };
    check(first, kernels::advanced(1, 3), "a graph made of nodes");
    ensure(CONFORMANCE_CALL(kernels::set_advance_node(executable.get(), kernel, words.data(),
                                                      source.data(), kWords, 4)));
    check(first, kernels::advanced(1, 4), "a graph whose kernel got another argument");
    ensure(CONFORMANCE_CALL(
        cudaGraphExecMemcpyNodeSetParams1D(executable.get(), copy, second.data(), others.data(),
                                           others.bytes(), cudaMemcpyDeviceToHost)));
    check(second, kernels::advanced(1, 9), "a graph whose copy got other addresses");
    expect_all(first.span(), 0, "what the copy wrote to before", device.subject(), wrong_graph);
  });
}

void expect_status(const Stream& stream, cudaStreamCaptureStatus expected, std::string_view when,
                   const Subject& subject) {
  cudaStreamCaptureStatus found = cudaStreamCaptureStatusNone;
  ensure(CONFORMANCE_CALL(cudaStreamIsCapturing(stream.get(), &found)));
  expect(found == expected,
         Finding(wrong_graph, subject,
                 fmt::format("{} a stream has the capture status {}, not {}", when,
                             static_cast<int>(found), static_cast<int>(expected)),
                 {{"found", std::int64_t{found}}, {"expected", std::int64_t{expected}}}));
  verified(1, "capture states");
}

TEST_F(Graphs, ACallThatACaptureForbidsIsRefusedAndEndsIt) {
  claim(
      "Asking or waiting for a capturing stream or a captured event, and allocating memory, are "
      "refused with cudaErrorStreamCaptureUnsupported or cudaErrorCapturedEvent; the capture is "
      "invalid then and ends with cudaErrorStreamCaptureInvalidated, after which the stream works",
      "CUDA C++ Programming Guide: CUDA Graphs, Prohibited and Unhandled Operations, Invalidation; "
      "CUDA Runtime API: cudaError_t, cudaStreamBeginCapture");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const Subject subject = device.subject();
    Stream stream;
    Event event;
    const DeviceBuffer<Word> words(kWords);
    const PinnedBuffer<Word> host(kWords);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(words.data(), 0, words.bytes(), stream.get())));
    synchronize(stream, subject);
    const auto forbidden = [&](std::string_view what, cudaError_t code, const auto& call) {
      Capture capture(stream);
      event.record(stream);
      advance(words.data(), words.data(), 1, stream);
      expect_status(stream, cudaStreamCaptureStatusActive, "while it captures", subject);
      expect_code(call(), code, fmt::format("{} during a capture", what), subject);
      cudaGetLastError();
      expect_status(stream, cudaStreamCaptureStatusInvalidated, fmt::format("after {}", what),
                    subject);
      expect_code(kernels::advance(words.data(), words.data(), kWords, 1, stream.get()),
                  cudaErrorStreamCaptureInvalidated, fmt::format("a launch after {}", what),
                  subject);
      cudaGetLastError();
      capture.expect_refused(cudaErrorStreamCaptureInvalidated, what, subject);
      expect_status(stream, cudaStreamCaptureStatusNone, "after its capture", subject);
    };
    forbidden("cudaStreamSynchronize", cudaErrorStreamCaptureUnsupported,
              [&] { return cudaStreamSynchronize(stream.get()); });
    forbidden("cudaStreamQuery", cudaErrorStreamCaptureUnsupported,
              [&] { return cudaStreamQuery(stream.get()); });
    forbidden("cudaMalloc", cudaErrorStreamCaptureUnsupported, [] {
      void* memory = nullptr;
      const cudaError_t answer = cudaMalloc(&memory, 256);
      if (answer == cudaSuccess) cudaFree(memory);
      return answer;
    });
    forbidden("cudaEventQuery", cudaErrorCapturedEvent,
              [&] { return cudaEventQuery(event.get()); });
    forbidden("cudaEventSynchronize", cudaErrorCapturedEvent,
              [&] { return cudaEventSynchronize(event.get()); });
    advance(host.data(), words.data(), 2, stream);
    synchronize(stream, subject);
    expect_all(host.span(), kernels::advanced(0, 2), "work after captures that were invalidated",
               subject, wrong_graph);
  });
}

TEST_F(Graphs, CapturesAreKeptApartFromOtherWork) {
  claim(
      "A capture that would wait for work outside of it, merge with another, take in the legacy "
      "default stream, or end in another stream or thread than it began or without the streams "
      "that "
      "it forked, is refused with the code for that",
      "CUDA Runtime API: cudaError_t (cudaErrorStreamCaptureMerge, …Unmatched, …Unjoined, "
      "…Isolation, …Implicit, …WrongThread); CUDA C++ Programming Guide: CUDA Graphs, Prohibited "
      "and Unhandled Operations");
  for_each_device(require(Devices{1}), [](const CudaDevice& device) {
    const Subject subject = device.subject();
    const Stream stream(cudaStreamDefault);
    const Stream other;
    Event event(cudaEventDisableTiming);
    const DeviceBuffer<Word> words(kWords);
    ensure(CONFORMANCE_CALL(cudaMemsetAsync(words.data(), 0, words.bytes(), stream.get())));
    advance(words.data(), words.data(), 1, stream);  // loads the kernel
    event.record(other);
    synchronize(stream, subject);
    const auto refused = [&](cudaError_t answer, cudaError_t code, std::string_view what) {
      expect_code(answer, code, what, subject);
      cudaGetLastError();
    };
    const auto fork = [&] {
      event.record(stream);
      ensure(CONFORMANCE_CALL(cudaStreamWaitEvent(other.get(), event.get(), 0)));
      advance(words.data(), words.data(), 1, other);
    };
    const auto end_of = [](const Stream& one) {
      cudaGraph_t graph = nullptr;
      const cudaError_t answer = cudaStreamEndCapture(one.get(), &graph);
      if (answer == cudaSuccess) cudaGraphDestroy(graph);
      return answer;
    };
    {
      Capture capture(stream);
      refused(cudaStreamWaitEvent(stream.get(), event.get(), 0), cudaErrorStreamCaptureIsolation,
              "waiting in a capture for an event recorded outside");
    }
    {
      Capture capture(stream);
      Capture another(other);
      event.record(stream);
      refused(cudaStreamWaitEvent(other.get(), event.get(), 0), cudaErrorStreamCaptureMerge,
              "waiting in a capture for an event of another");
    }
    {
      Capture capture(stream);
      advance(words.data(), words.data(), 1, stream);
      refused(kernels::advance(words.data(), words.data(), kWords, 1, cudaStreamLegacy),
              cudaErrorStreamCaptureImplicit,
              "a launch in the legacy default stream while a blocking stream captures");
    }
    {
      Capture capture(stream);
      fork();
      refused(end_of(other), cudaErrorStreamCaptureUnmatched,
              "cudaStreamEndCapture in a stream that was forked");
    }
    {
      Capture capture(stream);
      fork();
      capture.expect_refused(cudaErrorStreamCaptureUnjoined, "a fork that was not joined", subject);
    }
    {
      Capture capture(stream);
      advance(words.data(), words.data(), 1, stream);
      cudaError_t answer = cudaSuccess;
      std::thread([&] { answer = end_of(stream); }).join();
      refused(answer, cudaErrorStreamCaptureWrongThread, "cudaStreamEndCapture in another thread");
    }
    expect_status(stream, cudaStreamCaptureStatusNone, "after captures that were refused", subject);
    synchronize(stream, subject);
    synchronize(other, subject);
  });
}

}  // namespace
}  // namespace conformance::runtime
