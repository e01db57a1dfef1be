#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fixtures/nccl_communicator.h"

namespace conformance::nccl {

/// Enough for every channel of NCCL.
inline constexpr std::size_t kMostFloats = 100'003;

/// What the ranks of one communicator do together, each wherever it was started.
struct Step {
  enum class Kind {
    sums,    ///< they come up, and sums are verified
    all,     ///< the same, one of every other collective, and sums without one of the ranks
    stall,   ///< the last one does not join a sum, and all give up
    shrink,  ///< the same, but the others go on in a communicator without it
    late,    ///< the last one does not join the communicator, and the others give up
    die      ///< the last one is killed in mid-run, and the others give up
  };
  Kind kind = Kind::sums;
  int ranks = 1;
  std::size_t most = kMostFloats;  ///< floats of the largest sum
  ncclUniqueId id{};
  /// NCCL_ALGO and NCCL_PROTO, if they are forced.
  std::string algorithm, protocol;

  /// "NCCL_ALGO=Tree NCCL_PROTO=LL", "a stalled rank", …
  std::string name() const;
};

/// A step as an argument for another process, and back; nothing for any other text.
std::string step_text(const Step& step);
std::optional<Step> parse_step(const std::string& text);

/// Takes part in a step as `rank`, on one GPU. What is not as it must be becomes a finding of the
/// session's test, and TestEnded is thrown.
/// The facts that it records as it goes, of which the last one counts for whoever looks later:
/// "rank.doing" what the rank is at; "rank.offered" is false once NCCL does not offer what is
/// forced.
/// `made` gets the communicators, which are the caller's to end.
void take_part(const Step& step, const CudaDevice& device, int rank, std::list<NcclClique>& made);

/// Takes communicators away, all at once: NCCL needs half a second for any of them.
void end_all(std::list<NcclClique>& cliques);

/// The child task: what the parent's session is set to, the rank, and steps. Takes part in each as
/// that rank, and writes the journal of a session to stdout, with a test "<layer>.Rank.<number of
/// the step>" for each.
int be_a_rank(std::span<const std::string> arguments);
/// The arguments of be_a_rank.
std::vector<std::string> rank_arguments(int rank, std::span<const Step> steps);

}  // namespace conformance::nccl
