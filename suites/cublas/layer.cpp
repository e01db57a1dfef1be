#include <array>

#include "fixtures/session.h"
#include "suites/cublas/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{&cublas::not_initialized,  &cublas::call_failed,
                                       &cublas::version_mismatch, &cublas::wrong_element,
                                       &cublas::wrong_status,     &cublas::out_of_order,
                                       &cublas::wrote_outside,    &cublas::results_differ,
                                       &cublas::premise_broken,   &cublas::slow,
                                       &cublas::power_capped,     &cublas::thermally_slowed};
  return {"cublas", findings};
}

}  // namespace conformance
