#include <array>

#include "fixtures/session.h"
#include "suites/peer/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{
      &peer::query_wrong, &peer::access_asymmetric, &peer::enable_refused, &peer::wrong_error,
      &peer::copy_wrong,  &peer::store_lost,        &peer::load_wrong};
  return {"peer", findings};
}

}  // namespace conformance
