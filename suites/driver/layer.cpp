#include <array>

#include "fixtures/session.h"
#include "suites/driver/children.h"
#include "suites/driver/findings.h"

namespace conformance {

Layer this_layer() {
  using namespace driver;
  static constexpr std::array findings{
      &not_found,           &wrong_architecture,
      &unloadable,          &stub_loaded,
      &not_a_driver,        &no_gpu,
      &module_not_loaded,   &module_rejected,
      &nouveau_loaded,      &nodes_missing,
      &node_denied,         &uvm_missing,
      &uvm_failed,          &no_device,
      &hidden_by_variable,  &unavailable,
      &invalid_device,      &os_call_failed,
      &system_not_ready,    &library_mismatch,
      &compat_unsupported,  &mps_failed,
      &unknown_error,       &init_failed,
      &version_mismatch,    &cuda_version_mismatch,
      &libraries_mixed,     &nvml_missing,
      &nvml_failed,         &jit_library_missing,
      &entry_point_missing, &entry_point_wrong,
      &error_text_wrong,    &context_wrong,
      &context_leak,        &ptx_rejected,
      &module_check_wrong,  &module_result_wrong,
      &toolkit_unsupported, &compat_hides_driver,
      &wrapper_mismatch,    &companion_missing,
      &library_twice,
  };
  static constexpr std::array children{ChildTask{"count-devices", count_devices},
                                       ChildTask{"load-libraries", load_libraries}};
  return {"driver", findings, children};
}

}  // namespace conformance
