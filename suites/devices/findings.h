#pragma once

#include "fixtures/finding.h"

namespace conformance::devices {

inline constexpr FindingKind implausible_properties{
    "devices.implausible-properties", Severity::driver, "A GPU's own description cannot be true.",
    "Check the kernel log for Xid messages of that GPU; reinstall the driver if there are none."};
inline constexpr FindingKind duplicate{
    "devices.duplicate", Severity::driver, "Two GPUs answer with the same identity.",
    "Check the kernel log; in a virtual machine check the host's device assignment."};
inline constexpr FindingKind nvml_unavailable{
    "devices.nvml-unavailable", Severity::driver,
    "NVML, the library behind nvidia-smi, does not work beside CUDA.",
    "Run nvidia-smi and look at the driver layer's findings: most often libnvidia-ml.so.1 is "
    "missing "
    "beside libcuda.so.1, or of another version than the kernel module."};
inline constexpr FindingKind driver_unavailable{
    "devices.driver-api-unavailable", Severity::driver,
    "The CUDA driver API does not answer although the runtime, which stands on it, does.",
    "Check with ldd and LD_LIBRARY_PATH that one libcuda.so.1 only can be found."};
inline constexpr FindingKind nvml_call_failed{
    "devices.nvml-call-failed", Severity::driver, "NVML cannot say what it must know about a GPU.",
    "Run `nvidia-smi -q` and check the kernel log for Xid messages of that GPU."};
inline constexpr FindingKind gpu_is_lost{
    "devices.gpu-is-lost", Severity::hardware,
    "The driver lost a GPU: it fell off the bus, or must be reset before it can be used.",
    "Check the kernel log for Xid 79 and others; reboot, and check power, seating and firmware if "
    "it returns."};
inline constexpr FindingKind missing_from_nvml{
    "devices.lost-gpu", Severity::driver,
    "The host has a GPU that the driver's libraries do not show.",
    "Check the kernel log for that bus address: the GPU may have failed to initialise (Xid, GSP "
    "firmware), or this driver branch no longer supports it."};
inline constexpr FindingKind not_driven{
    "devices.not-driven", Severity::driver,
    "The host has an NVIDIA GPU that NVIDIA's driver does not drive.",
    "Check the kernel log: the driver branch may have dropped that GPU, or another driver "
    "(nouveau) holds it."};
inline constexpr FindingKind missing_from_cuda{
    "devices.missing-from-cuda", Severity::driver,
    "NVML shows a GPU that CUDA does not show, though no variable hides it.",
    "Check the permissions of its device node, its compute mode, and whether the CUDA release "
    "still supports its architecture."};
inline constexpr FindingKind apis_disagree{
    "devices.apis-disagree", Severity::driver, "Two interfaces describe the same GPU differently.",
    "Check that libcuda.so.1, libcudart and libnvidia-ml.so.1 are of one driver and one toolkit; "
    "look at the environment and driver layers' findings."};
inline constexpr FindingKind unknown_to_nvml{
    "devices.unknown-to-nvml", Severity::driver, "CUDA shows a GPU whose UUID NVML does not know.",
    "Check that libnvidia-ml.so.1 and libcuda.so.1 are of the same driver."};
inline constexpr FindingKind mig_count{
    "devices.mig-count", Severity::config,
    "MIG is on, but the process does not see exactly one instance.",
    "Create an instance, and name it in CUDA_VISIBLE_DEVICES: `nvidia-smi -L` lists them."};
inline constexpr FindingKind list_cut{
    "devices.list-cut", Severity::config,
    "CUDA_VISIBLE_DEVICES names more GPUs than the process sees: the list ends at its first "
    "invalid "
    "entry.",
    "Correct the entry that is named; indices must exist, UUIDs must be as `nvidia-smi -L` prints "
    "them."};
inline constexpr FindingKind wrong_visibility{
    "devices.wrong-visibility", Severity::driver,
    "CUDA_VISIBLE_DEVICES does not select the GPUs that it is documented to select.",
    "Check that nothing is preloaded over libcuda.so.1; reinstall the driver."};
inline constexpr FindingKind child_failed{
    "devices.child-failed", Severity::suite,
    "A process that the suite started to list its GPUs did not answer.",
    "Read the output that is quoted; a process that cannot start here points at resource limits."};
inline constexpr FindingKind compute_mode{
    "devices.compute-mode", Severity::config,
    "A GPU's compute mode keeps processes away: it is prohibited, or exclusive to one process.",
    "Set the default mode with `nvidia-smi -c 0`, unless the restriction is meant."};
inline constexpr FindingKind ecc_errors{
    "devices.ecc-errors", Severity::hardware,
    "A GPU has met uncorrectable memory errors since the driver was loaded.",
    "Check `nvidia-smi -q -d ECC,ROW_REMAPPER`; reset the GPU, and replace it if errors return."};
inline constexpr FindingKind repair_pending{
    "devices.repair-pending", Severity::hardware,
    "A GPU has a memory row to remap or a page to retire, which waits for a reset.",
    "Drain the GPU and reset it with `nvidia-smi --gpu-reset`, or reboot."};
inline constexpr FindingKind repair_failed{"devices.repair-failed", Severity::hardware,
                                           "A GPU could not remap a failing memory row.",
                                           "Take the GPU out of service and have it replaced."};
inline constexpr FindingKind unsupported_by_driver{
    "devices.unsupported-by-driver", Severity::driver,
    "The kernel log says that the installed driver does not support a GPU of the host: an upgrade "
    "may have dropped its architecture, or the open kernel module cannot drive it.",
    "Install the driver branch that supports the GPU (NVIDIA's list of supported and legacy "
    "products), or the other flavour of the kernel module."};
inline constexpr FindingKind start_failed{
    "devices.start-failed", Severity::driver,
    "The kernel log says that a GPU did not start: its initialisation or its firmware (GSP) "
    "failed.",
    "Power-cycle the host; check that the GSP firmware of this driver's version is installed; look "
    "at the log's lines before the one quoted."};
inline constexpr FindingKind xid_lost{
    "devices.xid-lost-gpu", Severity::hardware,
    "The kernel log says that a GPU fell off the bus since the driver was loaded (Xid 79).",
    "Power-cycle the host; check power, seating, cables and the PCIe errors in the kernel log."};
inline constexpr FindingKind xid_memory{
    "devices.xid-memory", Severity::hardware,
    "The kernel log holds an uncorrectable memory error of a GPU since the driver was loaded (Xid "
    "48, 64, 95, 140).",
    "Drain and reset the GPU; have it replaced if errors return or remapping fails."};
inline constexpr FindingKind xid_nvlink{
    "devices.xid-nvlink", Severity::hardware,
    "The kernel log holds an NVLink error since the driver was loaded (Xid 74, 144 to 150).",
    "Look at `nvidia-smi nvlink -e` and at the other end of the link; reset its GPUs, and have "
    "GPU, switch or cabling looked at if errors return."};
inline constexpr FindingKind xid_firmware{
    "devices.xid-firmware", Severity::driver,
    "The kernel log says that a processor inside a GPU stopped answering since the driver was "
    "loaded (Xid 62, 119, 120, 143).",
    "Reset the GPU or power-cycle the host; if it happens again, update driver and firmware."};
inline constexpr FindingKind xid_stopped{
    "devices.xid-stopped", Severity::driver,
    "The kernel log says that a GPU stopped processing since the driver was loaded (Xid 46, 109).",
    "Reset the GPU; if it happens again, update the driver and have the hardware looked at."};
inline constexpr FindingKind recovery_due{
    "devices.recovery-due", Severity::hardware,
    "The driver asks for a GPU to be reset, drained, or the host to be rebooted.",
    "Do what the driver asks for; `nvidia-smi -q` names it as \"GPU Recovery Action\"."};
inline constexpr FindingKind clocks_held_down{
    "devices.clocks-held-down", Severity::hardware,
    "Heat or the power supply holds a GPU's clocks down while it has little to do.",
    "Check cooling, power cables and power supplies; look at `nvidia-smi -q -d "
    "PERFORMANCE,TEMPERATURE,POWER`."};
inline constexpr FindingKind pcie_degraded{
    "devices.pcie-degraded", Severity::hardware,
    "A GPU's PCIe link stays below what GPU and slot can do, even while data moves over it.",
    "Reseat the GPU or its riser, check the slot's settings in the firmware, and look for PCIe "
    "errors in the kernel log."};
inline constexpr FindingKind nvlink_down{
    "devices.nvlink-down", Severity::hardware,
    "A GPU has fewer active NVLinks to the switches than its like on this host.",
    "Look at `nvidia-smi nvlink -s` and for Xid 74 and SXid in the kernel log; reset the GPU, and "
    "have GPU, switch or cabling looked at if it stays."};
inline constexpr FindingKind nvlink_errors{
    "devices.nvlink-errors", Severity::hardware,
    "An NVLink had to be recovered from errors since the driver was loaded.",
    "Look at `nvidia-smi nvlink -e`; reset the GPUs of that link, and have GPU, switch or cabling "
    "looked at if errors return."};
inline constexpr FindingKind fabric_not_ready{
    "devices.fabric-not-ready", Severity::infrastructure,
    "A GPU of an NVSwitch system has not joined its fabric.",
    "Check that nvidia-fabricmanager runs and is of the driver's version, and look at its log."};
inline constexpr FindingKind fabric_unhealthy{
    "devices.fabric-unhealthy", Severity::infrastructure,
    "The driver says that the NVLink fabric of a GPU is degraded or wrongly configured.",
    "Look at `nvidia-smi -q` under \"Fabric\" and at the logs of nvidia-fabricmanager."};
inline constexpr FindingKind capability_node_wrong{
    "devices.capability-node-wrong", Severity::config,
    "A device node by which the driver grants a right, such as the use of a MIG instance, is "
    "missing, closed to this process, or left over from another start of the driver.",
    "Run `nvidia-modprobe -f /proc/driver/nvidia/capabilities/<the capability>` or nvidia-smi as "
    "root, and delete nodes with other numbers; start containers again with the instance named."};
inline constexpr FindingKind stale_container_specs{
    "devices.stale-container-specs", Severity::config,
    "Containers are given files or device nodes that no longer exist: the driver was changed after "
    "their device specification was made.",
    "Make it anew with `nvidia-ctk cdi generate --output=<the file named>`, or start "
    "nvidia-cdi-refresh."};

}  // namespace conformance::devices
