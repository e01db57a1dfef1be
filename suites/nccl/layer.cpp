#include <array>

#include "fixtures/session.h"
#include "suites/nccl/findings.h"
#include "suites/nccl/steps.h"
#include "suites/nccl/transports.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{&nccl::version_mismatch,
                                       &nccl::wrong_communicator,
                                       &nccl::deadline_exceeded,
                                       &nccl::duplicate_gpu,
                                       &nccl::shared_memory_full,
                                       &nccl::not_supported,
                                       &nccl::foreign_plugin,
                                       &nccl::call_failed,
                                       &nccl::wrong_element,
                                       &nccl::input_changed,
                                       &nccl::wrote_outside,
                                       &nccl::rank_died,
                                       &nccl::ranks_missing,
                                       &nccl::wrong_wait,
                                       &nccl::abort_failed,
                                       &nccl::nothing_offered,
                                       &nccl::not_repeatable,
                                       &nccl::wrong_status,
                                       &nccl::slow,
                                       &nccl::one_rank_tail_lost};
  static constexpr std::array children{ChildTask{"be-a-rank", nccl::be_a_rank},
                                       ChildTask{"connect-all", nccl::connect_all}};
  return {"nccl", findings, children};
}

}  // namespace conformance
