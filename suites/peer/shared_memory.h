#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "fixtures/cuda_pattern.h"
#include "fixtures/handle_text.h"

namespace conformance::peer {

// What two processes hand to each other: for each GPU memory of the one, and an event of each.

/// Words of the part of the memory that the owner's process fills, and of each part that a GPU of
/// the other process fills.
inline constexpr std::size_t kSharedWords = 2048;

/// What the part of GPU `owner`'s memory for GPU `opener` holds; the owner's own part is filled
/// anew by the process that owns it, all others by the other process.
inline Pattern shared_pattern(std::uint64_t seed, int owner, int part) {
  const auto number = static_cast<std::uint64_t>(owner) << 32 | static_cast<std::uint64_t>(part);
  return {.seed = kernels::pattern_word(number, seed)};
}

/// The child task: a seed, and for each GPU the handles of its memory and of its event `filled`. On
/// every GPU that can access it, it opens the memory; prints "answered <GPU> <handle>", an event of
/// its own, for each GPU; says "ready"; once `filled` is pending, queues behind it, on each of
/// those GPUs, the comparison of the owner's part and the filling of its own, and `answered` behind
/// them all; says "queued"; waits, and prints a line for each call, "call <GPU> <GPU of the memory>
/// <code> <name>", and for each comparison, "wrong <GPU> <GPU of the memory> <words>".
int answer_in_shared_memory(std::span<const std::string> arguments);

/// The child task: a seed, and for each GPU the size in bytes of its memory, whose file the process
/// has got. It maps each memory for every GPU that can access it; on each of those compares the
/// owner's part and fills that GPU's own; and prints lines as above, for the calls that fail and
/// one for each memory that it imported.
int map_exported_memory(std::span<const std::string> arguments);

}  // namespace conformance::peer
