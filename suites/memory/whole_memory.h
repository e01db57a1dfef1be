#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/cuda_inventory.h"
#include "fixtures/cuda_memory.h"
#include "fixtures/cuda_pattern.h"
#include "fixtures/cuda_stream.h"

namespace conformance::memory {

/// Most of the free memory of the current device, to be filled with a pattern and compared. The
/// words are numbered through all of it, so that a word which landed anywhere else is seen.
///
/// Whoever makes one needs the device for itself: any other user of its memory could run out.
class WholeMemory {
 public:
  /// The share of the free memory that is taken. The rest is for kernels that are loaded later and
  /// for whatever else lives on the device, such as a display.
  static constexpr double kShare = 0.92;

  /// Throws StatusError.
  explicit WholeMemory(const CudaDevice& device);

  std::uint64_t words() const { return words_; }
  std::uint64_t bytes() const { return words_ * sizeof(std::uint64_t); }
  /// What was free, and what there is at all, in bytes.
  std::size_t free_bytes() const { return free_bytes_; }
  std::size_t total_bytes() const { return total_bytes_; }

  /// Writes the pattern to every word and waits. Yields the seconds that the device took.
  double fill(const Pattern& pattern);
  /// Compares every word with the pattern and waits; a mismatch is a finding memory.wrong-word.
  /// Yields the seconds that the device took.
  double check(const Pattern& pattern, bool& right);
  /// Compares as above a pattern of kind `address`, and writes the complement of each word once it
  /// was read, from the lowest address up or from the highest down.
  double invert(const Pattern& pattern, bool upwards, bool& right);

 private:
  struct Chunk {
    std::uint64_t first_index = 0;
    DeviceBuffer<std::uint64_t> memory;
  };
  /// Waits for the comparisons; what they found is a finding. False if they found anything.
  bool judge(const Pattern& pattern, std::string_view when);
  /// Where a word lies, for findings.
  std::string address_of(std::uint64_t index) const;

  Subject subject_;
  Stream stream_;
  Event start_, end_;
  PatternCheck check_;
  std::vector<Chunk> chunks_;
  std::uint64_t words_ = 0;
  std::size_t free_bytes_ = 0;
  std::size_t total_bytes_ = 0;
};

}  // namespace conformance::memory
