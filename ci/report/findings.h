#pragma once

#include <array>

#include "fixtures/finding.h"

namespace conformance::report {

// What only the report can see: a process that did not get to say what was wrong.
inline constexpr FindingKind crashed{
    "suite.crashed", Severity::driver, "The test's process ended before the test did.",
    "Read the end of its output below; run the test alone with `ctest -R <entry> -V`, under a "
    "debugger if need be. A crash inside a CUDA library points at the driver or the toolkit."};
inline constexpr FindingKind timed_out{
    "suite.timed-out", Severity::driver,
    "The test did not end within the limit of its entry, and was ended.",
    "Check the kernel log for Xid messages and the GPUs with `nvidia-smi -q`: a GPU or a link that "
    "hangs is the usual cause. If the host is only slow, run the entry alone."};
inline constexpr FindingKind interrupted{"suite.interrupted", Severity::config,
                                         "The test was ended from outside before it was done.",
                                         "Run it again and let it finish; see what sends signals "
                                         "to the run, such as a job's time limit."};
inline constexpr FindingKind did_not_start{
    "suite.did-not-start", Severity::config,
    "The test's process could not be started, or ended before its first test.",
    "Read the end of its output below. A library that is missing or of another version is the "
    "usual "
    "cause: check CUDA_PATH, LD_LIBRARY_PATH and that the build is of this environment."};
inline constexpr FindingKind no_record{
    "suite.no-record", Severity::suite,
    "The test was asked for and nothing explains why there is no record of it.",
    "See whether the run was stopped early (CTest's --stop-on-failure, --stop-time, an "
    "interruption); if not, report it with the journals."};
inline constexpr FindingKind nothing_ran{
    "suite.run-verified-nothing", Severity::config, "The run verified nothing on this host.",
    "Select tests that can run here, and look at the reasons of those that were skipped."};

// What only the reports of several nodes together can show.
inline constexpr FindingKind no_report{
    "job.no-report", Severity::infrastructure, "A node of the job left no report.",
    "Look at the job's output for the node: whether it started, could build and could write to the "
    "folder of the reports."};
inline constexpr FindingKind version_mix{
    "job.version-mix", Severity::config,
    "The nodes of the job differ in what must be the same for work that they do together.",
    "Give the node named what the others have, and drain it until then."};
inline constexpr FindingKind outlier{
    "job.outlier", Severity::hardware,
    "A node is slower than the other nodes of the job, and slows down all that work with it.",
    "Compare its clocks, power limits, cooling and links with another node's (`nvidia-smi -q`), "
    "and "
    "drain it until then."};
// What a host lacks of its site's policy.
inline constexpr FindingKind other_run{
    "gate.other-run", Severity::config,
    "The run is not of the kind that the policy was written for, so it cannot show what the policy "
    "expects.",
    "Run at the policy's level, on the GPUs of the host; or record a policy for this kind of run."};
inline constexpr FindingKind gpu_missing{
    "gate.gpu-missing", Severity::infrastructure,
    "The host has fewer GPUs of a model than its policy expects.",
    "See whether CUDA_VISIBLE_DEVICES or the container's options hide it; then look for it with "
    "`nvidia-smi -L` and `lspci -d 10de:`, and in the kernel log for Xid 79 (fallen off the bus)."};
inline constexpr FindingKind version_unexpected{
    "gate.version-unexpected", Severity::driver,
    "A version is outside the range that the policy allows.",
    "Install a version within the range, or change the policy if the range is out of date."};
inline constexpr FindingKind peer_access_missing{
    "gate.peer-access-missing", Severity::infrastructure,
    "A GPU has no access to the memory of another GPU that the policy expects it to reach.",
    "Look at `nvidia-smi topo -p2p r`; IOMMU or ACS settings, a virtual machine's options and a "
    "Fabric Manager that is down take access away."};
inline constexpr FindingKind link_missing{
    "gate.link-missing", Severity::hardware,
    "GPUs are joined by fewer NVLinks, or by a longer way, than the policy expects.",
    "Look at `nvidia-smi nvlink -s` and `nvidia-smi topo -m`; have inactive links and bridges "
    "repaired."};
inline constexpr FindingKind setting_unexpected{
    "gate.setting-unexpected", Severity::config,
    "A setting of NCCL in the environment is not what the policy expects.",
    "Find where the variable is set (job script, image, /etc/nccl.conf) and restore what the "
    "policy "
    "names; or record the policy again if the change is meant."};
inline constexpr FindingKind test_missing{"gate.test-missing", Severity::config,
                                          "Tests that the policy expects were not part of the run.",
                                          "Run all entries that the policy speaks of; if this "
                                          "suite has no such test any more, record the "
                                          "policy again."};
inline constexpr FindingKind skip_not_allowed{
    "gate.skip-not-allowed", Severity::config,
    "Tests were skipped for a reason that the policy does not allow.",
    "Give the host what the reason says is missing; if the skip is right for this site, add it to "
    "the policy's skips."};
inline constexpr FindingKind figure_missing{
    "gate.figure-missing", Severity::config,
    "A figure that the policy has a bound for was not measured, or not on all that it expects.",
    "See which test measures it and why that did not run to its end."};
inline constexpr FindingKind figure_out_of_bounds{
    "gate.figure-out-of-bounds", Severity::hardware, "A figure is worse than the policy allows.",
    "See what slows it down: other processes, clocks lowered by heat or power (`nvidia-smi -q -d "
    "PERFORMANCE`), links that were lost; compare with an earlier run by ci/compare."};

inline constexpr std::array<const FindingKind*, 10> kGateFindingKinds{
    &other_run,      &gpu_missing,         &version_unexpected, &peer_access_missing,
    &link_missing,   &setting_unexpected,  &test_missing,       &skip_not_allowed,
    &figure_missing, &figure_out_of_bounds};

inline constexpr std::array<const FindingKind*, 6> kReportFindingKinds{
    &crashed, &timed_out, &interrupted, &did_not_start, &no_record, &nothing_ran};

}  // namespace conformance::report
