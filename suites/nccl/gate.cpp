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
    ranks.check_identities();
  });
}

}  // namespace
}  // namespace conformance::nccl
