#pragma once

#include "fixtures/finding.h"

namespace conformance::runtime {

inline constexpr FindingKind hidden_by_variable{
    "runtime.hidden-by-variable", Severity::config,
    "CUDA_VISIBLE_DEVICES hides every GPU of this host.",
    "Unset the variable or correct it: an empty value means none, and the list ends at its first "
    "invalid entry."};
inline constexpr FindingKind version_unsupported{
    "runtime.version-unsupported", Severity::driver,
    "The CUDA runtime is of a newer major version than the driver supports.",
    "Upgrade the driver (CUDA 13.x needs 580 or newer, 12.x needs 525 or newer), or use a toolkit "
    "of the major version that the driver supports."};
inline constexpr FindingKind header_mismatch{
    "runtime.header-mismatch", Severity::config,
    "The CUDA runtime that was loaded does not go with the headers that the program was built "
    "with.",
    "Take headers and libraries from one toolkit, and check LD_LIBRARY_PATH for an older "
    "libcudart."};
inline constexpr FindingKind incompatible_code{
    "runtime.incompatible-code", Severity::driver,
    "The runtime says that it runs machine code which the GPU cannot run.",
    "Rebuild for the GPU's compute capability; if that changes nothing, the driver misreports the "
    "loaded code: reinstall it."};
inline constexpr FindingKind wrong_coordinates{
    "runtime.wrong-coordinates", Severity::hardware,
    "A kernel launch did not run exactly one thread for each position of its grid.",
    "Check the kernel log for Xid messages of that GPU; reset it, and replace it if the finding "
    "returns. On every GPU alike, suspect the driver."};
inline constexpr FindingKind wrong_shared_memory{
    "runtime.wrong-shared-memory", Severity::hardware,
    "Threads of a block did not see each other's stores to shared memory after a barrier.",
    "Check the kernel log for Xid messages of that GPU; reset it, and replace it if the finding "
    "returns. On every GPU alike, suspect the driver."};
inline constexpr FindingKind wrong_cooperation{
    "runtime.wrong-cooperation", Severity::hardware,
    "Blocks of a cooperative grid or of a cluster did not see each other's stores after their "
    "barrier, or not their places in it.",
    "Check the kernel log for Xid messages of that GPU; reset it, and replace it if the finding "
    "returns. On every GPU alike, suspect the driver."};
inline constexpr FindingKind wrong_bulk_copy{
    "runtime.wrong-bulk-copy", Severity::hardware,
    "A bulk copy between global and shared memory lost or changed words.",
    "Check the kernel log for Xid messages of that GPU; reset it, and replace it if the finding "
    "returns. On every GPU alike, suspect the driver."};
inline constexpr FindingKind nvrtc_failed{
    "runtime.nvrtc-failed", Severity::config,
    "The compiler for run time, NVRTC, did not compile a right source.",
    "Read the log that is quoted. libnvrtc and libnvrtc-builtins must be of one release and lie in "
    "one directory; check LD_LIBRARY_PATH for others."};
inline constexpr FindingKind wrong_compiled_code{
    "runtime.wrong-compiled-code", Severity::driver,
    "A kernel that NVRTC compiled did something else than its source says.",
    "Check that libnvrtc is the toolkit's own and goes with the driver; if other kernels fail too, "
    "suspect the GPU."};
inline constexpr FindingKind wrong_argument{
    "runtime.wrong-argument", Severity::driver,
    "A kernel did not receive the argument or the constants that it was given.",
    "Check that one CUDA runtime only is loaded; reinstall the driver if it is."};
inline constexpr FindingKind wrong_arithmetic{
    "runtime.wrong-arithmetic", Severity::hardware,
    "An SM computed a value that the integer or IEEE 754 rules do not allow.",
    "Take the GPU out of service, check `nvidia-smi -q -d ECC`, and have it replaced if the "
    "finding returns. On every GPU alike, suspect the driver or the compiler."};
inline constexpr FindingKind wrong_atomics{
    "runtime.wrong-atomics", Severity::hardware,
    "Atomic operations of many threads on one word lost or repeated an update.",
    "Check `nvidia-smi -q -d ECC,ROW_REMAPPER` for that GPU; reset it, and replace it if the "
    "finding returns."};
inline constexpr FindingKind limit_not_kept{
    "runtime.limit-not-kept", Severity::driver,
    "A launch of the largest size that the device's attributes allow did not run whole, or one "
    "that was refused ran.",
    "Compare the attributes with the table of compute capabilities; reinstall the driver if they "
    "are right."};
inline constexpr FindingKind wrong_order{
    "runtime.wrong-order", Severity::driver,
    "Work in streams did not keep the order that streams and events promise.",
    "Check the kernel log for Xid messages; reinstall the driver if there are none."};
inline constexpr FindingKind wrong_graph{
    "runtime.wrong-graph", Severity::driver,
    "A CUDA graph did other work than was captured, added or set in it, or at another time.",
    "Check that one CUDA runtime only is loaded, and that nothing is preloaded over it; reinstall "
    "the driver if so."};
inline constexpr FindingKind wrong_stream_attribute{
    "runtime.wrong-stream-attribute", Severity::driver,
    "A stream does not have the flags or the priority that it was made with.",
    "Check that one CUDA runtime only is loaded, and that nothing is preloaded over it; reinstall "
    "the driver if so."};
inline constexpr FindingKind wrong_memory{
    "runtime.wrong-memory", Severity::driver,
    "A copy, a fill or a kernel left other bytes than it should in memory of one of CUDA's kinds.",
    "If the memory layer finds the GPU's memory sound, reinstall the driver."};
inline constexpr FindingKind wrong_memory_kind{
    "runtime.wrong-memory-kind", Severity::driver,
    "The runtime takes an address for another kind of memory than it is.",
    "Check that one CUDA runtime only is loaded, and that nothing is preloaded over it; reinstall "
    "the driver if so."};
inline constexpr FindingKind wrong_memory_count{
    "runtime.wrong-memory-count", Severity::driver,
    "The runtime miscounts the memory that is free, used or kept in reserve.",
    "If other processes use the GPU, try again without them; otherwise reinstall the driver."};
inline constexpr FindingKind wrong_error_code{
    "runtime.wrong-error-code", Severity::driver,
    "An invalid or failing call did not return the documented error code.",
    "Check that the CUDA runtime is the toolkit's own and that nothing is preloaded over it."};
inline constexpr FindingKind wrong_error_state{
    "runtime.wrong-error-state", Severity::driver,
    "The runtime's last error is not kept, cleared or confined to its thread as documented.",
    "Check that one CUDA runtime only is loaded, and that nothing is preloaded over it."};
inline constexpr FindingKind context_not_isolated{
    "runtime.context-not-isolated", Severity::driver,
    "A fault of one process was not confined to that process.",
    "Check the kernel log for Xid messages: a reset of the GPU by the driver ends every process "
    "on it."};
inline constexpr FindingKind child_failed{
    "runtime.child-failed", Severity::suite,
    "A process that the suite started to try something did not answer.",
    "Read the output that is quoted; a process that cannot start here points at resource limits."};

}  // namespace conformance::runtime
