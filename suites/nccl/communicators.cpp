// Are collectives right in groups, over subsets of the GPUs, in graphs, and with registered memory?

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_graph.h"
#include "suites/nccl/collectives_test.h"
#include "suites/nccl/findings.h"

namespace conformance::nccl {
namespace {

/// Verifies a few collectives over ranks that share no GPU with other ones at work.
void verify_subset(Ranks& ranks, std::size_t bytes) {
  for (const Collective* const collective :
       {&kAllReduce, &kBroadcast, &kReduceScatter, &kAllGather, &kSendReceiveRing}) {
    Case what{.collective = collective, .root = ranks.count() - 1};
    what.count = Participant::greatest_count(what, bytes, ranks.count());
    ranks.run(what);
  }
}

/// Splits `all` by colors, and verifies each part, all parts at once.
void verify_split(Ranks& all, const std::vector<int>& colors, const std::vector<int>& keys,
                  std::size_t bytes) {
  SharedRanksTest::add_and_run(all.split(colors, keys), bytes, [bytes](Ranks& part) {
    verify_subset(part, bytes);
    part.finish();
  });
}

std::vector<int> colors_of_all(const Ranks& all) {
  return std::vector<int>(static_cast<std::size_t>(all.count()), 0);
}
std::vector<int> keys_in_order(const Ranks& all) {
  std::vector<int> keys(static_cast<std::size_t>(all.count()));
  std::iota(keys.begin(), keys.end(), 0);
  return keys;
}

TEST_F(Collectives, SeveralInOneGroupAreExact) {
  claim(
      "Collectives, sends and receives between ncclGroupStart and ncclGroupEnd, groups within it "
      "too, are done together and are all right",
      "NCCL: Group Calls (Aggregated Operations)");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    const int last = ranks.count() - 1;
    std::vector<Case> cases{
        {.collective = &kAllReduce, .type = CollectiveType::int32},
        {.collective = &kBroadcast, .type = CollectiveType::uint8, .root = last},
        {.collective = &kReduce, .reduction = Reduction::premul_sum, .root = last},
        {.collective = &kAllGather, .type = CollectiveType::bfloat16, .in_place = true},
        {.collective = &kReduceScatter, .type = CollectiveType::float64}};
    const std::size_t bytes = usual_bytes(devices);
    if (!is_predictable(CollectiveType::float32, Reduction::premul_sum, ranks.count())) {
      cases[2].reduction = Reduction::prod;
    }
    for (Case& what : cases) {
      what.count = Participant::greatest_count(what, bytes, ranks.count());
    }
    ranks.run_together(cases);
    // Each of these is a group of its own within the group.
    cases = {{.collective = &kAllToAll}, {.collective = &kAllReduce, .reduction = Reduction::max}};
    for (Case& what : cases) {
      what.count = Participant::greatest_count(what, bytes, ranks.count());
    }
    ranks.run_together(cases);
    ranks.finish();
  });
}

TEST_F(Collectives, TwoCommunicatorsOverTheSameGpusAreExact) {
  claim("A GPU can take part in several communicators, whose work is done in the same order",
        "NCCL: Using multiple NCCL communicators concurrently");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& first = all_ranks(devices);
    const std::size_t bytes = usual_bytes(devices);
    Ranks& second =
        add(std::move(first.split(colors_of_all(first), keys_in_order(first)).at(0)), bytes);
    // Documented: work of several communicators must be ordered alike on all ranks. One stream
    // waits for the other; the host waits for neither.
    std::vector<Event> done;
    first.for_each([&](Participant&, int) { done.emplace_back(cudaEventDisableTiming); });
    const auto follow = [&](Ranks& next, Ranks& before) {
      next.for_each([&](Participant&, int local) {
        Event& event = done[static_cast<std::size_t>(local)];
        event.record(before.clique().stream(local));
        ensure(CONFORMANCE_CALL(
            cudaStreamWaitEvent(next.clique().stream(local).get(), event.get(), 0)));
      });
    };
    for (int i = 0; i < 4; ++i) {
      verify_subset(first, bytes);
      follow(second, first);
      verify_subset(second, bytes);
      follow(first, second);
    }
    first.finish();
    second.finish();
  });
}

TEST_F(Collectives, SplitsHaveTheRanksTheyWereAskedFor) {
  claim(
      "ncclCommSplit makes a communicator of the ranks of each color, ordered by their keys, and "
      "none for NCCL_SPLIT_NOCOLOR",
      "NCCL: ncclCommSplit");
  const CudaInventory& devices = require(Devices{2});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = all_ranks(devices);
    std::vector<int> colors;
    std::vector<int> keys;
    for (int rank = 0; rank < all.count(); ++rank) {
      colors.push_back(rank == 0 ? NCCL_SPLIT_NOCOLOR : 7 * ((rank - 1) / 2 % 2));
      keys.push_back(-rank);
    }
    verify_split(all, colors, keys, usual_bytes(devices));
    // The one that was split goes on.
    verify_subset(all, usual_bytes(devices));
    all.finish();
  });
}

TEST_F(Collectives, EverySubsetOfTheGpusIsExact) {
  claim(
      "Collectives are right over any of the GPUs: every pair, each half, each quarter and so on, "
      "and all but one",
      "NCCL: ncclCommSplit, Collective Communication Functions");
  const CudaInventory& devices = require(Devices{2});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = all_ranks(devices);
    const std::size_t bytes = usual_bytes(devices);
    const std::vector<int> keys = keys_in_order(all);
    // Of every two pairs with the same GPUs one will do: the ranks' order is the GPUs'.
    const auto rounds = disjoint_rounds(devices);
    for (std::size_t round = 0; round < rounds.size(); round += 2) {
      std::vector<int> colors(devices.size(), NCCL_SPLIT_NOCOLOR);
      for (const OrderedPair& pair : rounds[round]) {
        for (std::size_t i = 0; i < devices.size(); ++i) {
          if (devices[i].ordinal == pair.from.ordinal || devices[i].ordinal == pair.to.ordinal) {
            colors[i] = std::min(pair.from.ordinal, pair.to.ordinal);
          }
        }
      }
      verify_split(all, colors, keys, bytes);
    }
    for (int size = 4; size < all.count(); size *= 2) {
      std::vector<int> colors;
      for (int rank = 0; rank < all.count(); ++rank) {
        const bool complete = rank / size * size + size <= all.count();
        colors.push_back(complete ? rank / size : NCCL_SPLIT_NOCOLOR);
      }
      verify_split(all, colors, keys, bytes);
    }
    for (int left_out = 0; left_out < all.count() && all.count() > 2; ++left_out) {
      std::vector<int> colors = colors_of_all(all);
      colors[static_cast<std::size_t>(left_out)] = NCCL_SPLIT_NOCOLOR;
      verify_split(all, colors, keys, bytes);
    }
  });
}

TEST_F(Collectives, ACommunicatorShrinksByARankThatKnowsNothingOfIt) {
  claim(
      "ncclCommShrink makes a communicator without a rank that does not call it; the others keep "
      "their order, and the communicator that it came from goes on",
      "NCCL: ncclCommShrink (2.27), NCCL_SHRINK_DEFAULT; Shrinking a communicator");
  const CudaInventory& devices = require(Devices{2});
  if (!NcclClique::can_shrink()) skip("this NCCL has no ncclCommShrink");
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = all_ranks(devices);
    Ranks& rest = add(all.leave_out(0, Without::shrink), usual_bytes(devices));
    verify_subset(rest, usual_bytes(devices));
    rest.finish();
    verify_subset(all, usual_bytes(devices));
    all.finish();
  });
}

TEST_F(Collectives, GraphsRepeatThemOnTheNumbersOfTheDay) {
  claim(
      "Collectives that were captured into a graph are done anew by each launch, with what the "
      "buffers then hold",
      "NCCL: Using NCCL with CUDA Graphs");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& ranks = all_ranks(devices);
    std::vector<Case> cases{{.collective = &kAllReduce},
                            {.collective = &kAllGather, .type = CollectiveType::int32},
                            {.collective = &kAllToAll, .type = CollectiveType::uint64}};
    std::size_t place = 0;
    for (Case& what : cases) {
      what.count = Participant::greatest_count(what, usual_bytes(devices), ranks.count());
      what.place = place;
      place += Participant::footprint(what, 0, ranks.count());
    }
    // Once outside, so that what NCCL sets up at first use is no matter of the capture.
    ranks.run_together(cases);
    ranks.finish();
    // Destroyed before the communicators, as documented.
    std::vector<GraphExecutable> executables;
    {
      std::vector<std::unique_ptr<StreamCapture>> captures;
      ranks.for_each([&](Participant&, int local) {
        captures.push_back(std::make_unique<StreamCapture>(ranks.clique().stream(local),
                                                           cudaStreamCaptureModeRelaxed));
      });
      ranks.launch(cases);
      ranks.for_each([&](Participant&, int local) {
        executables.emplace_back(captures[static_cast<std::size_t>(local)]->end());
      });
    }
    // What a first launch would make room for, while other GPUs already wait for this one.
    ranks.for_each([&](Participant&, int local) {
      ensure(CONFORMANCE_CALL(cudaGraphUpload(executables[static_cast<std::size_t>(local)].get(),
                                              ranks.clique().stream(local).get())));
    });
    ranks.wait("cudaGraphUpload");
    for (int launch = 0; launch < 3; ++launch) {
      for (Case& what : cases) {
        what = ranks.fresh(what);
        ranks.prepare(what);
      }
      ranks.for_each([&](Participant&, int local) {
        executables[static_cast<std::size_t>(local)].launch(ranks.clique().stream(local));
      });
      for (const Case& what : cases) ranks.check(what);
      ranks.finish();
    }
  });
}

TEST_F(Collectives, RegisteredMemoryIsUsedRightly) {
  claim(
      "Collectives are right on memory that was registered with the communicator, whether "
      "cudaMalloc or ncclMemAlloc gave it, and after it was deregistered",
      "NCCL: User Buffer Registration (General Buffer Registration, Memory Allocator)");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = all_ranks(devices);
    const auto verify = [&](Ranks& ranks, const std::string& whose) {
      ranks.for_each([&](Participant& one, int local) {
        ranks.demand(CONFORMANCE_CALL(one.register_memory(ranks.clique().communicator(local))),
                     "registering memory of " + whose);
      });
      verify_subset(ranks, usual_bytes(devices));
      ranks.finish();
      ranks.for_each([&](Participant& one, int local) {
        ranks.demand(CONFORMANCE_CALL(one.deregister_memory(ranks.clique().communicator(local))),
                     "deregistering memory of " + whose);
      });
      verify_subset(ranks, usual_bytes(devices));
      ranks.finish();
    };
    verify(all, "cudaMalloc");
    verify(add(std::move(all.split(colors_of_all(all), keys_in_order(all)).at(0)),
               usual_bytes(devices), Memory::nccl),
           "ncclMemAlloc");
  });
}

TEST_F(Collectives, WindowsAreUsedRightly) {
  claim(
      "Collectives are right on buffers that all ranks registered as windows at the same offsets, "
      "and after these were deregistered",
      "NCCL: User Buffer Registration (Window Registration), ncclCommWindowRegister (2.27), "
      "NCCL_WIN_COLL_SYMMETRIC");
  const CudaInventory& devices = require(Devices{2});
  if (newer_nccl_function<void()>("ncclCommWindowRegister") == nullptr) {
    skip("this NCCL has no ncclCommWindowRegister");
  }
  // With NVLS, NCCL binds windows to multicast objects, which nothing here asks for.
  const char* const nvls = std::getenv("NCCL_NVLS_ENABLE");
  if (nvls == nullptr || std::string_view(nvls) != "0") {
    skip("NCCL_NVLS_ENABLE is not 0: windows could take NVLink multicast");
  }
  guarded({"communicator", "all GPUs"}, [&] {
    Ranks& all = all_ranks(devices);
    Ranks& ranks = add(std::move(all.split(colors_of_all(all), keys_in_order(all)).at(0)),
                       usual_bytes(devices), Memory::nccl);
    ranks.issue([](Participant& one, ncclComm_t to) { return one.register_windows(to); },
                "ncclCommWindowRegister");
    verify_subset(ranks, usual_bytes(devices));
    ranks.finish();
    ranks.for_each([&](Participant& one, int local) {
      ranks.demand(CONFORMANCE_CALL(one.deregister_windows(ranks.clique().communicator(local))),
                   "ncclCommWindowDeregister");
    });
    verify_subset(ranks, usual_bytes(devices));
    ranks.finish();
  });
}

/// One call with a mistake, and what it must answer.
struct Mistake {
  std::string call;
  ncclResult_t wanted;
  std::function<ncclResult_t()> make;
};

TEST_F(Collectives, MistakesHaveTheirCodesAndDoNoHarm) {
  claim(
      "A call with an invalid argument answers ncclInvalidArgument, one at the wrong time or with "
      "a GPU named twice ncclInvalidUsage; a communicator that blocks goes on after it",
      "NCCL: ncclResult_t, Error codes, and the pages of the functions");
  const CudaInventory& devices = require(Devices{1});
  const CudaDevice& gpu = devices.front();
  guarded(gpu.subject(), [&] {
    // One that does not block keeps an error for good, so this one does; by itself it waits for
    // nobody.
    NcclClique clique;
    const Status opened = clique.open_all_at_once({gpu}, kSetUpDeadline);
    if (!opened.ok()) {
      const Finding finding = nccl_finding(opened, clique, gpu.subject(), "setting up one rank");
      if (is_deadline_exceeded(opened)) Session::current().abandon(finding);
      fail_and_end(finding);
    }
    Ranks& alone = add(std::move(clique), usual_bytes(devices));
    ncclComm_t const one = alone.clique().communicator(0);
    cudaStream_t const stream = alone.clique().stream(0).get();
    const DeviceBuffer<float> memory(64);
    float* const data = memory.data();
    float scalar = 2;
    ncclRedOp_t destroyed = ncclSum;
    alone.demand(CONFORMANCE_CALL(ncclRedOpCreatePreMulSum(&destroyed, &scalar, ncclFloat,
                                                           ncclScalarHostImmediate, one)),
                 "ncclRedOpCreatePreMulSum");
    alone.demand(CONFORMANCE_CALL(ncclRedOpDestroy(destroyed, one)), "ncclRedOpDestroy");

    ncclComm_t other = nullptr;
    int answer = 0;
    const int twice[] = {gpu.ordinal, gpu.ordinal};
    ncclComm_t others[2] = {};
    constexpr auto kNoType = ncclNumTypes;
    const std::vector<Mistake> mistakes{
        {"ncclAllReduce without a communicator", ncclInvalidArgument,
         [&] { return ncclAllReduce(data, data, 1, ncclFloat, ncclSum, nullptr, stream); }},
        {"ncclAllReduce of a type that is none", ncclInvalidArgument,
         [&] { return ncclAllReduce(data, data, 1, kNoType, ncclSum, one, stream); }},
        {"ncclAllReduce with an operation that was destroyed", ncclInvalidArgument,
         [&] { return ncclAllReduce(data, data, 1, ncclFloat, destroyed, one, stream); }},
        {"ncclAllReduce with an operation that was never made", ncclInvalidArgument,
         [&] { return ncclAllReduce(data, data, 1, ncclFloat, ncclMaxRedOp, one, stream); }},
        {"ncclReduce to a root that is no rank", ncclInvalidArgument,
         [&] { return ncclReduce(data, data, 1, ncclFloat, ncclSum, 1, one, stream); }},
        {"ncclBroadcast from a negative root", ncclInvalidArgument,
         [&] { return ncclBroadcast(data, data, 1, ncclFloat, -1, one, stream); }},
        {"ncclReduceScatter of a type that is none", ncclInvalidArgument,
         [&] { return ncclReduceScatter(data, data, 1, kNoType, ncclSum, one, stream); }},
        {"ncclAllGather of a type that is none", ncclInvalidArgument,
         [&] { return ncclAllGather(data, data, 1, kNoType, one, stream); }},
        {"ncclSend to a peer that is no rank", ncclInvalidArgument,
         [&] { return ncclSend(data, 1, ncclFloat, 1, one, stream); }},
        {"ncclRecv from a peer that is no rank", ncclInvalidArgument,
         [&] { return ncclRecv(data, 1, ncclFloat, 1, one, stream); }},
        {"ncclRedOpDestroy of a built-in operation", ncclInvalidArgument,
         [&] { return ncclRedOpDestroy(ncclSum, one); }},
        {"ncclRedOpDestroy of an operation that was destroyed", ncclInvalidArgument,
         [&] { return ncclRedOpDestroy(destroyed, one); }},
        {"ncclCommCount without a place for the answer", ncclInvalidArgument,
         [&] { return ncclCommCount(one, nullptr); }},
        {"ncclCommCount without a communicator", ncclInvalidArgument,
         [&] { return ncclCommCount(nullptr, &answer); }},
        {"ncclCommUserRank without a place for the answer", ncclInvalidArgument,
         [&] { return ncclCommUserRank(one, nullptr); }},
        {"ncclCommCuDevice without a place for the answer", ncclInvalidArgument,
         [&] { return ncclCommCuDevice(one, nullptr); }},
        {"ncclGetVersion without a place for the answer", ncclInvalidArgument,
         [] { return ncclGetVersion(nullptr); }},
        {"ncclGetUniqueId without a place for the answer", ncclInvalidArgument,
         [] { return ncclGetUniqueId(nullptr); }},
        {"ncclCommInitRank with a rank as great as the number of ranks", ncclInvalidArgument,
         [&] { return ncclCommInitRank(&other, 1, {}, 1); }},
        {"ncclCommInitAll with a GPU named twice", ncclInvalidUsage,
         [&] { return ncclCommInitAll(others, 2, twice); }},
        {"ncclGroupEnd without a group", ncclInvalidUsage, [] { return ncclGroupEnd(); }}};
    for (const Mistake& mistake : mistakes) {
      const ncclResult_t found = mistake.make();
      const Status wanted = to_status(mistake.wanted, mistake.call);
      expect(found == mistake.wanted,
             Finding(wrong_status, gpu.subject(),
                     fmt::format("{} answers {} instead of {}", mistake.call,
                                 to_status(found, mistake.call).name(), wanted.name()),
                     {{"call", mistake.call},
                      {"wanted", std::int64_t{mistake.wanted}},
                      {"found", std::int64_t{found}}}));
      verified(1, "answers");
    }
    verify_subset(alone, usual_bytes(devices));
    alone.finish();
  });
}

TEST_F(Collectives, TwoRanksOnOneGpuAreRefused) {
  claim("A communicator with two ranks on one GPU is refused with ncclInvalidUsage",
        "NCCL: Creating a Communicator (each rank has a CUDA device of its own)");
  const CudaInventory& devices = require(Devices{1});
  const CudaDevice& gpu = devices.front();
  guarded(gpu.subject(), [&] {
    NcclClique clique;
    const Status status = clique.open({gpu, gpu}, kSetUpDeadline);
    clique.abort();
    verified(1, "answers");
    if (is_deadline_exceeded(status)) {
      Session::current().abandon(
          nccl_finding(status, clique, gpu.subject(), "setting up two ranks on one GPU"));
    }
    if (status.ok() && nccl_environment().find("NCCL_MULTI_RANK_GPU_ENABLE") != std::string::npos) {
      skip("NCCL_MULTI_RANK_GPU_ENABLE is set");
    }
    expect(status.api() == "nccl" && status.code() == ncclInvalidUsage,
           Finding(wrong_status, gpu.subject(),
                   fmt::format("two ranks on one GPU: {} instead of ncclInvalidUsage",
                               status.ok() ? "a communicator" : status.describe()),
                   {{"call", "ncclCommInitRankConfig"},
                    {"wanted", std::int64_t{ncclInvalidUsage}},
                    {"found", std::int64_t{status.code()}},
                    {"environment", nccl_environment()}}));
  });
}

}  // namespace
}  // namespace conformance::nccl
