#include <array>

#include "fixtures/session.h"
#include "suites/memory/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array<const FindingKind*, 1> findings{&memory::wrong_word};
  return {"memory", findings};
}

}  // namespace conformance
