#include "suites/nccl/sums.h"

#include <fmt/format.h>

#include "fixtures/test.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

Sums::Sums(NcclClique& clique, std::size_t most) : clique_(clique) {
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    const std::size_t bytes =
        Participant::footprint({.count = most}, clique_.rank(index), clique_.ranks());
    parts_.push_back(std::make_unique<Participant>(clique_.rank(index), clique_.ranks(), bytes,
                                                   clique_.stream(index)));
  }
}

Status Sums::launch(std::size_t count) {
  sum_ = {.count = count, .seed = kernels::mix(Session::current().settings().seed) + ++launched_};
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    part(index).prepare(sum_);
  }
  return clique_.issue(
      [&](int index) { return part(index).launch(sum_, clique_.communicator(index)); }, kDeadline);
}

Status Sums::wait(std::chrono::milliseconds deadline) { return clique_.wait(deadline); }

bool Sums::verify(const std::string& how) {
  bool good = true;
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    part(index).check(sum_);
    for (const Checked& checked : part(index).take()) {
      for (Finding& finding :
           judge(checked, clique_.rank(index), clique_.ranks(), clique_.device(index).subject())) {
        finding.detail = fmt::format("{}: {}", how, finding.detail);
        finding.evidence.add("start", how);
        fail(finding);
        good = false;
      }
      verified(checked.elements, "elements");
    }
  }
  return good;
}

Participant& Sums::part(int index) { return *parts_[static_cast<std::size_t>(index)]; }

void Sums::use(int index) const {
  ensure(CONFORMANCE_CALL(cudaSetDevice(clique_.device(index).ordinal)));
}

}  // namespace conformance::nccl
