#pragma once

#include <chrono>
#include <memory>
#include <string_view>

#include "fixtures/cuda_stream.h"

namespace conformance::runtime {

/// Keeps a stream's later work from starting until `release`, so that a test knows for certain that
/// it is unfinished. It does so by a host function that waits, which is bounded by a limit of its
/// own: whatever happens, the stream goes on. Kernels that are to be queued behind it must have run
/// before, since loading code may wait for all work of the context.
class HeldStream {
 public:
  /// Holds `stream`, which must outlive this. Throws StatusError.
  explicit HeldStream(cudaStream_t stream);
  explicit HeldStream(const Stream& stream) : HeldStream(stream.get()) {}
  HeldStream(const HeldStream&) = delete;
  HeldStream& operator=(const HeldStream&) = delete;
  /// Releases the stream.
  ~HeldStream();
  void release();
  /// How long the host function ran, once the stream has passed it.
  std::chrono::duration<double> held_for() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The reason to skip where launches_block().
inline constexpr std::string_view kLaunchesBlock =
    "CUDA_LAUNCH_BLOCKING=1 makes every launch wait for its end";
/// True if CUDA_LAUNCH_BLOCKING makes every launch wait for its end, so that no work can be
/// unfinished when the call returns.
bool launches_block();

}  // namespace conformance::runtime
