#include <array>

#include "fixtures/session.h"
#include "suites/memory/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{&memory::wrong_word,      &memory::memory_info_wrong,
                                       &memory::host_copy_wrong, &memory::device_copy_wrong,
                                       &memory::memset_wrong,    &memory::stray_write};
  return {"memory", findings};
}

}  // namespace conformance
