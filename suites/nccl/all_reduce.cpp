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
      "out of place, and changes nothing else",
      "NCCL: ncclAllReduce, In-place Operations");
  const CudaInventory& devices = require(Devices{1});
  guarded({"communicator", "all GPUs"}, [&] {
    const std::size_t bytes = scaled_to(std::size_t{512} << 20, devices);
    Ranks ranks(devices, bytes);
    Case sum{.collective = &kAllReduce};
    const std::size_t most = Participant::greatest_count(sum, bytes, ranks.count());
    const std::array<std::size_t, 6> counts{
        0,        1,   std::min<std::size_t>(1023, most), std::min<std::size_t>(1000003, most - 1),
        most - 3, most};
    for (const std::size_t count : counts) {
      for (const bool in_place : {false, true}) {
        sum.count = count;
        sum.in_place = in_place;
        ranks.run(sum);
      }
    }
    ranks.finish();
  });
}

}  // namespace
}  // namespace conformance::nccl
