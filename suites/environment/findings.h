#pragma once

#include "fixtures/finding.h"

namespace conformance::environment {

inline constexpr FindingKind cuda_path_unset{
    "environment.cuda-path-unset", Severity::config,
    "CUDA_PATH is not set, so nothing says which CUDA toolkit to use.",
    "Run inside the development shell (`nix develop`), or set CUDA_PATH to the toolkit's directory "
    "and "
    "pass `--cuda-origin any`."};
inline constexpr FindingKind cuda_path_unusable{
    "environment.cuda-path-unusable", Severity::config,
    "CUDA_PATH does not lead to a directory that can be read.",
    "Set CUDA_PATH to the absolute path of one toolkit directory, the one that holds bin/nvcc; "
    "enter the "
    "development shell again if Nix's garbage collector removed it."};
inline constexpr FindingKind compiler_missing{
    "environment.nvcc-missing", Severity::config,
    "The toolkit has no compiler: bin/nvcc is not there or may not be executed.",
    "Point CUDA_PATH at a complete toolkit; with Nix, merge cuda_nvcc into it."};
inline constexpr FindingKind header_missing{
    "environment.header-missing", Severity::config,
    "The toolkit lacks a header that CUDA programs include.",
    "Install the toolkit's development packages (for nccl.h those of NCCL); with Nix, merge the "
    "package's `dev` or `include` output into CUDA_PATH."};
inline constexpr FindingKind library_missing{
    "environment.library-missing", Severity::config,
    "The toolkit lacks a library that CUDA programs are linked against, or its link leads nowhere.",
    "Install the toolkit's runtime packages (for libnccl those of NCCL); with Nix, merge the "
    "package's "
    "`lib` output into CUDA_PATH."};
inline constexpr FindingKind library_unusable{
    "environment.library-unusable", Severity::config,
    "A library of the toolkit is not one that a program of this machine can load.",
    "Put the toolkit for this machine's architecture first; reinstall it if the file is damaged."};
inline constexpr FindingKind libraries_mixed{
    "environment.libraries-mixed", Severity::config,
    "More than one version of a CUDA library is in use at once, which breaks calls between them.",
    "Keep one toolkit: take other toolkits' directories out of LD_LIBRARY_PATH and CUDA_PATH, and "
    "build "
    "in a fresh build directory."};
inline constexpr FindingKind outside_store{
    "environment.outside-nix-store", Severity::config,
    "CUDA_PATH, or a library in it, does not come from the Nix store, as this run demands.",
    "Run inside the development shell (`nix develop`); on a host whose toolkit comes from "
    "elsewhere pass "
    "`--cuda-origin any`."};
inline constexpr FindingKind version_mismatch{"environment.version-mismatch", Severity::config,
                                              "Parts of the toolkit come from different releases.",
                                              "Take all parts from one release: reinstall the "
                                              "toolkit, or with Nix take every package from one "
                                              "cudaPackages set."};
inline constexpr FindingKind version_unreadable{
    "environment.version-unreadable", Severity::config,
    "A part of the toolkit does not tell its version, so it is damaged or no part of CUDA.",
    "Reinstall the toolkit; look for a foreign file of that name."};
inline constexpr FindingKind built_for_another{
    "environment.built-for-another-toolkit", Severity::config,
    "The suite was built with another toolkit than CUDA_PATH now names.",
    "Build the suite again in a fresh build directory."};
inline constexpr FindingKind host_compiler_unsupported{
    "environment.host-compiler-unsupported", Severity::config,
    "nvcc does not accept the host compiler, most often because that is newer than the toolkit.",
    "Use a host compiler of the toolkit's table (with Nix: cudaPackages.backendStdenv) and name it "
    "in "
    "CUDAHOSTCXX."};
inline constexpr FindingKind compiler_failed{
    "environment.nvcc-failed", Severity::config, "nvcc cannot even process an empty program.",
    "Run the command in the evidence by hand; reinstall the toolkit or the host compiler."};
inline constexpr FindingKind not_found_by_loader{
    "environment.library-not-loadable", Severity::config,
    "The loader does not find a library that the suite's programs need.",
    "Build the suite again with this CUDA_PATH, or add the library's directory to "
    "LD_LIBRARY_PATH."};
inline constexpr FindingKind loaded_from_elsewhere{
    "environment.loaded-from-elsewhere", Severity::config,
    "The loader takes a CUDA library from outside CUDA_PATH, so another toolkit would be tested.",
    "Take the other directory out of LD_LIBRARY_PATH, or point CUDA_PATH at that toolkit and build "
    "again."};
inline constexpr FindingKind stub_on_library_path{
    "environment.stub-on-library-path", Severity::config,
    "A directory of LD_LIBRARY_PATH holds the toolkit's stub of a driver library, which only "
    "serves "
    "for linking and refuses every call; programs find it before or in place of the driver.",
    "Take that directory off LD_LIBRARY_PATH: linkers are given it with -L."};
inline constexpr FindingKind nccl_plugin_unusable{
    "environment.nccl-plugin-unusable", Severity::config,
    "NCCL would take up a plugin that cannot be loaded or is none of its kind; it then goes "
    "without, "
    "often far more slowly, or fails.",
    "Install the plugin for this machine and this NCCL with all that it needs, or take its "
    "directory off LD_LIBRARY_PATH and unset the variable that names it."};
inline constexpr FindingKind foreign_libc{
    "environment.foreign-libc", Severity::config,
    "A directory of LD_LIBRARY_PATH holds another C or C++ library than the one that programs here "
    "were "
    "built for; programs then crash or miss GLIBC_PRIVATE and GLIBCXX symbols.",
    "Do not put a distribution's whole library directory on LD_LIBRARY_PATH: make a directory of "
    "links to "
    "the driver's libraries only, and use that."};
inline constexpr FindingKind driver_link_missing{
    "environment.driver-link-missing", Severity::config,
    "CUDA_PATH/lib holds no link to the driver's libcuda.so.1, so programs from Nix will not find "
    "it.",
    "Enter the development shell again: it makes the link; on NixOS set hardware.graphics.enable "
    "and the "
    "NVIDIA driver in the system's configuration."};
inline constexpr FindingKind driver_link_dangling{
    "environment.driver-link-dangling", Severity::config,
    "CUDA_PATH/lib/libcuda.so.1 leads nowhere: no driver is installed where it points.",
    "Install or load the NVIDIA driver; if the host keeps it elsewhere, enter the development "
    "shell again "
    "so that the link is made anew."};
inline constexpr FindingKind driver_link_wrong{
    "environment.driver-link-wrong-file", Severity::config,
    "CUDA_PATH/lib/libcuda.so.1 leads to a file that is no driver library for this machine.",
    "Make it lead to the libcuda.so.1 that the NVIDIA driver installed."};
inline constexpr FindingKind driver_link_stub{"environment.driver-link-stub", Severity::config,
                                              "CUDA_PATH/lib/libcuda.so.1 is the toolkit's stub, "
                                              "which only serves for linking and refuses every "
                                              "call.",
                                              "Put the link to the driver before the toolkit's own "
                                              "outputs when merging them; keep stubs out of "
                                              "LD_LIBRARY_PATH."};

}  // namespace conformance::environment
