#pragma once

#include "fixtures/finding.h"

namespace conformance::frameworks {

inline constexpr FindingKind python_unusable{
    "frameworks.python-unusable", Severity::config,
    "The Python that was chosen, or the first python3 in PATH, does not run.",
    "Name one that does: ci/conformance --python FILE, or the variable CONFORMANCE_PYTHON."};
inline constexpr FindingKind import_failed{
    "frameworks.import-failed", Severity::config,
    "A framework is installed and cannot be imported.",
    "Read its message, which is quoted; most often a package that it needs is missing or of "
    "another "
    "version: install the framework anew into an environment of its own."};
inline constexpr FindingKind library_not_loadable{
    "frameworks.library-not-loadable", Severity::config,
    "The dynamic loader cannot load a library that a framework needs for CUDA, so that it would "
    "use the "
    "CPU, or not start.",
    "Install the package that brings the library named, of the release that the framework was "
    "built for. "
    "If it is the driver's libcuda.so.1, put a directory that holds nothing but the driver's "
    "libraries "
    "on LD_LIBRARY_PATH (on NixOS /run/opengl-driver/lib; in a container, start it with GPU "
    "support)."};
inline constexpr FindingKind foreign_library{"frameworks.foreign-library", Severity::config,
                                             "LD_LIBRARY_PATH or LD_PRELOAD puts another library "
                                             "of CUDA before the one that a framework was made "
                                             "for.",
                                             "Remove the directory named from LD_LIBRARY_PATH, or "
                                             "the file from LD_PRELOAD: frameworks find their "
                                             "own libraries without."};
inline constexpr FindingKind cpu_only_build{
    "frameworks.cpu-only-build", Severity::config,
    "A framework was built without CUDA, so that it computes on the CPU without a word.",
    "Install its CUDA build: for PyTorch from the index that its site names for your CUDA release, "
    "for "
    "JAX the extra jax[cuda13] or jax[cuda12], with Nix packages of cudaSupport = true; and look "
    "for a "
    "folder of the same name that comes first on PYTHONPATH."};
inline constexpr FindingKind driver_too_old{
    "frameworks.driver-too-old", Severity::driver,
    "A framework was built for a release of CUDA that the installed driver does not support.",
    "Upgrade the driver, or install the framework's build for a CUDA release that the driver "
    "supports."};
inline constexpr FindingKind gpus_hidden{
    "frameworks.gpus-hidden", Severity::config,
    "A variable hides GPUs from a framework that this host's programs see.",
    "Unset the variable named, or correct it. If the shell does not set it, Python's own start "
    "does "
    "(sitecustomize, usercustomize, a .pth file)."};
inline constexpr FindingKind gpus_missing{
    "frameworks.gpus-missing", Severity::driver,
    "A framework does not show the GPUs that CUDA shows on this host, and computes on what is "
    "left.",
    "Read the framework's own message, which is quoted, and the loader's; then look at the other "
    "findings of this framework."};
inline constexpr FindingKind other_order{
    "frameworks.gpus-in-other-order", Severity::config,
    "A framework numbers the GPUs in another order than CUDA does on this host.",
    "Look for CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES in what Python runs at its start, and set "
    "them "
    "alike for all programs of a job."};
inline constexpr FindingKind architecture_missing{
    "frameworks.architecture-not-covered", Severity::config,
    "A framework carries no code for a GPU of this host, neither machine code nor PTX that the "
    "driver "
    "could compile for it.",
    "Install a build for this GPU: newer ones cover newer GPUs, and drop the oldest."};
inline constexpr FindingKind mixed_libraries{
    "frameworks.mixed-libraries", Severity::config,
    "The CUDA libraries that a framework's process loads do not belong together.",
    "Install the framework into an environment of its own, with the libraries that it asks for, "
    "and "
    "remove toolkits from LD_LIBRARY_PATH."};
inline constexpr FindingKind wrong_product{
    "frameworks.wrong-product", Severity::hardware,
    "A matrix product that a framework computed on a GPU has wrong elements, though it is exact.",
    "Look at the cublas and memory layers' findings for that GPU. If they have none, it is the "
    "framework's build or its libraries: install them anew."};
inline constexpr FindingKind wrong_sum{
    "frameworks.wrong-sum", Severity::hardware,
    "A sum over all GPUs that a framework computed is wrong on a rank, though it is exact.",
    "Look at the nccl and peer layers' findings. If they have none, it is the framework's own "
    "NCCL: "
    "update it."};
inline constexpr FindingKind call_failed{"frameworks.call-failed", Severity::driver,
                                         "A framework's simplest operation on a GPU failed.",
                                         "Read its message, which is quoted; look at the memory, "
                                         "cublas and nccl layers' findings, and who "
                                         "else uses the GPU."};
inline constexpr FindingKind no_answer{
    "frameworks.no-answer", Severity::driver,
    "A framework's process crashed, or did not come to its end in time.",
    "The detail says in what it was, and the evidence what it printed. Try the same by hand; a "
    "crash "
    "while libraries are loaded points at libraries that do not belong together."};

}  // namespace conformance::frameworks
