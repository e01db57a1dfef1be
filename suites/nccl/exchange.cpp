#include "suites/nccl/exchange.h"

#include <fmt/format.h>

#include "fixtures/test.h"
#include "suites/nccl/ranks.h"

namespace conformance::nccl {

Exchange::Exchange(NcclClique& clique, std::size_t bytes) : clique_(clique) {
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    parts_.push_back(std::make_unique<Participant>(clique_.rank(index), clique_.ranks(), bytes,
                                                   clique_.stream(index)));
  }
}

Status Exchange::launch(Case what) {
  what.seed = kernels::mix(Session::current().settings().seed) + ++launched_;
  last_ = what;
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    part(index).prepare(last_);
  }
  return clique_.issue(
      [&](int index) { return part(index).launch(last_, clique_.communicator(index)); }, kDeadline);
}

Status Exchange::wait(std::chrono::milliseconds deadline) { return clique_.wait(deadline); }

bool Exchange::verify(const std::string& how) {
  bool good = true;
  for (int index = 0; index < clique_.size(); ++index) {
    use(index);
    part(index).check(last_);
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

Participant& Exchange::part(int index) { return *parts_[static_cast<std::size_t>(index)]; }

void Exchange::use(int index) const {
  ensure(CONFORMANCE_CALL(cudaSetDevice(clique_.device(index).ordinal)));
}

}  // namespace conformance::nccl
