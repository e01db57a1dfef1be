#include <array>

#include "fixtures/session.h"
#include "suites/environment/findings.h"
#include "suites/environment/library_version.h"
#include "suites/environment/open_library.h"

namespace conformance {

Layer this_layer() {
  using namespace environment;
  static constexpr std::array findings{
      &cuda_path_unset,      &cuda_path_unusable,  &compiler_missing,
      &header_missing,       &library_missing,     &library_unusable,
      &libraries_mixed,      &outside_store,       &version_mismatch,
      &version_unreadable,   &built_for_another,   &host_compiler_unsupported,
      &compiler_failed,      &not_found_by_loader, &loaded_from_elsewhere,
      &foreign_libc,         &driver_link_missing, &driver_link_dangling,
      &driver_link_wrong,    &driver_link_stub,    &stub_on_library_path,
      &nccl_plugin_unusable,
  };
  static constexpr std::array tasks{ChildTask{kLibraryVersionTask, print_library_version},
                                    ChildTask{kOpenLibraryTask, print_opened_library}};
  return {"environment", findings, tasks};
}

}  // namespace conformance
