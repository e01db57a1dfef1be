#pragma once

#include "fixtures/finding.h"

namespace conformance::nccl {

inline constexpr FindingKind version_mismatch{
    "nccl.version-mismatch", Severity::config,
    "The NCCL that was loaded is older than the headers the suite was built with, or of another "
    "major version.",
    "Rebuild against the NCCL in use, or take the other one's directory out of LD_LIBRARY_PATH."};
inline constexpr FindingKind wrong_communicator{
    "nccl.wrong-communicator", Severity::driver,
    "A communicator does not have the size, rank or GPU that it was made with.",
    "Go back to the last NCCL that passed, and report it to NVIDIA."};
inline constexpr FindingKind deadline_exceeded{
    "nccl.deadline-exceeded", Severity::infrastructure,
    "NCCL did not finish in time: a rank is stuck, or data between two GPUs does not arrive.",
    "Look at the peer layer's results first: lost peer writes (IOMMU, PCIe ACS) make NCCL wait for "
    "ever. Then check the kernel log for Xid messages of the GPUs of the ranks named, and run "
    "again "
    "with NCCL_DEBUG=INFO."};
inline constexpr FindingKind duplicate_gpu{
    "nccl.duplicate-gpu", Severity::config, "Two ranks of a communicator are on the same GPU.",
    "Check that CUDA_VISIBLE_DEVICES names each GPU once, and that the GPUs have different UUIDs "
    "(`nvidia-smi -L`)."};
inline constexpr FindingKind shared_memory_full{
    "nccl.shared-memory-full", Severity::config,
    "NCCL found too little room in /dev/shm, which containers often limit to 64 MB.",
    "Give the container more (docker run --shm-size=1g), or remove leftovers: ls /dev/shm."};
inline constexpr FindingKind not_supported{
    "nccl.not-supported", Severity::config,
    "The GPU or its virtualisation does not support what NCCL needs, such as unified memory on a "
    "virtual GPU.",
    "Enable unified memory for the virtual GPU at the hypervisor, or use a passed-through GPU."};
inline constexpr FindingKind foreign_plugin{
    "nccl.foreign-plugin", Severity::config,
    "NCCL failed while a network plugin lies in the library search path; NCCL loads any "
    "libnccl-net.so that it finds.",
    "Take the directory of the plugin named out of LD_LIBRARY_PATH, or set NCCL_NET_PLUGIN=none, "
    "and run again."};
inline constexpr FindingKind call_failed{
    "nccl.call-failed", Severity::driver,
    "An NCCL call failed that must succeed on a healthy host.",
    "Read NCCL's last error in the finding; run again with NCCL_DEBUG=INFO for its own account."};
inline constexpr FindingKind wrong_element{
    "nccl.wrong-element", Severity::hardware,
    "A collective finished, but a rank holds a wrong result: data was lost or changed between "
    "GPUs.",
    "Look at the peer layer's results and at the links of the GPU named (`nvidia-smi nvlink -e`). "
    "If all links are sound, go back to the last NCCL and driver that passed."};
inline constexpr FindingKind input_changed{
    "nccl.input-changed", Severity::driver,
    "A collective changed its input, which it may only read.",
    "Go back to the last NCCL that passed, and report it to NVIDIA."};
inline constexpr FindingKind wrote_outside{
    "nccl.wrote-outside", Severity::driver,
    "A collective wrote to memory that is not part of its result.",
    "Go back to the last NCCL that passed, and report it to NVIDIA."};

inline constexpr FindingKind rank_died{
    "nccl.rank-died", Severity::driver,
    "A process that held a rank of a communicator ended before its work was done; the other ranks "
    "had to be given up.",
    "Read the end of its output in the finding and the kernel log for what ended it: a crash in a "
    "library, a lack of memory, or a job's limit."};
inline constexpr FindingKind ranks_missing{
    "nccl.ranks-missing", Severity::infrastructure,
    "A rank of an MPI job waited in vain for the others, or knows of no others.",
    "Look at the ranks' journals for the one that is behind, and at its host; check that all hosts "
    "reach each other (firewall, interfaces, name resolution), and that mpirun and the MPI that "
    "the "
    "suite was built with belong together."};
inline constexpr FindingKind wrong_wait{
    "nccl.wrong-wait", Severity::driver,
    "A communicator came up, or a collective ended, without a rank that never joined it.",
    "Go back to the last NCCL that passed, and report it to NVIDIA."};
inline constexpr FindingKind abort_failed{
    "nccl.abort-failed", Severity::driver,
    "After a rank failed, ncclCommAbort did not free the other ranks from waiting for it.",
    "Check the kernel log for Xid messages; go back to the last NCCL and driver that passed."};
inline constexpr FindingKind nothing_offered{
    "nccl.nothing-offered", Severity::config,
    "NCCL offers none of its algorithms and protocols for an all-reduce over these GPUs.",
    "Look for NCCL_* variables in the environment and in /etc/nccl.conf that forbid them, and run "
    "again with NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=TUNING."};

inline constexpr FindingKind not_repeatable{
    "nccl.not-repeatable", Severity::driver,
    "The same all-reduce of the same numbers gave different bits.",
    "If NCCL_* variables or a tuner plugin choose algorithms, run without them; otherwise go back "
    "to the last NCCL that passed."};
inline constexpr FindingKind wrong_status{
    "nccl.wrong-status", Severity::driver,
    "NCCL answers a wrong argument with another result than its documentation says.",
    "Go back to the last NCCL that passed, and report it to NVIDIA."};

inline constexpr FindingKind one_rank_tail_lost{
    "nccl.one-rank-tail-lost", Severity::driver,
    "NCCL left the last elements of an average or of a sum of multiples over one rank as they "
    "were, as it did before 2.29.7 (NVIDIA/nccl issue 1950).",
    "Go back to the last NCCL that passed; until then, do without averages and premultiplied sums "
    "on communicators of one rank."};
inline constexpr FindingKind slow{
    "nccl.slow", Severity::config,
    "A collective is right but slower than the links between the GPUs are, as when NCCL takes the "
    "way through host memory.",
    "Look at the transports that the finding names. With SHM or NET among them, look for "
    "NCCL_P2P_DISABLE, NCCL_P2P_LEVEL or another NCCL_* variable, and for what keeps GPUs of a "
    "container or virtual machine from each other; with P2P alone, at the peer layer's figures."};

}  // namespace conformance::nccl
