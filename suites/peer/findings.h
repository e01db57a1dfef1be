#pragma once

#include "fixtures/finding.h"

namespace conformance::peer {

inline constexpr FindingKind query_wrong{
    "peer.query-wrong", Severity::driver,
    "The driver says of a GPU that it is its own peer, or gives an answer that is neither yes nor "
    "no.",
    "Try another driver version and report it to NVIDIA."};

inline constexpr FindingKind access_asymmetric{
    "peer.access-asymmetric", Severity::infrastructure,
    "One GPU of a pair may access the other's memory, but not the other way round.",
    "Compare `nvidia-smi topo -p2p r` with `-p2p w`; check the kernel log for NVLink and Xid "
    "messages of both GPUs, then reset them or reboot."};

inline constexpr FindingKind enable_refused{
    "peer.enable-refused", Severity::driver,
    "The driver says that a GPU can access a peer's memory, but does not let it.",
    "Check the kernel log for NVLink, IOMMU and Xid messages of both GPUs and, on NVSwitch "
    "systems, that the fabric manager runs and has the driver's version."};

inline constexpr FindingKind wrong_error{
    "peer.wrong-error", Severity::driver,
    "A call for peer access did not answer with the code that is documented for its case.",
    "Try another driver version and report it to NVIDIA: libraries decide by these codes which way "
    "data takes."};

inline constexpr FindingKind copy_wrong{
    "peer.copy-wrong", Severity::hardware,
    "Words that were copied from one GPU to another arrived changed or not at all.",
    "If nearly all words are wrong, look at the IOMMU and PCIe ACS (`iommu=pt`, ACS off on the "
    "switches); if few are, at the link: `nvidia-smi nvlink -e`, PCIe AER messages in the kernel "
    "log."};

inline constexpr FindingKind store_lost{
    "peer.store-lost", Severity::infrastructure,
    "A GPU's stores to a peer's memory did not arrive although the driver granted access, most "
    "often because an IOMMU or PCIe ACS sends them elsewhere.",
    "Turn IOMMU translation (`iommu=pt`) and ACS on the PCIe switches off, or run with "
    "NCCL_P2P_DISABLE=1 until then. If only a few words are wrong, check the link: "
    "`nvidia-smi nvlink -e`, PCIe AER messages."};

inline constexpr FindingKind load_wrong{
    "peer.load-wrong", Severity::infrastructure,
    "A GPU loaded other values from a peer's memory than its owner wrote, most often because an "
    "IOMMU or PCIe ACS sends the requests elsewhere.",
    "Turn IOMMU translation (`iommu=pt`) and ACS on the PCIe switches off, or run with "
    "NCCL_P2P_DISABLE=1 until then. If only a few words are wrong, check the link: "
    "`nvidia-smi nvlink -e`, PCIe AER messages."};

inline constexpr FindingKind stale_load{
    "peer.stale-load", Severity::hardware,
    "A GPU loaded words from a peer's memory that another GPU had overwritten before.",
    "Check the kernel log for NVLink and Xid messages of these GPUs; try another driver version, "
    "and "
    "report it to NVIDIA if it stays."};

inline constexpr FindingKind atomic_wrong{
    "peer.atomic-wrong", Severity::hardware,
    "Atomic operations of two GPUs on the memory of one of them lost or doubled updates, though "
    "the "
    "driver says that the link supports them.",
    "Check the kernel log for NVLink and Xid messages of both GPUs and `nvidia-smi nvlink -e`; try "
    "another driver version."};

inline constexpr FindingKind order_wrong{
    "peer.order-wrong", Severity::hardware,
    "A GPU saw a flag that its peer had stored before the data that the peer had stored first: "
    "what "
    "NCCL's and NVSHMEM's kernels rely on does not hold.",
    "Look for PCIe devices with relaxed ordering forced on and for IOMMU detours; check "
    "`nvidia-smi nvlink -e`; until then run with NCCL_P2P_DISABLE=1."};

inline constexpr FindingKind ipc_refused{
    "peer.ipc-refused", Severity::infrastructure,
    "Two processes on this host could not share memory or events of a GPU.",
    "In a container, check that the processes are in one PID and one IPC namespace and that "
    "seccomp or ptrace rules let them share; check `nvidia-smi topo -m` for the pair. NCCL needs "
    "it "
    "between ranks (or NCCL_P2P_DISABLE=1)."};

inline constexpr FindingKind ipc_wrong{
    "peer.ipc-wrong", Severity::driver,
    "Memory or an event that one process handed to another one was not the same there.",
    "Try another driver version and report it to NVIDIA; if other peer tests fail too, begin with "
    "them."};

inline constexpr FindingKind attribute_wrong{
    "peer.attribute-wrong", Severity::driver,
    "What cudaDeviceGetP2PAttribute says of a pair contradicts the access query, or what NVML says "
    "of the pair's NVLinks.",
    "Try another driver version and report it to NVIDIA: libraries choose their way by these "
    "attributes."};

inline constexpr FindingKind access_lost{
    "peer.access-lost", Severity::driver,
    "NVLinks connect two GPUs and NVML says that they can be peers, but the CUDA driver denies the "
    "access.",
    "Compare with the result before the last upgrade; check that the fabric manager runs and has "
    "the driver's version, look for NVLink messages in the kernel log, and reset the GPUs or "
    "reboot."};

inline constexpr FindingKind slow{
    "peer.slow", Severity::infrastructure,
    "Data goes from one GPU to another rightly, but slower than its path allows or than between "
    "like "
    "pairs: links of the path are down or retrain, an IOMMU or PCIe ACS sends it on a detour, or "
    "another process uses the path.",
    "Look at `nvidia-smi nvlink -s` and `-e`, `nvidia-smi topo -m`, the PCIe link's state in "
    "`nvidia-smi -q`, and at other processes on both GPUs; on PCIe turn ACS off and pass the IOMMU "
    "through (`iommu=pt`)."};

inline constexpr FindingKind slow_both_ways{
    "peer.slow-both-ways", Severity::infrastructure,
    "Two GPUs that send to each other at the same time are slower than their path allows or than "
    "like pairs.",
    "If each direction alone is fast, the two share what should be separate: look at `nvidia-smi "
    "topo -m` for a shared PCIe switch, and at `nvidia-smi nvlink -e` for replays; else see "
    "peer.slow."};

inline constexpr FindingKind latency_high{
    "peer.latency-high", Severity::infrastructure,
    "A load from a peer's memory takes much longer than between like pairs: the path retransmits, "
    "or "
    "takes a detour.",
    "Look at `nvidia-smi nvlink -e` and at PCIe AER messages in the kernel log for "
    "retransmissions; "
    "compare `nvidia-smi topo -m` with the machine's design."};

inline constexpr FindingKind fabric_slow{
    "peer.fabric-slow", Severity::infrastructure,
    "When all GPUs send and receive at once they are slower than their NVLinks allow, though the "
    "switches between them have room for all.",
    "Check the fabric manager's log and, on each switch, `nvidia-smi nvlink -s` of all GPUs; one "
    "slow "
    "pair is told by peer.slow."};

}  // namespace conformance::peer
