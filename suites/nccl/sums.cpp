#include "suites/nccl/sums.h"

#include <cstdint>

#include <fmt/format.h>

#include "fixtures/test.h"
#include "kernels/collective_check.h"
#include "suites/nccl/findings.h"

namespace conformance::nccl {
namespace {

std::uint64_t seed() { return Session::current().settings().seed; }

}  // namespace

Sums::Sums(NcclClique& clique, std::size_t most) : clique_(clique) {
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    const Stream& stream = clique_.stream(index);
    parts_.push_back({DeviceBuffer<float>(most), DeviceBuffer<float>::poisoned(most, stream.get()),
                      std::make_unique<DeviceResult<kernels::Mismatch>>(stream)});
  }
}

Status Sums::launch(std::size_t count) {
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    ensure(CONFORMANCE_CALL(kernels::fill_contribution(
        parts_[static_cast<std::size_t>(index)].input.data(), count,
        static_cast<unsigned>(clique_.rank(index)), seed(), clique_.stream(index).get())));
  }
  return clique_.issue(
      [&](int index) {
        const Part& part = parts_[static_cast<std::size_t>(index)];
        return ncclAllReduce(part.input.data(), part.output.data(), count, ncclFloat, ncclSum,
                             clique_.communicator(index), clique_.stream(index).get());
      },
      kDeadline);
}

Status Sums::wait(std::chrono::milliseconds deadline) { return clique_.wait(deadline); }

bool Sums::verify(std::size_t count, const std::string& how) {
  const auto ranks = static_cast<unsigned>(clique_.ranks());
  bool good = true;
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    Part& part = parts_[static_cast<std::size_t>(index)];
    const Subject subject = clique_.device(index).subject();
    ensure(CONFORMANCE_CALL(kernels::check_contributions(part.output.data(), count, 0, ranks,
                                                         seed(), part.mismatch->data(),
                                                         clique_.stream(index).get())));
    const kernels::Mismatch wrong = part.mismatch->take(subject);
    good = expect(wrong.count == 0,
                  Finding(wrong_element, subject,
                          fmt::format("{}: all-reduce of {} floats: {} elements of rank {} of {} "
                                      "are wrong, the first is {}",
                                      how, count, wrong.count, clique_.rank(index), ranks,
                                      wrong.first_index),
                          {{"start", how},
                           {"rank", std::int64_t{clique_.rank(index)}},
                           {"ranks", std::int64_t{clique_.ranks()}},
                           {"count", std::uint64_t{count}},
                           {"wrong_elements", std::uint64_t{wrong.count}},
                           {"offset", std::uint64_t{wrong.first_index}},
                           {"seed", seed()}})) &&
           good;
    verified(count, "elements");
  }
  return good;
}

void Sums::use(int index) const {
  ensure(CONFORMANCE_CALL(cudaSetDevice(clique_.device(index).ordinal)));
}

}  // namespace conformance::nccl
