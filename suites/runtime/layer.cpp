#include <array>

#include "fixtures/session.h"
#include "suites/runtime/children.h"
#include "suites/runtime/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{
      &runtime::hidden_by_variable,     &runtime::version_unsupported,
      &runtime::header_mismatch,        &runtime::incompatible_code,
      &runtime::wrong_coordinates,      &runtime::wrong_shared_memory,
      &runtime::wrong_argument,         &runtime::wrong_arithmetic,
      &runtime::wrong_atomics,          &runtime::limit_not_kept,
      &runtime::wrong_memory,           &runtime::wrong_memory_kind,
      &runtime::wrong_memory_count,     &runtime::wrong_order,
      &runtime::wrong_stream_attribute, &runtime::nvrtc_failed,
      &runtime::wrong_compiled_code,    &runtime::wrong_cooperation,
      &runtime::wrong_bulk_copy,        &runtime::wrong_graph,
      &runtime::wrong_error_code,       &runtime::wrong_error_state,
      &runtime::context_not_isolated,   &runtime::child_failed};
  static constexpr std::array children{ChildTask{"count-devices", runtime::count_devices},
                                       ChildTask{"illegal-store", runtime::illegal_store},
                                       ChildTask{"fail-assert", runtime::fail_assert},
                                       ChildTask{"trap", runtime::trap}};
  return {"runtime", findings, children};
}

}  // namespace conformance
