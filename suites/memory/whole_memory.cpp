#include "suites/memory/whole_memory.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "fixtures/test.h"
#include "suites/memory/findings.h"

namespace conformance::memory {
namespace {

// Chunks, so that one failed or slow allocation is not all or nothing, and that addresses in
// findings stay near a base that the driver knows.
constexpr std::size_t kChunks = 8;
constexpr std::size_t kAlignment = 256;

const char* name_of(kernels::PatternKind kind) {
  switch (kind) {
    case kernels::PatternKind::address:
      return "address pattern";
    case kernels::PatternKind::random:
      return "random pattern";
    case kernels::PatternKind::walking:
      return "lone bits";
    case kernels::PatternKind::rows:
      return "checkerboard of rows";
  }
  return "pattern";
}

}  // namespace

WholeMemory::WholeMemory(const CudaDevice& device) : subject_(device.subject()), check_(stream_) {
  ensure(CONFORMANCE_CALL(cudaMemGetInfo(&free_bytes_, &total_bytes_)));
  const auto share = static_cast<std::size_t>(static_cast<double>(free_bytes_) * kShare);
  const std::size_t chunk_bytes = std::max(share / kChunks / kAlignment * kAlignment, kAlignment);
  chunks_.reserve(kChunks);
  for (std::size_t i = 0; i < kChunks; ++i) {
    Chunk chunk;
    chunk.first_index = words_;
    chunk.memory = DeviceBuffer<std::uint64_t>(chunk_bytes / sizeof(std::uint64_t));
    words_ += chunk.memory.size();
    chunks_.push_back(std::move(chunk));
  }
  // Kernels are loaded at their first launch; that must not fall into a measured time.
  conformance::fill(chunks_.front().memory.data(), 0, {}, stream_);
  check_.compare(chunks_.front().memory.data(), 0, {});
  check_.invert(chunks_.front().memory.data(), 0, {}, true, 0);
  synchronize(stream_, subject_);
}

double WholeMemory::fill(const Pattern& pattern) {
  start_.record(stream_);
  for (const Chunk& chunk : chunks_) {
    conformance::fill(chunk.memory.data(), chunk.memory.size(), pattern, stream_,
                      chunk.first_index);
  }
  end_.record(stream_);
  synchronize(stream_, subject_);
  return Event::seconds(start_, end_);
}

double WholeMemory::check(const Pattern& pattern, bool& right) {
  start_.record(stream_);
  for (const Chunk& chunk : chunks_) {
    check_.compare(chunk.memory.data(), chunk.memory.size(), pattern, chunk.first_index);
  }
  end_.record(stream_);
  right = judge(pattern, "");
  return Event::seconds(start_, end_);
}

double WholeMemory::invert(const Pattern& pattern, bool upwards, bool& right) {
  const auto turn = [&](const Chunk& chunk) {
    check_.invert(chunk.memory.data(), chunk.memory.size(), pattern, upwards, chunk.first_index);
  };
  start_.record(stream_);
  if (upwards) {
    std::for_each(chunks_.begin(), chunks_.end(), turn);
  } else {
    std::for_each(chunks_.rbegin(), chunks_.rend(), turn);
  }
  end_.record(stream_);
  right = judge(pattern, upwards ? ", inverted upwards" : ", inverted downwards");
  return Event::seconds(start_, end_);
}

bool WholeMemory::judge(const Pattern& pattern, std::string_view when) {
  const kernels::PatternMismatch mismatch = check_.result(subject_);
  if (mismatch.count == 0) return true;
  Finding finding = mismatch_finding(
      wrong_word, subject_,
      fmt::format("{}{}{}", name_of(pattern.kind), pattern.flip == 0 ? "" : ", complemented", when),
      mismatch, words_, pattern);
  finding.evidence.add("first_wrong_address", address_of(mismatch.first_index));
  fail(finding);
  return false;
}

std::string WholeMemory::address_of(std::uint64_t index) const {
  for (const Chunk& chunk : chunks_) {
    if (index - chunk.first_index < chunk.memory.size()) {
      return fmt::format("{}", fmt::ptr(chunk.memory.data() + (index - chunk.first_index)));
    }
  }
  return "outside the tested memory";
}

}  // namespace conformance::memory
