#include <array>

#include "fixtures/session.h"
#include "suites/memory/children.h"
#include "suites/memory/findings.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{
      &memory::wrong_word,        &memory::memory_info_wrong, &memory::host_copy_wrong,
      &memory::device_copy_wrong, &memory::memset_wrong,      &memory::stray_write,
      &memory::pool_block_wrong,  &memory::slow_memory,       &memory::slow_host_link,
      &memory::mapping_wrong,     &memory::access_wrong,      &memory::memory_not_returned,
      &memory::child_failed};
  static constexpr std::array children{ChildTask{"touch-mapping", memory::touch_mapping}};
  return {"memory", findings, children};
}

}  // namespace conformance
