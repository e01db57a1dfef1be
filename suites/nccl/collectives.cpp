#include "suites/nccl/collectives.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>

namespace conformance::nccl {
namespace {

using kernels::Origin;

std::size_t ranks_of(int ranks) { return static_cast<std::size_t>(ranks); }

/// Reduced over all ranks, from `first` on.
Origin all_ranks(std::size_t count, std::size_t first = 0) { return {true, 0, 0, count, first}; }
/// A block of each rank, each from `first` on.
Origin each_rank(std::size_t count, std::size_t first = 0) { return {false, 0, 1, count, first}; }
Origin one_rank(int rank, std::size_t count, std::size_t first = 0) {
  return {false, static_cast<unsigned>(rank), 0, count, first};
}

std::size_t once(std::size_t count, int) { return count; }
std::size_t for_each_rank(std::size_t count, int ranks) { return count * ranks_of(ranks); }

double one(int) { return 1; }
double others_of_all(int ranks) { return static_cast<double>(ranks - 1) / ranks; }
double twice_others_of_all(int ranks) { return 2 * others_of_all(ranks); }

const std::byte* part(const Call& call, int which) {
  return static_cast<const std::byte*>(call.send) +
         ranks_of(which) * call.count * kernels::bytes_of(call.type);
}
std::byte* received_part(const Call& call, int which) {
  return static_cast<std::byte*>(call.receive) +
         ranks_of(which) * call.count * kernels::bytes_of(call.type);
}

ncclResult_t send(const Call& call, int which, int to) {
  return ncclSend(part(call, which), call.count, nccl_type(call.type), to, call.communicator,
                  call.stream);
}
ncclResult_t receive(const Call& call, int which, int from) {
  return ncclRecv(received_part(call, which), call.count, nccl_type(call.type), from,
                  call.communicator, call.stream);
}

/// Calls that can only proceed together. The first failure counts.
template <typename Calls>
ncclResult_t as_group(const Calls& calls) {
  if (const ncclResult_t begun = ncclGroupStart(); begun != ncclSuccess) return begun;
  ncclResult_t called = ncclSuccess;
  const auto all_good = [&](ncclResult_t result) {
    // Of communicators that do not block, calls within a group may say that they are in progress.
    const bool good = result == ncclSuccess || result == ncclInProgress;
    if (!good) called = result;
    return good;
  };
  calls(all_good);
  const ncclResult_t ended = ncclGroupEnd();
  return called != ncclSuccess ? called : ended;
}

}  // namespace

constexpr Collective kAllReduce{.name = "all-reduce",
                                .function = "ncclAllReduce",
                                .reduces = true,
                                .in_place = true,
                                .share = [](std::size_t count, int, int, int) -> Share {
                                  return {count, count, all_ranks(count)};
                                },
                                .launch =
                                    [](const Call& call) {
                                      return ncclAllReduce(call.send, call.receive, call.count,
                                                           nccl_type(call.type), call.operation,
                                                           call.communicator, call.stream);
                                    },
                                .elements = once,
                                .bus_factor = twice_others_of_all};

constexpr Collective kReduce{.name = "reduce",
                             .function = "ncclReduce",
                             .reduces = true,
                             .rooted = true,
                             .in_place = true,
                             .share = [](std::size_t count, int rank, int, int root) -> Share {
                               return {count, rank == root ? count : 0, all_ranks(count)};
                             },
                             .launch =
                                 [](const Call& call) {
                                   return ncclReduce(call.send, call.receive, call.count,
                                                     nccl_type(call.type), call.operation,
                                                     call.root, call.communicator, call.stream);
                                 },
                             .elements = once,
                             .bus_factor = one};

constexpr Collective kBroadcast{.name = "broadcast",
                                .function = "ncclBroadcast",
                                .rooted = true,
                                .in_place = true,
                                .share = [](std::size_t count, int rank, int, int root) -> Share {
                                  return {rank == root ? count : 0, count, one_rank(root, count)};
                                },
                                .launch =
                                    [](const Call& call) {
                                      return ncclBroadcast(call.send, call.receive, call.count,
                                                           nccl_type(call.type), call.root,
                                                           call.communicator, call.stream);
                                    },
                                .elements = once,
                                .bus_factor = one};

constexpr Collective kReduceScatter{
    .name = "reduce-scatter",
    .function = "ncclReduceScatter",
    .reduces = true,
    .in_place = true,
    .share = [](std::size_t count, int rank, int ranks, int) -> Share {
      const std::size_t own = ranks_of(rank) * count;
      return {count * ranks_of(ranks), count, all_ranks(count, own), 0, own};
    },
    .launch =
        [](const Call& call) {
          return ncclReduceScatter(call.send, call.receive, call.count, nccl_type(call.type),
                                   call.operation, call.communicator, call.stream);
        },
    .elements = for_each_rank,
    .bus_factor = others_of_all};

constexpr Collective kAllGather{
    .name = "all-gather",
    .function = "ncclAllGather",
    .in_place = true,
    .share = [](std::size_t count, int rank, int ranks, int) -> Share {
      return {count, count * ranks_of(ranks), each_rank(count), ranks_of(rank) * count, 0};
    },
    .launch =
        [](const Call& call) {
          return ncclAllGather(call.send, call.receive, call.count, nccl_type(call.type),
                               call.communicator, call.stream);
        },
    .elements = for_each_rank,
    .bus_factor = others_of_all};

constexpr Collective kSendReceiveRing{
    .name = "send-receive",
    .function = "ncclSend and ncclRecv",
    .share = [](std::size_t count, int rank, int ranks, int) -> Share {
      return {count, count, one_rank((rank + ranks - 1) % ranks, count)};
    },
    .launch =
        [](const Call& call) {
          return as_group([&](const auto& good) {
            if (!good(send(call, 0, (call.rank + 1) % call.ranks))) return;
            good(receive(call, 0, (call.rank + call.ranks - 1) % call.ranks));
          });
        },
    .elements = once,
    .bus_factor = one};

constexpr Collective kAllToAll{
    .name = "all-to-all",
    .function = "ncclSend and ncclRecv",
    .share = [](std::size_t count, int rank, int ranks, int) -> Share {
      const std::size_t all = count * ranks_of(ranks);
      return {all, all, each_rank(count, ranks_of(rank) * count)};
    },
    .launch =
        [](const Call& call) {
          return as_group([&](const auto& good) {
            for (int peer = 0; peer < call.ranks; ++peer) {
              if (!good(send(call, peer, peer)) || !good(receive(call, peer, peer))) return;
            }
          });
        },
    .elements = for_each_rank,
    .bus_factor = others_of_all};

constexpr Collective kGather{
    .name = "gather",
    .function = "ncclSend and ncclRecv",
    .rooted = true,
    .share = [](std::size_t count, int rank, int ranks, int root) -> Share {
      return {count, rank == root ? count * ranks_of(ranks) : 0, each_rank(count)};
    },
    .launch =
        [](const Call& call) {
          return as_group([&](const auto& good) {
            if (!good(send(call, 0, call.root)) || call.rank != call.root) return;
            for (int peer = 0; peer < call.ranks; ++peer) {
              if (!good(receive(call, peer, peer))) return;
            }
          });
        },
    .elements = for_each_rank,
    .bus_factor = others_of_all};

constexpr Collective kScatter{
    .name = "scatter",
    .function = "ncclSend and ncclRecv",
    .rooted = true,
    .share = [](std::size_t count, int rank, int ranks, int root) -> Share {
      return {rank == root ? count * ranks_of(ranks) : 0, count,
              one_rank(root, count, ranks_of(rank) * count)};
    },
    .launch =
        [](const Call& call) {
          return as_group([&](const auto& good) {
            if (!good(receive(call, 0, call.root)) || call.rank != call.root) return;
            for (int peer = 0; peer < call.ranks; ++peer) {
              if (!good(send(call, peer, peer))) return;
            }
          });
        },
    .elements = for_each_rank,
    .bus_factor = others_of_all};

std::span<const Collective* const> collectives() {
  static constexpr std::array<const Collective*, 9> kAll{
      &kAllReduce,       &kReduce,   &kBroadcast, &kReduceScatter, &kAllGather,
      &kSendReceiveRing, &kAllToAll, &kGather,    &kScatter};
  return kAll;
}

kernels::Contributions Case::contributions(int ranks) const {
  return kernels::contributions_for(type, collective->reduces ? reduction : Reduction::none,
                                    static_cast<unsigned>(ranks), seed)
      .value();
}

std::string Case::text() const {
  return fmt::format("{}{} of {} {}{}{}{}", collective->name,
                     collective->reduces ? fmt::format(" ({})", name_of(reduction)) : "", count,
                     name_of(type), in_place ? ", in place" : "", offset > 0 ? ", not aligned" : "",
                     collective->rooted ? fmt::format(", root {}", root) : "");
}

std::string_view name_of(CollectiveType type) {
  static constexpr std::array<std::string_view, 12> kNames{
      "int8",    "uint8",   "int32",   "uint32",   "int64",       "uint64",
      "float16", "float32", "float64", "bfloat16", "float8 e4m3", "float8 e5m2"};
  return kNames.at(static_cast<std::size_t>(type));
}

std::string_view name_of(Reduction reduction) {
  static constexpr std::array<std::string_view, 7> kNames{"none", "sum", "prod",      "max",
                                                          "min",  "avg", "premul-sum"};
  return kNames.at(static_cast<std::size_t>(reduction));
}

ncclDataType_t nccl_type(CollectiveType type) {
  static_assert(static_cast<int>(CollectiveType::float16) == ncclFloat16 &&
                static_cast<int>(CollectiveType::bfloat16) == ncclBfloat16);
  return static_cast<ncclDataType_t>(type);
}

ncclRedOp_t built_in_operation(Reduction reduction) {
  switch (reduction) {
    case Reduction::prod:
      return ncclProd;
    case Reduction::max:
      return ncclMax;
    case Reduction::min:
      return ncclMin;
    case Reduction::avg:
      return ncclAvg;
    default:
      return ncclSum;
  }
}

std::span<const CollectiveType> types() {
  using enum CollectiveType;
  static constexpr std::array kAll{int8,    uint8,   int32,   uint32,   int64,       uint64,
                                   float16, float32, float64, bfloat16, float8_e4m3, float8_e5m2};
  return kAll;
}

std::span<const Reduction> reductions() {
  using enum Reduction;
  static constexpr std::array kAll{sum, prod, max, min, avg, premul_sum};
  return kAll;
}

bool is_narrow_float(CollectiveType type) {
  return type == CollectiveType::float8_e4m3 || type == CollectiveType::float8_e5m2;
}

bool is_predictable(CollectiveType type, Reduction reduction, int ranks) {
  if (ranks == 1 && (reduction == Reduction::avg || reduction == Reduction::premul_sum)) {
    return false;
  }
  return kernels::contributions_for(type, reduction, static_cast<unsigned>(ranks), 0).has_value();
}

std::string element_text(CollectiveType type, unsigned long long bits) {
  switch (type) {
    case CollectiveType::int8:
      return fmt::format("{}", static_cast<int>(static_cast<std::int8_t>(bits)));
    case CollectiveType::int32:
      return fmt::format("{}", static_cast<std::int32_t>(bits));
    case CollectiveType::int64:
      return fmt::format("{}", static_cast<std::int64_t>(bits));
    case CollectiveType::uint8:
    case CollectiveType::uint32:
    case CollectiveType::uint64:
      return fmt::format("{}", bits);
    default:
      return fmt::format("{}", kernels::float_value(type, bits));
  }
}

}  // namespace conformance::nccl
