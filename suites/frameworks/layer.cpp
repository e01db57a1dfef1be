#include <array>

#include "fixtures/session.h"
#include "suites/frameworks/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{&frameworks::python_unusable,
                                       &frameworks::import_failed,
                                       &frameworks::library_not_loadable,
                                       &frameworks::foreign_library,
                                       &frameworks::cpu_only_build,
                                       &frameworks::driver_too_old,
                                       &frameworks::gpus_hidden,
                                       &frameworks::gpus_missing,
                                       &frameworks::other_order,
                                       &frameworks::architecture_missing,
                                       &frameworks::mixed_libraries,
                                       &frameworks::wrong_product,
                                       &frameworks::wrong_sum,
                                       &frameworks::call_failed,
                                       &frameworks::no_answer};
  return {"frameworks", findings};
}

}  // namespace conformance
