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

inline constexpr std::array<const FindingKind*, 6> kReportFindingKinds{
    &crashed, &timed_out, &interrupted, &did_not_start, &no_record, &nothing_ran};

}  // namespace conformance::report
