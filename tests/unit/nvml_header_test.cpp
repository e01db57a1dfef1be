// Where NVIDIA's own nvml.h is at hand, the suite's declarations are held against it; the compiler
// does it.

#if __has_include(<nvml.h>)

#include <cstddef>

#include <nvml.h>

#include "fixtures/nvml_types.h"

namespace conformance::nvml {
namespace {

template <typename Enum>
constexpr bool same(Enum ours, long long theirs) {
  return static_cast<long long>(ours) == theirs;
}

static_assert(same(Return::success, NVML_SUCCESS) &&
              same(Return::uninitialized, NVML_ERROR_UNINITIALIZED) &&
              same(Return::invalid_argument, NVML_ERROR_INVALID_ARGUMENT) &&
              same(Return::not_supported, NVML_ERROR_NOT_SUPPORTED) &&
              same(Return::no_permission, NVML_ERROR_NO_PERMISSION) &&
              same(Return::already_initialized, NVML_ERROR_ALREADY_INITIALIZED) &&
              same(Return::not_found, NVML_ERROR_NOT_FOUND) &&
              same(Return::insufficient_size, NVML_ERROR_INSUFFICIENT_SIZE) &&
              same(Return::insufficient_power, NVML_ERROR_INSUFFICIENT_POWER) &&
              same(Return::driver_not_loaded, NVML_ERROR_DRIVER_NOT_LOADED) &&
              same(Return::timeout, NVML_ERROR_TIMEOUT) &&
              same(Return::irq_issue, NVML_ERROR_IRQ_ISSUE) &&
              same(Return::library_not_found, NVML_ERROR_LIBRARY_NOT_FOUND) &&
              same(Return::function_not_found, NVML_ERROR_FUNCTION_NOT_FOUND) &&
              same(Return::corrupted_inforom, NVML_ERROR_CORRUPTED_INFOROM) &&
              same(Return::gpu_is_lost, NVML_ERROR_GPU_IS_LOST) &&
              same(Return::reset_required, NVML_ERROR_RESET_REQUIRED) &&
              same(Return::operating_system, NVML_ERROR_OPERATING_SYSTEM) &&
              same(Return::lib_rm_version_mismatch, NVML_ERROR_LIB_RM_VERSION_MISMATCH) &&
              same(Return::in_use, NVML_ERROR_IN_USE) && same(Return::memory, NVML_ERROR_MEMORY) &&
              same(Return::no_data, NVML_ERROR_NO_DATA) &&
              same(Return::vgpu_ecc_not_supported, NVML_ERROR_VGPU_ECC_NOT_SUPPORTED) &&
              same(Return::insufficient_resources, NVML_ERROR_INSUFFICIENT_RESOURCES) &&
              same(Return::freq_not_supported, NVML_ERROR_FREQ_NOT_SUPPORTED) &&
              same(Return::argument_version_mismatch, NVML_ERROR_ARGUMENT_VERSION_MISMATCH) &&
              same(Return::deprecated, NVML_ERROR_DEPRECATED) &&
              same(Return::not_ready, NVML_ERROR_NOT_READY) &&
              same(Return::gpu_not_found, NVML_ERROR_GPU_NOT_FOUND) &&
              same(Return::invalid_state, NVML_ERROR_INVALID_STATE) &&
              same(Return::unknown, NVML_ERROR_UNKNOWN));

static_assert(sizeof(PciInfo) == sizeof(nvmlPciInfo_t) &&
              offsetof(PciInfo, domain) == offsetof(nvmlPciInfo_t, domain) &&
              offsetof(PciInfo, bus) == offsetof(nvmlPciInfo_t, bus) &&
              offsetof(PciInfo, device) == offsetof(nvmlPciInfo_t, device) &&
              offsetof(PciInfo, pci_device_id) == offsetof(nvmlPciInfo_t, pciDeviceId) &&
              offsetof(PciInfo, pci_sub_system_id) == offsetof(nvmlPciInfo_t, pciSubSystemId) &&
              offsetof(PciInfo, bus_id) == offsetof(nvmlPciInfo_t, busId));
static_assert(sizeof(Memory) == sizeof(nvmlMemory_t) &&
              offsetof(Memory, total) == offsetof(nvmlMemory_t, total) &&
              offsetof(Memory, free) == offsetof(nvmlMemory_t, free) &&
              offsetof(Memory, used) == offsetof(nvmlMemory_t, used));
static_assert(sizeof(ProcessInfo) == sizeof(nvmlProcessInfo_t) &&
              offsetof(ProcessInfo, pid) == offsetof(nvmlProcessInfo_t, pid) &&
              offsetof(ProcessInfo, used_gpu_memory) == offsetof(nvmlProcessInfo_t, usedGpuMemory));
static_assert(sizeof(GpuFabricInfo) == sizeof(nvmlGpuFabricInfo_t) &&
              offsetof(GpuFabricInfo, status) == offsetof(nvmlGpuFabricInfo_t, status) &&
              offsetof(GpuFabricInfo, clique_id) == offsetof(nvmlGpuFabricInfo_t, cliqueId) &&
              offsetof(GpuFabricInfo, state) == offsetof(nvmlGpuFabricInfo_t, state));
static_assert(fabric_not_supported == NVML_GPU_FABRIC_STATE_NOT_SUPPORTED &&
              fabric_not_started == NVML_GPU_FABRIC_STATE_NOT_STARTED &&
              fabric_in_progress == NVML_GPU_FABRIC_STATE_IN_PROGRESS &&
              fabric_completed == NVML_GPU_FABRIC_STATE_COMPLETED);
static_assert(sizeof(FieldValue) == sizeof(nvmlFieldValue_t) &&
              offsetof(FieldValue, field) == offsetof(nvmlFieldValue_t, fieldId) &&
              offsetof(FieldValue, scope) == offsetof(nvmlFieldValue_t, scopeId) &&
              offsetof(FieldValue, type) == offsetof(nvmlFieldValue_t, valueType) &&
              offsetof(FieldValue, status) == offsetof(nvmlFieldValue_t, nvmlReturn) &&
              offsetof(FieldValue, value) == offsetof(nvmlFieldValue_t, value));

static_assert(same(Enabled::no, NVML_FEATURE_DISABLED) && same(Enabled::yes, NVML_FEATURE_ENABLED));
static_assert(same(ComputeMode::standard, NVML_COMPUTEMODE_DEFAULT) &&
              same(ComputeMode::exclusive_thread, NVML_COMPUTEMODE_EXCLUSIVE_THREAD) &&
              same(ComputeMode::prohibited, NVML_COMPUTEMODE_PROHIBITED) &&
              same(ComputeMode::exclusive_process, NVML_COMPUTEMODE_EXCLUSIVE_PROCESS));
static_assert(same(MemoryError::corrected, NVML_MEMORY_ERROR_TYPE_CORRECTED) &&
              same(MemoryError::uncorrected, NVML_MEMORY_ERROR_TYPE_UNCORRECTED));
static_assert(same(EccCounter::since_start, NVML_VOLATILE_ECC) &&
              same(EccCounter::lifetime, NVML_AGGREGATE_ECC));
static_assert(same(Clock::graphics, NVML_CLOCK_GRAPHICS) && same(Clock::sm, NVML_CLOCK_SM) &&
              same(Clock::memory, NVML_CLOCK_MEM) && same(Clock::video, NVML_CLOCK_VIDEO));
static_assert(same(Sensor::gpu, NVML_TEMPERATURE_GPU));
static_assert(same(NvLinkPeer::gpu, NVML_NVLINK_DEVICE_TYPE_GPU) &&
              same(NvLinkPeer::npu, NVML_NVLINK_DEVICE_TYPE_IBMNPU) &&
              same(NvLinkPeer::nvswitch, NVML_NVLINK_DEVICE_TYPE_SWITCH) &&
              same(NvLinkPeer::unknown, NVML_NVLINK_DEVICE_TYPE_UNKNOWN));
static_assert(same(NvLinkCounter::replay, NVML_NVLINK_ERROR_DL_REPLAY) &&
              same(NvLinkCounter::recovery, NVML_NVLINK_ERROR_DL_RECOVERY) &&
              same(NvLinkCounter::crc_flit, NVML_NVLINK_ERROR_DL_CRC_FLIT) &&
              same(NvLinkCounter::crc_data, NVML_NVLINK_ERROR_DL_CRC_DATA) &&
              same(NvLinkCounter::ecc_data, NVML_NVLINK_ERROR_DL_ECC_DATA));
static_assert(same(Virtualization::none, NVML_GPU_VIRTUALIZATION_MODE_NONE) &&
              same(Virtualization::passthrough, NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH) &&
              same(Virtualization::vgpu, NVML_GPU_VIRTUALIZATION_MODE_VGPU) &&
              same(Virtualization::host_vgpu, NVML_GPU_VIRTUALIZATION_MODE_HOST_VGPU) &&
              same(Virtualization::host_vsga, NVML_GPU_VIRTUALIZATION_MODE_HOST_VSGA));
static_assert(same(PeerCapability::read, NVML_P2P_CAPS_INDEX_READ) &&
              same(PeerCapability::write, NVML_P2P_CAPS_INDEX_WRITE) &&
              same(PeerCapability::nvlink, NVML_P2P_CAPS_INDEX_NVLINK) &&
              same(PeerCapability::atomics, NVML_P2P_CAPS_INDEX_ATOMICS));
static_assert(same(PeerStatus::ok, NVML_P2P_STATUS_OK) &&
              same(PeerStatus::gpu_not_supported, NVML_P2P_STATUS_GPU_NOT_SUPPORTED) &&
              same(PeerStatus::disabled_by_regkey, NVML_P2P_STATUS_DISABLED_BY_REGKEY) &&
              same(PeerStatus::not_supported, NVML_P2P_STATUS_NOT_SUPPORTED) &&
              same(PeerStatus::unknown, NVML_P2P_STATUS_UNKNOWN));
// Under their older name, which every release of the header has.
static_assert(reason_gpu_idle == nvmlClocksThrottleReasonGpuIdle &&
              reason_applications_clocks_setting ==
                  nvmlClocksThrottleReasonApplicationsClocksSetting &&
              reason_sw_power_cap == nvmlClocksThrottleReasonSwPowerCap &&
              reason_hw_slowdown == nvmlClocksThrottleReasonHwSlowdown &&
              reason_sync_boost == nvmlClocksThrottleReasonSyncBoost &&
              reason_sw_thermal_slowdown == nvmlClocksThrottleReasonSwThermalSlowdown &&
              reason_hw_thermal_slowdown == nvmlClocksThrottleReasonHwThermalSlowdown &&
              reason_hw_power_brake_slowdown == nvmlClocksThrottleReasonHwPowerBrakeSlowdown &&
              reason_display_clock_setting == nvmlClocksThrottleReasonDisplayClockSetting);
static_assert(kMigDisabled == NVML_DEVICE_MIG_DISABLE && kMigEnabled == NVML_DEVICE_MIG_ENABLE &&
              kTextSize >= NVML_DEVICE_NAME_V2_BUFFER_SIZE &&
              kTextSize >= NVML_DEVICE_UUID_V2_BUFFER_SIZE &&
              kVersionTextSize >= NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE &&
              kMaxNvLinks <= NVML_NVLINK_MAX_LINKS);

// What came with driver branch R550 and newer; older headers lack it.
#ifdef nvmlGpuFabricInfo_v3
static_assert(kFabricInfoV2 == nvmlGpuFabricInfo_v2 && kFabricInfoV3 == nvmlGpuFabricInfo_v3 &&
              sizeof(GpuFabricInfoV) == sizeof(nvmlGpuFabricInfo_v3_t) &&
              offsetof(GpuFabricInfoV, status) == offsetof(nvmlGpuFabricInfo_v3_t, status) &&
              offsetof(GpuFabricInfoV, clique_id) == offsetof(nvmlGpuFabricInfo_v3_t, cliqueId) &&
              offsetof(GpuFabricInfoV, state) == offsetof(nvmlGpuFabricInfo_v3_t, state) &&
              offsetof(GpuFabricInfoV, health_mask) ==
                  offsetof(nvmlGpuFabricInfo_v3_t, healthMask) &&
              offsetof(GpuFabricInfoV, health_summary) ==
                  offsetof(nvmlGpuFabricInfo_v3_t, healthSummary));
static_assert(
    fabric_degraded_bandwidth == NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW &&
    fabric_route_recovery == NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_RECOVERY &&
    fabric_route_unhealthy == NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_UNHEALTHY &&
    fabric_access_timeout_recovery == NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ACCESS_TIMEOUT_RECOVERY &&
    fabric_incorrect_configuration == NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION &&
    kFabricHealthTrue == NVML_GPU_FABRIC_HEALTH_MASK_DEGRADED_BW_TRUE &&
    kFabricConfigurationCorrect == NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_NONE &&
    fabric_summary_healthy == NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY &&
    fabric_summary_unhealthy == NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY &&
    fabric_summary_limited == NVML_GPU_FABRIC_HEALTH_SUMMARY_LIMITED_CAPACITY);
#endif
#ifdef NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
static_assert(kFieldRecoveryAction == NVML_FI_DEV_GET_GPU_RECOVERY_ACTION &&
              same(recovery_none, NVML_GPU_RECOVERY_ACTION_NONE) &&
              same(recovery_gpu_reset, NVML_GPU_RECOVERY_ACTION_GPU_RESET) &&
              same(recovery_node_reboot, NVML_GPU_RECOVERY_ACTION_NODE_REBOOT) &&
              same(recovery_drain_p2p, NVML_GPU_RECOVERY_ACTION_DRAIN_P2P));
#endif

}  // namespace
}  // namespace conformance::nvml

#endif
