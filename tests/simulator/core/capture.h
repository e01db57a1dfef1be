#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <cuda_runtime_api.h>

#include "tests/simulator/core/timeline.h"

namespace conformance::sim {

/// Work in a graph, and the nodes that it comes after, by their places in the graph.
struct GraphNode {
  Operation operation;
  std::vector<std::size_t> after;
};

/// One capture of streams' work into a graph, from cudaStreamBeginCapture to cudaStreamEndCapture.
struct Capture;

/// What an event stands for that was recorded in a capturing stream: the ends of the stream's work.
struct CapturedPoint {
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> after;
};

// Each yields cudaSuccess or why the call is refused; what a capture forbids invalidates it.

cudaError_t begin_capture(const StreamPtr& stream, cudaStreamCaptureMode mode);
cudaError_t end_capture(const StreamPtr& stream, std::vector<GraphNode>& nodes);
cudaError_t capture_status(const StreamPtr& stream, cudaStreamCaptureStatus& status);

/// Takes an operation into the capture that the stream takes part in. Nothing if there is none and
/// the operation is to run.
std::optional<cudaError_t> capture_work(const StreamPtr& stream, const Operation& operation);
/// Records an event: `point` is empty unless the stream captures.
cudaError_t capture_record(const StreamPtr& stream, std::optional<CapturedPoint>& point);
/// Lets a stream wait for an event, null if it was not recorded in a capture. Nothing if that is no
/// matter of a capture.
std::optional<cudaError_t> capture_wait(const StreamPtr& stream, const CapturedPoint* event);

/// Before the host asks or waits for a stream or for a captured event.
cudaError_t check_not_captured(const StreamPtr& stream);
cudaError_t check_not_captured(const CapturedPoint& event);
/// Before a call that may wait for the device, such as an allocation, which captures in other modes
/// than cudaStreamCaptureModeRelaxed forbid.
cudaError_t check_no_capture_forbids_waiting();

}  // namespace conformance::sim
