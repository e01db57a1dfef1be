#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "fixtures/cuda_pattern.h"

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

/// A handle as text that fits into an argument, and back; nothing for any other text.
template <typename Handle>
std::string handle_text(const Handle& handle) {
  std::array<unsigned char, sizeof(Handle)> bytes{};
  std::memcpy(bytes.data(), &handle, sizeof(Handle));
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}
template <typename Handle>
std::optional<Handle> parse_handle(const std::string& text) {
  static_assert(std::is_trivially_copyable_v<Handle>);
  std::array<unsigned char, sizeof(Handle)> bytes{};
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char* const first = text.data() + 2 * i;
    if (std::from_chars(first, first + 2, bytes[i], 16).ptr != first + 2) return std::nullopt;
  }
  Handle handle;
  std::memcpy(&handle, bytes.data(), bytes.size());
  return handle;
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
