#pragma once

#include "fixtures/finding.h"

namespace conformance::driver {

inline constexpr FindingKind not_found{
    "driver.not-found", Severity::config,
    "No NVIDIA driver library was found: the loader knows no libcuda.so.1.",
    "Install the NVIDIA driver on the host; in a container start it with the GPU options (such as "
    "`--gpus "
    "all`), which pass the driver in; with Nix enter the development shell again, which links the "
    "driver "
    "into CUDA_PATH/lib, or add the driver's directory to LD_LIBRARY_PATH."};
inline constexpr FindingKind wrong_architecture{
    "driver.wrong-architecture", Severity::config,
    "The libcuda.so.1 that the loader finds first is for another kind of machine, such as a 32-bit "
    "one.",
    "Take that directory off LD_LIBRARY_PATH, or put the directory of the 64-bit driver before "
    "it."};
inline constexpr FindingKind unloadable{"driver.library-unloadable", Severity::driver,
                                        "There is a libcuda.so.1, but it cannot be loaded.",
                                        "Read the loader's message: a missing library or symbol "
                                        "means that parts of another driver or C library "
                                        "are on LD_LIBRARY_PATH, a short file that the driver's "
                                        "installation broke off; reinstall the driver."};
inline constexpr FindingKind stub_loaded{
    "driver.stub-loaded", Severity::config,
    "The libcuda.so.1 that programs load is the toolkit's stub, which only serves for linking.",
    "Take the toolkit's `stubs` directory off LD_LIBRARY_PATH and out of run paths, so that the "
    "driver's own "
    "library is found."};
inline constexpr FindingKind not_a_driver{
    "driver.not-a-driver", Severity::driver,
    "The libcuda.so.1 that programs load is not NVIDIA's driver library.",
    "Find out which package the file in the evidence belongs to and remove it; reinstall the "
    "driver."};
inline constexpr FindingKind no_gpu{
    "driver.no-gpu-on-host", Severity::infrastructure,
    "There is no NVIDIA GPU in this machine, as far as its PCI bus shows.",
    "Run on a machine with a GPU; in a virtual machine pass the GPU through; if there should be "
    "one, check "
    "that it is seated and powered (`lspci -d 10de:`)."};
inline constexpr FindingKind module_not_loaded{
    "driver.module-not-loaded", Severity::driver,
    "There is a GPU, but the NVIDIA kernel module is not loaded.",
    "Run `modprobe nvidia` and read the kernel log if it fails; after a kernel upgrade build the "
    "module "
    "again (DKMS) or reboot into the kernel that it was built for."};
inline constexpr FindingKind module_rejected{
    "driver.module-rejected", Severity::config,
    "There is a GPU and Secure Boot is on, but the NVIDIA kernel module is not loaded: most often "
    "its "
    "signature is not accepted (\"Key was rejected by service\").",
    "Sign the module with a key that is enrolled (`mokutil --import`), use the distribution's "
    "signed module, "
    "or switch Secure Boot off."};
inline constexpr FindingKind nouveau_loaded{
    "driver.nouveau-loaded", Severity::config,
    "The open-source kernel driver (nouveau or nova) holds the GPU, so NVIDIA's cannot.",
    "Blacklist that module (`blacklist nouveau`, `options nouveau modeset=0`), rebuild the initial "
    "ramdisk "
    "and reboot."};
inline constexpr FindingKind nodes_missing{"driver.device-nodes-missing", Severity::config,
                                           "The kernel module is loaded, but the device nodes "
                                           "/dev/nvidiactl and /dev/nvidiaN are not there.",
                                           "Run `nvidia-modprobe -c 0 -u` or `nvidia-smi` once as "
                                           "root; in a container pass the GPUs in (`--gpus "
                                           "all`, or a CDI device)."};
inline constexpr FindingKind node_denied{
    "driver.device-node-denied", Severity::config,
    "A device node of the driver cannot be opened by this process.",
    "Check the node's owner, group and mode, and this user's groups; in a container the device "
    "cgroup must "
    "allow the node, and a reload of the container host's service manager can take that away: "
    "start the "
    "container again."};
inline constexpr FindingKind uvm_missing{
    "driver.uvm-missing", Severity::driver,
    "The module for unified memory is not usable: /dev/nvidia-uvm is not there.",
    "Run `nvidia-modprobe -u -c 0` or `modprobe nvidia_uvm`; in a container pass /dev/nvidia-uvm "
    "in too."};
inline constexpr FindingKind uvm_failed{
    "driver.initialisation-refused", Severity::driver,
    "cuInit says that it could not initialise, though the driver answers otherwise: most often the "
    "module "
    "for unified memory fails.",
    "Reload it (`rmmod nvidia_uvm && modprobe nvidia_uvm`); if that does not help, load it with "
    "`uvm_disable_hmm=1`, and read the kernel log."};
inline constexpr FindingKind no_device{
    "driver.no-device", Severity::driver, "The driver is loaded but finds no GPU that it can use.",
    "Look at the kernel log (`dmesg | grep -i nvrm`): a GPU that failed to start, or one that this "
    "driver "
    "branch no longer supports, is named there."};
inline constexpr FindingKind hidden_by_variable{
    "driver.hidden-by-variable", Severity::config,
    "CUDA_VISIBLE_DEVICES hides every GPU of this host, so the driver finds none.",
    "Unset the variable or correct it: an empty value means none, and the list ends at its first "
    "invalid entry."};
inline constexpr FindingKind unavailable{"driver.device-unavailable", Severity::config,
                                         "The GPU is busy or may not be used: another process "
                                         "holds it alone, or its compute mode prohibits use.",
                                         "Look at `nvidia-smi -q -d COMPUTE` and at the processes "
                                         "on the GPU; set the mode back to Default."};
inline constexpr FindingKind invalid_device{
    "driver.invalid-device", Severity::config,
    "The driver was asked for a GPU that it does not have, or that is in a state that allows no "
    "use.",
    "Check CUDA_VISIBLE_DEVICES and the MIG configuration (`nvidia-smi -L`)."};
inline constexpr FindingKind os_call_failed{
    "driver.system-call-failed", Severity::config,
    "A call of the driver into the operating system failed.",
    "Run the entry under `strace -f` and look for the failing call on /dev/nvidia*; check limits "
    "on memory "
    "and files, seccomp and the container's device rules."};
inline constexpr FindingKind system_not_ready{
    "driver.system-not-ready", Severity::infrastructure,
    "The GPUs wait for the NVLink fabric: the Fabric Manager does not run, or is of another "
    "version than "
    "the driver.",
    "Install nvidia-fabricmanager in exactly the driver's version and start it (`systemctl restart "
    "nvidia-fabricmanager`); see `nvidia-smi -q | grep -A3 Fabric`."};
inline constexpr FindingKind library_mismatch{
    "driver.library-mismatch", Severity::driver,
    "libcuda.so.1 does not fit the kernel module: it is older than the module, or a compatibility "
    "package "
    "that does not support this module.",
    "Remove the cuda-compat package, or its directory from LD_LIBRARY_PATH, so that the driver's "
    "own library "
    "is used; in containers use an image whose compat package is newer than the host's driver."};
inline constexpr FindingKind compat_unsupported{
    "driver.compat-not-supported", Severity::config,
    "A forward-compatibility libcuda.so.1 is used, which this GPU does not support; after a driver "
    "upgrade "
    "without reboot the driver says the same.",
    "Reboot if the driver was upgraded; otherwise remove the cuda-compat package or its directory "
    "from "
    "LD_LIBRARY_PATH, and upgrade the driver instead."};
inline constexpr FindingKind mps_failed{
    "driver.mps-failed", Severity::config,
    "The process is a client of the Multi-Process Service, which does not answer.",
    "Start the control daemon (`nvidia-cuda-mps-control -d`), or unset CUDA_MPS_PIPE_DIRECTORY."};
inline constexpr FindingKind unknown_error{
    "driver.unknown-error", Severity::driver,
    "The driver failed to initialise and does not say why; known reasons are a GPU or "
    "unified-memory module "
    "lost in suspend, and a device cgroup that changed while the container ran.",
    "Read the kernel log; reload nvidia_uvm (`rmmod nvidia_uvm && modprobe nvidia_uvm`) or reboot; "
    "in a "
    "container start it again."};
inline constexpr FindingKind init_failed{
    "driver.initialisation-failed", Severity::driver,
    "cuInit failed with a code for which the suite knows no particular cause.",
    "Look the code up under CUresult in the CUDA Driver API; read the kernel log."};
inline constexpr FindingKind version_mismatch{
    "driver.version-mismatch", Severity::driver,
    "The driver's parts are of different versions: the libraries are not those of the loaded "
    "kernel module.",
    "Reboot, or unload and load the kernel modules, after a driver upgrade; if it stays, remove "
    "the files of "
    "the other version; in a container, or with Nix, pass the host's present driver in again."};
inline constexpr FindingKind cuda_version_mismatch{
    "driver.cuda-version-mismatch", Severity::driver,
    "libcuda and NVML disagree on the CUDA version that the driver supports.",
    "Two drivers' libraries are mixed: see which files are loaded in the evidence and remove the "
    "foreign "
    "one."};
inline constexpr FindingKind toolkit_unsupported{
    "driver.toolkit-not-supported", Severity::driver,
    "The driver does not support programs that this toolkit builds.",
    "Upgrade the driver to the version that the finding names, or use a toolkit that the driver "
    "supports; "
    "on data-center GPUs NVIDIA's package cuda-compat of the toolkit's release helps, too."};
inline constexpr FindingKind compat_hides_driver{
    "driver.compat-hides-driver", Severity::config,
    "A forward-compatibility package's libcuda is loaded in place of the driver's own, though the "
    "driver is newer.",
    "Remove the cuda-compat package, or its directory from LD_LIBRARY_PATH and from "
    "/etc/ld.so.conf.d."};
inline constexpr FindingKind wrapper_mismatch{
    "driver.wrapper-of-another-driver", Severity::config,
    "The program is wrapped with a driver library of its own (nixGL, Flatpak), which is not of the "
    "version of the host's kernel module.",
    "Build the wrapper again for the present driver (nixGL: with `--impure`, so that it looks), or "
    "update it (`flatpak update`); better, link the host's own driver libraries."};
inline constexpr FindingKind companion_missing{
    "driver.companion-missing", Severity::config,
    "A library that belongs to the driver, and that libcuda loads when it needs it, cannot be "
    "loaded.",
    "Link all of the driver's libraries beside libcuda.so.1, not that one alone; in a container "
    "add `compute` to NVIDIA_DRIVER_CAPABILITIES; else install the driver's missing package."};
inline constexpr FindingKind library_twice{
    "driver.library-twice", Severity::config,
    "A process that loads CUDA's libraries gets two files of one library, so a program may mix "
    "what must not be mixed, or find a symbol's version missing (GLIBCXX_3.4.x).",
    "See in the evidence which directory brings the second file, and take it off LD_LIBRARY_PATH "
    "or remove the file: of CUDA's libraries only those in CUDA_PATH are wanted, of the C and C++ "
    "libraries only the host's."};
inline constexpr FindingKind libraries_mixed{
    "driver.libraries-mixed", Severity::driver,
    "libcuda.so.1 and a library that belongs to it come from different drivers.",
    "Put all libraries of one driver into one directory, and take other directories off "
    "LD_LIBRARY_PATH."};
inline constexpr FindingKind nvml_missing{
    "driver.nvml-missing", Severity::config,
    "The driver's management library, libnvidia-ml.so.1, is not found.",
    "Link it beside libcuda.so.1; in a container add `utility` to NVIDIA_DRIVER_CAPABILITIES."};
inline constexpr FindingKind nvml_failed{
    "driver.nvml-failed", Severity::driver,
    "NVML, the driver's management library, refuses to work.",
    "Run `nvidia-smi`, which uses it too, and follow its message; read the kernel log."};
inline constexpr FindingKind jit_library_missing{
    "driver.jit-library-missing", Severity::config,
    "The driver's compiler for PTX, libnvidia-ptxjitcompiler, is not found, so code without a "
    "ready-made "
    "binary for this GPU cannot run (error 221).",
    "Link all of the driver's libraries beside libcuda.so.1, not that one alone; in a container "
    "add `compute` "
    "to NVIDIA_DRIVER_CAPABILITIES."};
inline constexpr FindingKind entry_point_missing{
    "driver.entry-point-missing", Severity::driver,
    "The driver lacks functions that its version of CUDA has, so programs fail at first use.",
    "The library is damaged, or wrapped by another one: reinstall the driver, and remove what is "
    "preloaded "
    "over libcuda.so.1."};
inline constexpr FindingKind entry_point_wrong{
    "driver.entry-point-wrong", Severity::driver,
    "The driver's search for its own functions (cuGetProcAddress) gives wrong answers, so programs "
    "call the wrong function or none.",
    "Something wraps or preloads libcuda.so.1, or the driver is damaged: remove what is preloaded "
    "(LD_PRELOAD, /etc/ld.so.preload), then reinstall the driver."};
inline constexpr FindingKind error_text_wrong{
    "driver.error-text-wrong", Severity::driver,
    "The driver does not name its own error codes as CUDA's headers do, so programs report the "
    "wrong error.",
    "The library is damaged, or wrapped by another one: reinstall the driver, and remove what is "
    "preloaded over libcuda.so.1."};
inline constexpr FindingKind gpu_refused{
    "driver.gpu-refused", Severity::driver,
    "The driver counts a GPU which it then cannot describe.",
    "Look for that GPU in the kernel log (`dmesg | grep -i nvrm`): one that failed or fell off the "
    "bus is named there; reset it or reboot."};
inline constexpr FindingKind context_wrong{
    "driver.context-wrong", Severity::driver,
    "The driver does not keep its contexts as documented: who has one, which is current, and that "
    "it "
    "is gone once destroyed.",
    "Something wraps or preloads libcuda.so.1, or the driver is damaged: remove what is preloaded, "
    "reinstall the driver and reboot."};
inline constexpr FindingKind context_leak{
    "driver.context-leak", Severity::driver,
    "Memory of contexts that were destroyed does not become free again, so programs that run long "
    "use the GPU up.",
    "See in `nvidia-smi` whether another process takes the memory meanwhile; otherwise upgrade the "
    "driver."};
inline constexpr FindingKind ptx_rejected{
    "driver.ptx-rejected", Severity::driver,
    "The driver's compiler refuses PTX that is right (CUDA_ERROR_INVALID_PTX).",
    "Read the compiler's log in the evidence; see that libnvidia-ptxjitcompiler is libcuda's own, "
    "and "
    "reinstall the driver."};
inline constexpr FindingKind module_check_wrong{
    "driver.module-check-wrong", Severity::driver,
    "The driver does not refuse a module as documented, so programs cannot tell why theirs fails.",
    "Something wraps or preloads libcuda.so.1, or the driver is damaged: remove what is preloaded, "
    "and reinstall the driver."};
inline constexpr FindingKind module_result_wrong{
    "driver.module-result-wrong", Severity::driver,
    "A kernel from a module that the driver loaded does not compute what it must.",
    "If PTX alone is concerned, the driver's compiler is at fault: upgrade the driver. Otherwise "
    "look "
    "for Xid messages of that GPU in the kernel log, and at the memory layer's findings."};

}  // namespace conformance::driver
