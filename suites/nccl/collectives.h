#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <nccl.h>

#include "fixtures/status.h"
#include "kernels/collective_check.h"

namespace conformance::nccl {

using kernels::CollectiveType;
using kernels::Reduction;

/// What one rank's call of a collective needs. For what is sent in parts, the buffers are those of
/// all parts.
struct Call {
  const void* send;
  void* receive;
  std::size_t count;
  CollectiveType type;
  ncclRedOp_t operation;
  int root, rank, ranks;
  ncclComm_t communicator;
  cudaStream_t stream;
};

/// One rank's share of the data of a collective.
struct Share {
  std::size_t sends = 0;     ///< elements; 0: the buffer is not looked at
  std::size_t receives = 0;  ///< elements; 0: the buffer must stay as it is
  kernels::Origin origin;    ///< of what it receives
  /// In place: where in the one buffer, in elements, what it sends begins and what it receives.
  std::size_t sends_from = 0, receives_at = 0;
};

/// A collective, apart from what it is done with. `count` is always that of NCCL's call.
struct Collective {
  std::string_view name;      ///< as figures have it: "all-reduce"
  std::string_view function;  ///< "ncclAllReduce"
  bool reduces = false, rooted = false, in_place = false;
  Share (*share)(std::size_t count, int rank, int ranks, int root);
  /// One rank's call or calls; within a group if other ranks are of the same thread.
  ncclResult_t (*launch)(const Call&);
  /// Elements that the figures of the field count, by `count`: the larger one of what a rank sends
  /// and what it receives.
  std::size_t (*elements)(std::size_t count, int ranks);
  /// Bus bandwidth / algorithm bandwidth, as nccl-tests' doc/PERFORMANCE.md defines it: what a
  /// link of each GPU carries for each byte of the algorithm bandwidth.
  double (*bus_factor)(int ranks);
};

extern const Collective kAllReduce, kReduce, kBroadcast, kReduceScatter, kAllGather;
/// Of sends and receives in a group: each rank to the next one; every rank to every rank; one
/// rank's parts from all and to all.
extern const Collective kSendReceiveRing, kAllToAll, kGather, kScatter;
/// All of the above.
std::span<const Collective* const> collectives();

/// What is done with which data. All ranks of a communicator have the same case.
struct Case {
  const Collective* collective = &kAllReduce;
  std::size_t count = 0;
  CollectiveType type = CollectiveType::float32;
  Reduction reduction = Reduction::sum;  ///< of what reduces
  int root = 0;                          ///< of what has one
  bool in_place = false;
  std::size_t offset = 0;  ///< elements by which the buffers miss their alignment
  std::size_t place = 0;   ///< bytes, from which on a rank's memory is used: for cases at once
  bool scalar_on_device = false;  ///< what premul-sums multiply with is read while they run
  std::uint64_t seed = 0;         ///< of the values; another one in each case, so that none passes
                                  ///< for another

  /// "all-reduce (premul-sum) of 1023 uint8, in place, root 3".
  std::string text() const;
  /// The values that ranks contribute and must get.
  kernels::Contributions contributions(int ranks) const;
  Share share(int rank, int ranks) const { return collective->share(count, rank, ranks, root); }
};

std::string_view name_of(CollectiveType type);
std::string_view name_of(Reduction reduction);
ncclDataType_t nccl_type(CollectiveType type);
/// NCCL's operation; ncclSum for those that are made for a communicator (premul_sum), or none.
ncclRedOp_t built_in_operation(Reduction reduction);

/// Every type and every reduction.
std::span<const CollectiveType> types();
std::span<const Reduction> reductions();
/// Whether a type is one of 8 bits with an exponent, which NCCL reduces since 2.24 on GPUs of
/// compute capability 9.0 and later.
bool is_narrow_float(CollectiveType type);
/// Whether a reduction has a result that can be relied on. An average of very many ranks has none
/// in a narrow integer; and NCCL before 2.29.7 loses the last elements of averages and of sums of
/// multiples over one rank, which is claimed apart from all else.
bool is_predictable(CollectiveType type, Reduction reduction, int ranks);

/// A value as text, by its type.
std::string element_text(CollectiveType type, unsigned long long bits);

}  // namespace conformance::nccl
