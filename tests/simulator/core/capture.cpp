#include "tests/simulator/core/capture.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "tests/simulator/core/device.h"

namespace conformance::sim {

struct Capture {
  const Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool valid = true, ended = false;
  std::vector<GraphNode> nodes;
  std::map<const Stream*, std::vector<std::size_t>> ends;  ///< of the streams that take part
};

namespace {

/// The captures that go on.
struct Captures {
  std::mutex mutex;
  std::atomic<bool> any{false};
  std::set<std::shared_ptr<Capture>> all;

  std::shared_ptr<Capture> of(const Stream* stream) const {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& capture) {
      return capture->ends.count(stream) != 0;
    });
    return found == all.end() ? nullptr : *found;
  }
};
Captures& captures() {
  static auto* const one = new Captures;
  return *one;
}

/// What is forbidden is refused, unless a fault has another answer; either way the capture is
/// invalid from then on.
cudaError_t forbid(Capture& capture, cudaError_t code, const Stream* stream = nullptr) {
  const bool was_valid = std::exchange(capture.valid, false);
  if (!was_valid) return cudaErrorStreamCaptureInvalidated;
  const int device = (stream == nullptr ? capture.origin : stream)->device().index();
  const Firing firing = World::get().faults().at({"call forbidden in a capture", device});
  if (!firing.code) return code;
  // Accepted in silence, it leaves the capture as it is.
  if (*firing.code == cudaSuccess) capture.valid = true;
  return static_cast<cudaError_t>(*firing.code);
}

/// Work in the legacy default stream would wait for blocking streams, which cannot be captured.
cudaError_t check_legacy(const Stream& stream) {
  if (&stream != stream.device().legacy_stream().get()) return cudaSuccess;
  for (const auto& capture : captures().all) {
    for (const auto& [one, after] : capture->ends) {
      if (&one->device() == &stream.device() && one->blocking()) {
        return forbid(*capture, cudaErrorStreamCaptureImplicit);
      }
    }
  }
  return cudaSuccess;
}

/// Whether a stream that was forked off has work that nothing in the origin's comes after.
bool unjoined(const Capture& capture) {
  std::set<std::size_t> followed;
  for (const GraphNode& node : capture.nodes) followed.insert(node.after.begin(), node.after.end());
  const std::vector<std::size_t>& ends = capture.ends.at(capture.origin);
  followed.insert(ends.begin(), ends.end());
  return followed.size() != capture.nodes.size();
}

}  // namespace

cudaError_t begin_capture(const StreamPtr& stream, cudaStreamCaptureMode mode) {
  if (stream == stream->device().legacy_stream()) return cudaErrorStreamCaptureUnsupported;
  const std::lock_guard lock(captures().mutex);
  if (captures().of(stream.get())) return cudaErrorIllegalState;
  auto capture = std::make_shared<Capture>();
  capture->origin = stream.get();
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->ends[stream.get()];
  captures().all.insert(capture);
  captures().any = true;
  return cudaSuccess;
}

cudaError_t end_capture(const StreamPtr& stream, std::vector<GraphNode>& nodes) {
  const std::lock_guard lock(captures().mutex);
  const std::shared_ptr<Capture> capture = captures().of(stream.get());
  if (!capture) return cudaErrorIllegalState;
  if (capture->origin != stream.get()) return forbid(*capture, cudaErrorStreamCaptureUnmatched);
  cudaError_t answer = capture->valid ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id()) {
    answer = forbid(*capture, cudaErrorStreamCaptureWrongThread);
  } else if (capture->valid && unjoined(*capture)) {
    answer = forbid(*capture, cudaErrorStreamCaptureUnjoined);
  }
  if (answer == cudaSuccess) nodes = std::move(capture->nodes);
  capture->ended = true;
  captures().all.erase(capture);
  captures().any = !captures().all.empty();
  return answer;
}

cudaError_t capture_status(const StreamPtr& stream, cudaStreamCaptureStatus& status) {
  status = cudaStreamCaptureStatusNone;
  const std::lock_guard lock(captures().mutex);
  if (const auto capture = captures().of(stream.get())) {
    status = capture->valid ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated;
  }
  return cudaSuccess;
}

std::optional<cudaError_t> capture_work(const StreamPtr& stream, const Operation& operation) {
  if (!captures().any) return std::nullopt;
  const std::lock_guard lock(captures().mutex);
  const auto capture = captures().of(stream.get());
  if (!capture) {
    const cudaError_t error = check_legacy(*stream);
    return error == cudaSuccess ? std::nullopt : std::optional(error);
  }
  if (!capture->valid) return cudaErrorStreamCaptureInvalidated;
  std::vector<std::size_t>& ends = capture->ends[stream.get()];
  capture->nodes.push_back({operation, ends});
  ends.assign(1, capture->nodes.size() - 1);
  return cudaSuccess;
}

cudaError_t capture_record(const StreamPtr& stream, std::optional<CapturedPoint>& point) {
  point.reset();
  if (!captures().any) return cudaSuccess;
  const std::lock_guard lock(captures().mutex);
  const auto capture = captures().of(stream.get());
  if (!capture) return check_legacy(*stream);
  if (!capture->valid) return cudaErrorStreamCaptureInvalidated;
  point = {capture, capture->ends[stream.get()]};
  return cudaSuccess;
}

std::optional<cudaError_t> capture_wait(const StreamPtr& stream, const CapturedPoint* event) {
  if (!captures().any && event == nullptr) return std::nullopt;
  const std::lock_guard lock(captures().mutex);
  const auto capture = captures().of(stream.get());
  if (capture && !capture->valid) return cudaErrorStreamCaptureInvalidated;
  if (event == nullptr) {
    if (!capture) return std::nullopt;
    return forbid(*capture, cudaErrorStreamCaptureIsolation);
  }
  if (event->capture->ended) return cudaErrorCapturedEvent;
  if (!event->capture->valid) return cudaErrorStreamCaptureInvalidated;
  if (capture && capture != event->capture) {
    event->capture->valid = false;
    return forbid(*capture, cudaErrorStreamCaptureMerge);
  }
  // A stream that did not take part so far does from now on.
  std::vector<std::size_t>& ends = event->capture->ends[stream.get()];
  for (const std::size_t node : event->after) {
    if (std::find(ends.begin(), ends.end(), node) == ends.end()) ends.push_back(node);
  }
  return cudaSuccess;
}

cudaError_t check_not_captured(const StreamPtr& stream) {
  if (!captures().any) return cudaSuccess;
  const std::lock_guard lock(captures().mutex);
  const auto capture = captures().of(stream.get());
  if (!capture) return check_legacy(*stream);
  return forbid(*capture, cudaErrorStreamCaptureUnsupported);
}

cudaError_t check_not_captured(const CapturedPoint& event) {
  const std::lock_guard lock(captures().mutex);
  if (event.capture->ended) return cudaErrorCapturedEvent;
  return forbid(*event.capture, cudaErrorCapturedEvent);
}

cudaError_t check_no_capture_forbids_waiting() {
  if (!captures().any) return cudaSuccess;
  const std::lock_guard lock(captures().mutex);
  for (const auto& capture : captures().all) {
    const bool own = capture->thread == std::this_thread::get_id();
    if (capture->mode == cudaStreamCaptureModeGlobal ||
        (own && capture->mode == cudaStreamCaptureModeThreadLocal)) {
      return forbid(*capture, cudaErrorStreamCaptureUnsupported);
    }
  }
  return cudaSuccess;
}

}  // namespace conformance::sim
