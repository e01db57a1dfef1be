#include <array>

#include "fixtures/session.h"
#include "suites/nccl/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array<const FindingKind*, 11> findings{
      &nccl::version_mismatch, &nccl::wrong_communicator, &nccl::deadline_exceeded,
      &nccl::duplicate_gpu,    &nccl::shared_memory_full, &nccl::not_supported,
      &nccl::foreign_plugin,   &nccl::call_failed,        &nccl::wrong_element,
      &nccl::input_changed,    &nccl::wrote_outside};
  return {"nccl", findings};
}

}  // namespace conformance
