#pragma once

#include "fixtures/finding.h"

namespace conformance::memory {

inline constexpr FindingKind wrong_word{
    "memory.wrong-word", Severity::hardware,
    "A GPU's memory gave back another value than was written to it.",
    "Check `nvidia-smi -q -d ECC,ROW_REMAPPER` for that GPU; reset it, and replace it if the "
    "finding returns."};

inline constexpr FindingKind memory_info_wrong{
    "memory.info-wrong", Severity::driver,
    "What the driver says about a GPU's free and total memory cannot be true.",
    "Compare with `nvidia-smi -q -d MEMORY`; try another driver version and report it to NVIDIA."};

inline constexpr FindingKind host_copy_wrong{
    "memory.host-copy-wrong", Severity::infrastructure,
    "Bytes that were copied between the host and a GPU arrived changed.",
    "Check the PCIe link (`nvidia-smi -q -d PCI`, AER messages in the kernel log), the host's own "
    "memory (EDAC messages) and the IOMMU's settings; try the GPU in another slot."};

inline constexpr FindingKind device_copy_wrong{
    "memory.device-copy-wrong", Severity::hardware,
    "Words that were copied within one GPU's memory arrived changed.",
    "Check `nvidia-smi -q -d ECC,ROW_REMAPPER` and the kernel log for Xid messages of that GPU; "
    "reset it, and replace it if the finding returns."};

inline constexpr FindingKind memset_wrong{
    "memory.memset-wrong", Severity::driver,
    "cudaMemsetAsync left bytes that do not have the value it was asked to set.",
    "Check the kernel log for Xid messages of that GPU; if there are none, try another driver "
    "version and report it to NVIDIA."};

inline constexpr FindingKind stray_write{
    "memory.stray-write", Severity::driver,
    "A copy or memset changed bytes next to the ones it was given.",
    "Check the kernel log for Xid messages of that GPU; if there are none, try another driver "
    "version and report it to NVIDIA."};

inline constexpr FindingKind slow_memory{
    "memory.slow", Severity::hardware,
    "A GPU's memory is slower than it must be: its clock may be held down, rows may be remapped or "
    "corrected all the time, or another process may be using it.",
    "Compare `nvidia-smi -q -d CLOCK,PERFORMANCE,ECC,ROW_REMAPPER` with another GPU's; see that "
    "nothing else runs on it, then reset the GPU."};

inline constexpr FindingKind slow_host_link{
    "memory.slow-host-link", Severity::infrastructure,
    "Copies between a GPU and page-locked host memory are slower than their link must carry: a "
    "busy or badly placed link, an IOMMU that translates each access, small payloads "
    "(MaxPayloadSize, relaxed ordering), or host memory at reduced speed.",
    "Check `nvidia-smi topo -m`, `lspci -vv` (LnkSta, DevCtl) of the GPU and of the bridges above "
    "it, the firmware's PCIe and memory settings and the IOMMU's mode; compare with the other "
    "GPUs."};

inline constexpr FindingKind pool_block_wrong{
    "memory.pool-block-wrong", Severity::driver,
    "A block of a stream-ordered memory pool does not hold what was written to it: it may share "
    "memory with another one.",
    "Check the kernel log for Xid messages of that GPU; if there are none, try another driver "
    "version and report it to NVIDIA."};

inline constexpr FindingKind mapping_wrong{
    "memory.mapping-wrong", Severity::driver,
    "Memory that was mapped by cuMemMap is not, or not everywhere, the memory that was to be "
    "mapped.",
    "Check the kernel log for Xid messages of that GPU; if there are none, try another driver "
    "version and report it to NVIDIA."};

inline constexpr FindingKind access_wrong{
    "memory.access-wrong", Severity::driver,
    "The access that cuMemSetAccess gives to mapped memory is not the one that the GPU has.",
    "Try another driver version and report it to NVIDIA: programs that share GPU memory rely on "
    "it."};

inline constexpr FindingKind memory_not_returned{
    "memory.not-returned", Severity::driver,
    "Memory of cuMemCreate is not counted as used while it is, or not as free afterwards.",
    "Compare with `nvidia-smi -q -d MEMORY` while nothing else runs; try another driver version "
    "and "
    "report it to NVIDIA."};

inline constexpr FindingKind child_failed{
    "memory.child-failed", Severity::infrastructure,
    "A process that the suite started to try an access did not come to an answer.",
    "Read its output in the finding; check limits on processes and memory (`ulimit -a`)."};

}  // namespace conformance::memory
