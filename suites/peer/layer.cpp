#include <array>

#include "fixtures/session.h"
#include "suites/peer/findings.h"
#include "suites/peer/shared_memory.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{
      &peer::query_wrong,     &peer::access_asymmetric, &peer::enable_refused,
      &peer::wrong_error,     &peer::copy_wrong,        &peer::store_lost,
      &peer::load_wrong,      &peer::stale_load,        &peer::atomic_wrong,
      &peer::order_wrong,     &peer::ipc_refused,       &peer::ipc_wrong,
      &peer::attribute_wrong, &peer::access_lost,       &peer::slow,
      &peer::slow_both_ways,  &peer::latency_high,      &peer::fabric_slow};
  static constexpr std::array children{
      ChildTask{"answer-in-shared-memory", peer::answer_in_shared_memory},
      ChildTask{"map-exported-memory", peer::map_exported_memory}};
  return {"peer", findings, children};
}

}  // namespace conformance
