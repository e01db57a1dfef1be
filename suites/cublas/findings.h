#pragma once

#include "fixtures/finding.h"

namespace conformance::cublas {

inline constexpr FindingKind not_initialized{
    "cublas.not-initialized", Severity::config,
    "cuBLAS could not set itself up on a GPU: it found too little free memory there, or the "
    "library that was loaded does not belong to this toolkit and driver.",
    "See the finding's free memory and library path. End the processes that hold the GPU's memory "
    "(`nvidia-smi`), or take foreign directories out of LD_LIBRARY_PATH so that cuBLAS, cuBLASLt "
    "and the CUDA runtime come from one toolkit."};
inline constexpr FindingKind call_failed{
    "cublas.call-failed", Severity::driver,
    "A cuBLAS call failed that must succeed on a healthy host.",
    "Look the status up in the cuBLAS documentation (cublasStatus_t). EXECUTION_FAILED: check the "
    "kernel log for Xid messages. INVALID_VALUE, ARCH_MISMATCH or NOT_SUPPORTED: check that "
    "cuBLAS, cuBLASLt and the CUDA runtime come from one toolkit that supports this GPU."};
inline constexpr FindingKind version_mismatch{
    "cublas.version-mismatch", Severity::config,
    "The cuBLAS that was loaded is not the one, nor a newer minor version of the one, whose "
    "headers the suite was built with.",
    "Rebuild against the toolkit in use, or take the other toolkit's directory out of "
    "LD_LIBRARY_PATH."};
inline constexpr FindingKind wrong_element{
    "cublas.wrong-element", Severity::hardware,
    "A matrix product that cuBLAS computed on a GPU has wrong elements.",
    "If one GPU is named, run the check again on it alone, check `nvidia-smi -q -d "
    "ECC,ROW_REMAPPER`, and replace it if it fails again. If all GPUs give the same wrong "
    "elements, the library or the driver is at fault: go back to the last version that passed, and "
    "report it to NVIDIA."};
inline constexpr FindingKind wrong_status{
    "cublas.wrong-status", Severity::driver,
    "A cuBLAS call with an argument that it must refuse answered otherwise than documented.",
    "Programs that tell errors apart by their status will take a wrong turn: go back to the last "
    "version of the toolkit that passed, and report it to NVIDIA."};
inline constexpr FindingKind out_of_order{
    "cublas.out-of-order", Severity::driver,
    "A product ran before the earlier work of the stream that its handle was given.",
    "Check that cuBLAS, cuBLASLt and the CUDA runtime come from one toolkit that goes with the "
    "driver; go back to the last versions that passed, and report it to NVIDIA."};
inline constexpr FindingKind wrote_outside{
    "cublas.wrote-outside", Severity::driver,
    "A cuBLAS call changed memory outside its result matrix.",
    "Go back to the last versions of toolkit and driver that passed, and report it to NVIDIA."};
inline constexpr FindingKind results_differ{
    "cublas.results-differ", Severity::hardware,
    "The same product has other bits on one GPU than on the host's other GPUs of the same model, "
    "or than at an earlier call.",
    "Run the check again on that GPU alone, check `nvidia-smi -q -d ECC,ROW_REMAPPER`, and replace "
    "it if it differs again. If GPUs differ in no consistent way, look for other users of the "
    "process's streams, and for a cuBLAS and cuBLASLt that are not of one toolkit."};
inline constexpr FindingKind premise_broken{
    "cublas.premise-broken", Severity::suite,
    "The inputs of a check for equality were not such that every order of summation is exact.",
    "Report it with the journal: this is a defect of the check, and its verdict means nothing."};
inline constexpr FindingKind slow{
    "cublas.slow", Severity::infrastructure,
    "Matrix products are right on a GPU, but clearly slower than on the host's other GPUs of the "
    "same name, or than at its clock, and neither heat nor a cap on its power explains it.",
    "See the finding's clocks. If they are low: `nvidia-smi -q -d PERFORMANCE,CLOCK` tells whether "
    "they are locked (`nvidia-smi -rgc` frees them). If they are not: look for another process on "
    "that GPU, and if there is none have the GPU checked."};
inline constexpr FindingKind power_capped{
    "cublas.power-capped", Severity::infrastructure,
    "Matrix products are right on a GPU, but clearly slower than on the host's other GPUs of the "
    "same name, because a cap on its power keeps its clocks down.",
    "Compare `nvidia-smi -q -d POWER` of that GPU and of another: if its limit is lower, have it "
    "raised (`nvidia-smi -pl`). A hardware power brake comes from the server's power supply."};
inline constexpr FindingKind thermally_slowed{
    "cublas.thermally-slowed", Severity::infrastructure,
    "Matrix products are right on a GPU, but clearly slower than on the host's other GPUs of the "
    "same name, because heat keeps its clocks down.",
    "Check the cooling of that GPU: fans, air filters, heat sink, the temperature of the air or "
    "water that comes in; `nvidia-smi -q -d TEMPERATURE` shows its temperatures and their limits."};

}  // namespace conformance::cublas
