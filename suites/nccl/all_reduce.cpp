#include <algorithm>
#include <array>

#include "fixtures/gpu_test.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {
namespace {

class AllReduce : public GpuTest {};

// One test, because setting the communicators up takes longer than all of the sums.
TEST_F(AllReduce, EveryElementOnEveryRankIsTheExactSum) {
  claim(
      "ncclAllReduce leaves the sum over all ranks in every element of every rank, in place and "
      "out "
      "of place, and changes nothing else",
      "NCCL: ncclAllReduce, In-place Operations");
  const CudaInventory& devices = require(Devices{1});
  const Subject all{"communicator", "all GPUs"};
  guarded(all, [&] {
    const std::size_t most = scaled_count(std::size_t{512} << 20, devices);
    Ranks ranks(devices, most);
    const std::array<std::size_t, 6> counts{
        0,        1,   std::min<std::size_t>(1023, most), std::min<std::size_t>(1000003, most - 1),
        most - 3, most};
    for (const std::size_t count : counts) {
      for (const bool in_place : {false, true}) {
        ranks.prepare(count, in_place);
        ranks.all_reduce(count, in_place);
        ranks.wait(count);
        ranks.verify(count, in_place);
      }
    }
  });
}

}  // namespace
}  // namespace conformance::nccl
