#include <array>

#include "fixtures/session.h"
#include "suites/devices/findings.h"
#include "suites/devices/list_devices.h"

namespace conformance {

Layer this_layer() {
  static constexpr std::array findings{&devices::implausible_properties,
                                       &devices::duplicate,
                                       &devices::nvml_unavailable,
                                       &devices::driver_unavailable,
                                       &devices::nvml_call_failed,
                                       &devices::gpu_is_lost,
                                       &devices::missing_from_nvml,
                                       &devices::not_driven,
                                       &devices::missing_from_cuda,
                                       &devices::apis_disagree,
                                       &devices::unknown_to_nvml,
                                       &devices::mig_count,
                                       &devices::list_cut,
                                       &devices::wrong_visibility,
                                       &devices::child_failed,
                                       &devices::compute_mode,
                                       &devices::ecc_errors,
                                       &devices::repair_pending,
                                       &devices::repair_failed,
                                       &devices::unsupported_by_driver,
                                       &devices::start_failed,
                                       &devices::xid_lost,
                                       &devices::xid_memory,
                                       &devices::xid_nvlink,
                                       &devices::xid_firmware,
                                       &devices::xid_stopped,
                                       &devices::recovery_due,
                                       &devices::clocks_held_down,
                                       &devices::pcie_degraded,
                                       &devices::nvlink_down,
                                       &devices::nvlink_errors,
                                       &devices::fabric_not_ready,
                                       &devices::fabric_unhealthy,
                                       &devices::stale_container_specs,
                                       &devices::capability_node_wrong};
  static constexpr std::array children{ChildTask{"list-devices", devices::list_devices}};
  return {"devices", findings, children};
}

}  // namespace conformance
