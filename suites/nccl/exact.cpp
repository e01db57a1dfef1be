// Is every element that collectives leave behind the one that the ranks' contributions give?

#include <algorithm>
#include <array>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_result.h"
#include "fixtures/version.h"
#include "kernels/compare.h"
#include "suites/nccl/collectives_test.h"
#include "suites/nccl/findings.h"

namespace conformance::nccl {
namespace {

/// The types that the library and every GPU can reduce.
std::vector<CollectiveType> offered_types(const CudaInventory& devices) {
  constexpr int kFirstWithNarrowFloats = 22400;
  int version = 0;
  ensure(CONFORMANCE_CALL(ncclGetVersion(&version)));
  const bool narrow =
      version >= kFirstWithNarrowFloats &&
      std::all_of(devices.begin(), devices.end(), [](const auto& gpu) { return gpu.major >= 9; });
  fact("nccl.float8", narrow);
  std::vector<CollectiveType> offered;
  for (const CollectiveType type : types()) {
    if (narrow || !is_narrow_float(type)) offered.push_back(type);
  }
  return offered;
}

/// An odd number, for which the case fits `bytes`.
std::size_t odd_count(const Case& what, std::size_t bytes, int ranks) {
  return (Participant::greatest_count(what, bytes, ranks) - 1) | 1;
}

using AlltoAll = ncclResult_t(const void*, void*, std::size_t, ncclDataType_t, ncclComm_t,
                              cudaStream_t);
/// Libraries have it since 2.28.
AlltoAll* find_all_to_all() { return newer_nccl_function<AlltoAll>("ncclAlltoAll"); }

TEST_F(Collectives, AllReduceIsExactForEveryTypeAndOperation) {
  claim(
      "ncclAllReduce gives every rank the sum, product, maximum, minimum, average or sum of "
      "multiples of all ranks' elements, for every type, in place or not",
      "NCCL: ncclAllReduce, ncclRedOp_t, ncclDataType_t, ncclRedOpCreatePreMulSum");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    for (const CollectiveType type : offered_types(devices)) {
      for (const Reduction reduction : reductions()) {
        if (!is_predictable(type, reduction, ranks.count())) continue;
        ranks.run({.count = 1023, .type = type, .reduction = reduction, .offset = 1});
        Case large{
            .type = type, .reduction = reduction, .in_place = true, .scalar_on_device = true};
        large.count = odd_count(large, usual_bytes(devices), ranks.count());
        ranks.run(large);
      }
    }
    ranks.finish();
  });
}

TEST_F(Collectives, AllReduceIsExactForEveryCount) {
  claim("ncclAllReduce reduces any number of elements, which may lie anywhere in memory",
        "NCCL: ncclAllReduce, Data Pointers, In-place Operations");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    const std::size_t bytes = scaled_to(std::size_t{512} << 20, devices);
    const std::size_t most = Participant::greatest_count({.offset = 1}, bytes, ranks.count());
    const auto all = static_cast<std::size_t>(ranks.count());
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, all + 1, std::size_t{1023}, std::size_t{1000003}}) {
      if (count > most) continue;
      ranks.run({.count = count});
      ranks.run({.count = count, .in_place = true, .offset = 1});
    }
    ranks.run({.count = most});
    ranks.run({.count = most - 3, .in_place = true, .offset = 1});
    ranks.finish();
  });
}

TEST_F(Collectives, EveryOtherCollectiveIsExactFromEveryRoot) {
  claim(
      "Reduce, broadcast, reduce-scatter, all-gather, and rings, all-to-all, gather and scatter of "
      "sends and receives in a group give every rank its elements, with every rank as root, and "
      "change nothing on the others",
      "NCCL: Collective Communication Functions, Point-to-point communication, In-place "
      "Operations");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    const std::vector<CollectiveType> offered = offered_types(devices);
    // Types and operations take turns; all of both are tried by all-reduce.
    std::size_t turn = 0;
    for (const Collective* const collective : collectives()) {
      if (collective == &kAllReduce) continue;
      for (int root = 0; root < (collective->rooted ? ranks.count() : 1); ++root) {
        for (const bool in_place : {false, true}) {
          if (in_place && !collective->in_place) continue;
          Case what{.collective = collective, .root = root, .in_place = in_place};
          what.type = offered[turn % offered.size()];
          what.reduction = reductions()[turn % reductions().size()];
          if (!is_predictable(what.type, what.reduction, ranks.count())) {
            what.reduction = Reduction::max;
          }
          ++turn;
          const std::size_t large = odd_count(what, usual_bytes(devices), ranks.count());
          for (const std::size_t count : {std::size_t{0}, std::size_t{1}, large}) {
            if (count == 0 && root > 0) continue;
            what.count = count;
            what.offset = in_place ? 1 : 0;
            ranks.run(what);
          }
        }
      }
    }
    ranks.finish();
  });
}

TEST_F(Collectives, AllToAllInOneCallIsExact) {
  claim("ncclAlltoAll sends each rank a part of its own, where the library has it",
        "NCCL: ncclAlltoAll (2.28)");
  const CudaInventory& devices = require(Devices{1});
  if (find_all_to_all() == nullptr) skip("this NCCL has no ncclAlltoAll");
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    Collective in_one_call = kAllToAll;
    in_one_call.name = "all-to-all in one call";
    in_one_call.launch = [](const Call& call) {
      return find_all_to_all()(call.send, call.receive, call.count, nccl_type(call.type),
                               call.communicator, call.stream);
    };
    Case what{.collective = &in_one_call, .type = CollectiveType::uint8, .offset = 1};
    for (const std::size_t count :
         {std::size_t{1}, odd_count(what, usual_bytes(devices), ranks.count())}) {
      what.count = count;
      ranks.run(what);
    }
    ranks.finish();
  });
}

TEST_F(Collectives, ProductsThatRoundHaveTheSameBitsEachTime) {
  claim("The same all-reduce of the same numbers gives the same bits each time",
        "NCCL: ncclAllReduce; an algorithm combines the ranks in an order of its own");
  const CudaInventory& devices = require(Devices{2});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    // Numbers that fill a double: their product depends on its order. Switches that add (NVLS),
    // in an order that is not fixed, do not multiply.
    Collective multiplying = kAllReduce;
    multiplying.launch = [](const Call& call) {
      return ncclAllReduce(call.send, call.receive, call.count, nccl_type(call.type), ncclProd,
                           call.communicator, call.stream);
    };
    Case first = ranks.fresh(
        {.collective = &multiplying, .type = CollectiveType::float64, .reduction = Reduction::max});
    first.count = odd_count(first, usual_bytes(devices) * 4, ranks.count());
    Case again = first;
    again.place = Participant::footprint(first, 0, ranks.count());
    ranks.prepare(first);
    ranks.prepare(again);
    ranks.launch(first);
    ranks.launch(again);
    ranks.wait(first.text());
    ranks.for_each([&](Participant& one, int local) {
      DeviceResult<kernels::Mismatch> differs(ranks.clique().stream(local));
      ensure(CONFORMANCE_CALL(kernels::compare_bytes(one.result(first), one.result(again),
                                                     first.count * sizeof(double), differs.data(),
                                                     ranks.clique().stream(local).get())));
      const kernels::Mismatch found = differs.take(ranks.rank_subject(local));
      expect(
          found.count == 0,
          Finding(not_repeatable, ranks.rank_subject(local),
                  fmt::format("{} of {} bytes differ between two products of the same doubles, the "
                              "first is byte {}",
                              found.count, first.count * sizeof(double), found.first_index),
                  {{"differing_bytes", std::uint64_t{found.count}},
                   {"first_byte", std::uint64_t{found.first_index}},
                   {"environment", nccl_environment()}}));
      verified(first.count, "elements");
    });
  });
}

/// What a GPU's reductions over one rank came to.
struct OneRankResults {
  int cases = 0;
  std::vector<Finding> wrong;
  bool only_tails = true;  ///< all that is wrong are the last elements, fewer than NCCL has blocks
};

OneRankResults reduce_over_one_rank(Ranks& rank, std::size_t bytes) {
  constexpr unsigned long long kMostBlocks = 32;
  OneRankResults results;
  for (const CollectiveType type : {CollectiveType::float32, CollectiveType::int64}) {
    for (const Reduction reduction : {Reduction::avg, Reduction::premul_sum}) {
      for (const bool in_place : {false, true}) {
        Case what = rank.fresh({.type = type, .reduction = reduction, .in_place = in_place});
        // One less than a multiple of 32.
        for (const std::size_t most : {std::size_t{1024}, odd_count(what, bytes, 1)}) {
          what.count = std::min(most, odd_count(what, bytes, 1)) / kMostBlocks * kMostBlocks - 1;
          what = rank.fresh(what);
          rank.prepare(what);
          rank.launch(what);
          rank.check(what);
        }
      }
    }
  }
  rank.wait("reductions over one rank");
  rank.for_each([&](Participant& one, int local) {
    for (const Checked& checked : one.take()) {
      ++results.cases;
      verified(checked.elements, "elements");
      for (Finding& finding : judge(checked, 0, 1, rank.rank_subject(local))) {
        const bool tail = finding.kind == &wrong_element &&
                          checked.faults.result.first() + kMostBlocks > checked.what.count;
        results.only_tails = results.only_tails && tail;
        results.wrong.push_back(std::move(finding));
      }
    }
  });
  return results;
}

/// The first release of NCCL that reduces all elements over one rank.
constexpr LibraryVersion kFirstWithTails{2, 29, 7};

// The last of all: where it fails, the communicators are set up anew for what comes after it. An
// older library that loses the tail, and nothing else, has the defect that all copies of it have:
// no fault of this host, and told as the reason why nothing is claimed.
TEST_F(Collectives, OneRankReducesItsLastElementsToo) {
  claim(
      "An average and a sum of multiples over one rank is that of every element, the last ones "
      "too",
      "NCCL: ncclRedOp_t (ncclAvg), ncclRedOpCreatePreMulSum");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    int number = 0;
    ensure(CONFORMANCE_CALL(ncclGetVersion(&number)));
    const LibraryVersion version = parse_nccl_version(number).value_or(LibraryVersion{});
    std::mutex mutex;
    std::string known;
    Ranks& all = all_ranks(devices);
    std::vector<int> colors(devices.size());
    std::iota(colors.begin(), colors.end(), 0);
    add_and_run(all.split(colors, colors), usual_bytes(devices), [&](Ranks& rank) {
      const OneRankResults results = reduce_over_one_rank(rank, usual_bytes(devices));
      if (results.wrong.empty()) return;
      Finding first = results.wrong.front();
      first.detail = fmt::format("{} of {} reductions over one rank are wrong: {}",
                                 results.wrong.size(), results.cases, first.detail);
      if (results.only_tails && version < kFirstWithTails) {
        const std::lock_guard lock(mutex);
        known = first.detail;
        return;
      }
      if (results.only_tails) first.kind = &one_rank_tail_lost;
      first.evidence.add("nccl_version", version.text());
      fail(first);
    });
    if (!known.empty()) {
      skip(fmt::format(
          "NCCL before 2.29.7 leaves the last elements of averages and of sums of "
          "multiples over one rank as they were (NVIDIA/nccl issue 1950), and this one, "
          "{}, does: {}. Update it, or do without these",
          version.text(), known));
    }
  });
}

}  // namespace
}  // namespace conformance::nccl
