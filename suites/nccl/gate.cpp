#include <fmt/format.h>

#include "fixtures/gpu_test.h"
#include "fixtures/version.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {
namespace {

class Gate : public GpuTest {};

TEST_F(Gate, TheLibraryFitsTheHeadersItWasBuiltWith) {
  claim("The NCCL in use has the major version of the headers and is no older than they are",
        "NCCL: ncclGetVersion, NCCL_VERSION_CODE");
  guarded(host_subject(), [] {
    int number = 0;
    ensure(CONFORMANCE_CALL(ncclGetVersion(&number)));
    const LibraryVersion headers{NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH};
    const LibraryVersion library = parse_nccl_version(number).value_or(LibraryVersion{});
    fact("nccl.version", library.text());
    fact("nccl.environment", nccl_environment());
    expect(library.major == headers.major && library >= headers,
           Finding(version_mismatch, host_subject(),
                   fmt::format("the library says {}, which is {}; the headers are {}", number,
                               library.text(), headers.text()),
                   {{"library", library.text()}, {"headers", headers.text()}}));
    verified(1, "versions");
  });
}

TEST_F(Gate, ACommunicatorOverAllGpusComesUp) {
  claim("A communicator over all GPUs comes up, and each rank has its size, number and GPU",
        "NCCL: ncclCommInitRankConfig, ncclCommCount, ncclCommUserRank, ncclCommCuDevice");
  const CudaInventory& devices = require(Devices{1});
  const Subject all{"communicator", "all GPUs"};
  guarded(all, [&] {
    Ranks ranks(devices, 4096);
    const NcclClique& clique = ranks.clique();
    for (int rank = 0; rank < clique.size(); ++rank) {
      int count = -1;
      int number = -1;
      int device = -1;
      ensure(CONFORMANCE_CALL(ncclCommCount(clique.communicator(rank), &count)));
      ensure(CONFORMANCE_CALL(ncclCommUserRank(clique.communicator(rank), &number)));
      ensure(CONFORMANCE_CALL(ncclCommCuDevice(clique.communicator(rank), &device)));
      const CudaDevice& own = clique.device(rank);
      expect(count == clique.size() && number == rank && device == own.ordinal,
             Finding(wrong_communicator, own.subject(),
                     fmt::format("rank {} of {} on GPU {} says that it is rank {} of {} on GPU {}",
                                 rank, clique.size(), own.ordinal, number, count, device),
                     {{"rank", std::int64_t{number}},
                      {"ranks", std::int64_t{count}},
                      {"device", std::int64_t{device}}}));
      verified(1, "ranks");
    }
  });
}

}  // namespace
}  // namespace conformance::nccl
