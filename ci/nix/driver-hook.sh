# shellcheck shell=bash
# Names the toolkit conformance_toolkit and the host's driver to what runs the suite; read by the flake's shells and by
# what the flake installs, which set conformance_nix (this directory) and conformance_toolkit (the merged toolkit in
# the store). Fails, and then CUDA_PATH is not set, when there is a driver that cannot be used.
conformance_paths=$("${conformance_nix:?}/link-driver" "${conformance_toolkit:?}") || return
eval "$conformance_paths"
export CUDA_PATH
# A second toolkit must not be named beside it.
export CUDA_HOME=$CUDA_PATH
export CUDACXX=$CUDA_PATH/bin/nvcc
# Programs find libcuda.so.1 by dlopen, through a directory that holds nothing but the driver: a distribution's whole
# library directory would bring its libc and break every program of Nix.
if [ -n "$DRIVER_LINKS" ]; then
  export LD_LIBRARY_PATH=$DRIVER_LINKS${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
# nixpkgs' nvcc knows its own headers only; the others reach it through its host compiler.
export NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE-} -isystem $CUDA_PATH/include"
unset conformance_paths DRIVER_LINKS
