#pragma once

#include "fixtures/finding.h"

namespace conformance::toolchain {

inline constexpr FindingKind architecture_unknown{
    "toolchain.architecture-unknown", Severity::config,
    "The toolkit's nvcc cannot make code for a GPU of this host.",
    "Take a toolkit that knows the GPU: a newer one for a new GPU, and for one older than compute "
    "capability 7.5 one of the 12.x releases."};
inline constexpr FindingKind compile_failed{
    "toolchain.compile-failed", Severity::config,
    "nvcc cannot build a small program in a way in which programs are built.",
    "Run the command in the evidence by hand and read what it says; a toolkit that was merged from "
    "packages may lack one of them (libnvvm, the runtime's static library), and Nix needs its own "
    "host compiler."};
inline constexpr FindingKind wrong_code{
    "toolchain.wrong-code", Severity::config,
    "A program does not hold the device code that nvcc was asked for, so it would not run where it "
    "should.",
    "Look for options that are added behind your back: NVCC_PREPEND_FLAGS, NVCC_APPEND_FLAGS, "
    "bin/nvcc.profile, a script in place of nvcc."};
inline constexpr FindingKind program_failed{
    "toolchain.program-failed", Severity::config,
    "A small program that was built with this toolkit does not run on this host, or computes "
    "something else than its source says.",
    "Read its output: if a library was not found or is another's, correct LD_LIBRARY_PATH; if "
    "words are wrong while the runtime layer passes, suspect the compiler of this toolkit."};
inline constexpr FindingKind listing_differs{
    "toolchain.cuobjdump-differs", Severity::config,
    "cuobjdump does not list the device code that a program holds.",
    "Take cuobjdump and nvcc from one release."};
inline constexpr FindingKind another_nvcc_first{
    "toolchain.another-nvcc-first", Severity::config,
    "PATH leads to another nvcc than CUDA_PATH's, so what is built by hand or by CMake comes from "
    "another toolkit than what it is linked with and tested against.",
    "Put the bin directory of CUDA_PATH first in PATH, or point CUDA_PATH at the toolkit that is "
    "meant; remove the distribution's package nvidia-cuda-toolkit if it is not used."};
inline constexpr FindingKind another_toolkit_found{
    "toolchain.another-toolkit-found", Severity::config,
    "CMake, pointed at CUDA_PATH, takes a part of the toolkit from elsewhere.",
    "Remove other toolkits from CMAKE_PREFIX_PATH, CMAKE_LIBRARY_PATH and PATH; merge what "
    "CUDA_PATH "
    "lacks into it."};
inline constexpr FindingKind consumer_failed{
    "toolchain.consumer-failed", Severity::config,
    "A project that is linked with libraries of this toolkit cannot be configured, built or run.",
    "Read the output: a header or a library without version number, such as libcublas.so, comes "
    "with "
    "the development packages; with Nix merge every output of the package into CUDA_PATH."};
inline constexpr FindingKind another_library_loaded{
    "toolchain.another-library-loaded", Severity::config,
    "A program that was linked with this toolkit's library runs with another one.",
    "Take the other library's directory out of LD_LIBRARY_PATH, and other toolkits out of the "
    "loader's configuration (ld.so.conf)."};
inline constexpr FindingKind tool_failed{
    "toolchain.tool-failed", Severity::config,
    "compute-sanitizer or cuda-gdb is there and cannot do its work on this host.",
    "Read its output. In a container, debugging may be denied (`--cap-add=SYS_PTRACE`, the seccomp "
    "profile); tool and driver must go together; only one debugger or sanitizer can have a GPU's "
    "debugging interface at a time."};
inline constexpr FindingKind sanitizer_wrong{
    "toolchain.sanitizer-wrong", Severity::driver,
    "compute-sanitizer misses an error that was planted, or finds one in a sound program.",
    "Take compute-sanitizer from the toolkit's own release, and check that it supports this driver "
    "and GPU (its release notes)."};
inline constexpr FindingKind debugger_wrong{
    "toolchain.debugger-wrong", Severity::driver,
    "cuda-gdb does not stop at a breakpoint in a kernel, or shows a variable wrongly.",
    "Take cuda-gdb from the toolkit's own release; the driver's libcudadebugger.so.1 must lie "
    "beside "
    "its libcuda.so.1 and be of the same version."};
inline constexpr FindingKind extension_failed{
    "toolchain.extension-failed", Severity::config,
    "A Python extension with a kernel cannot be built, imported or called.",
    "Read the output: Python's headers, nanobind, CMake and the C++ compiler must go together, and "
    "the C++ library that Python loads must not be older than the compiler's."};

}  // namespace conformance::toolchain
