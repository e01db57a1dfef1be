#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fixtures/finding.h"

namespace conformance::nccl {

/// What a rank in another process has said about one step, by the journal of its session.
struct StepRecord {
  bool started = false, ended = false;
  double seconds = 0;  ///< from its start to its end
  std::string doing;   ///< the last thing it was at
  bool offered = true;
  std::int64_t rank = -1, ranks = -1;  ///< its number and how many there are, if it says so
  std::vector<Finding> findings;
  std::vector<std::pair<std::uint64_t, std::string>> verified;
  /// The lines between the records: NCCL's own words.
  std::string output;
};

/// Reads a journal, among whose records there may be other lines; one record for each of `steps`.
/// What cannot be understood is left out.
std::vector<StepRecord> read_rank(std::string_view journal, std::size_t steps);

/// Makes what a rank found and verified that of the test in hand.
void take_over(const StepRecord& record);
/// The same of a rank on `device`, which may have another number here than there.
void take_over(StepRecord record, const Subject& device);

}  // namespace conformance::nccl
