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

}  // namespace conformance::peer
