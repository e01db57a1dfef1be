# shellcheck shell=bash
# What `nix develop` does on entry; read by the flake's shells, which set conformance_nix (this directory) and
# conformance_toolkit (the merged toolkit in the store).
#
# The hook sets the environment and nothing else. `nix develop -c ctest` configures and builds through the
# ctest of bin/, put first on PATH here: a hook that built and changed into the build directory would do so
# for `nix develop -c cmake ...` and for an editor too, would break their relative paths, and could not tell
# which command it runs for.
if conformance_paths=$("${conformance_nix:?}/link-driver" "${conformance_toolkit:?}"); then
  eval "$conformance_paths"
else
  case $- in
    *i*) CUDA_PATH=$conformance_toolkit DRIVER_LINKS='' ;;
    *) exit 1 ;;
  esac
fi
export CUDA_PATH
# A second toolkit must not be named beside it.
export CUDA_HOME=$CUDA_PATH
export CUDACXX=$CUDA_PATH/bin/nvcc
export CTEST_OUTPUT_ON_FAILURE=1
# Programs built here find libcuda.so.1 by dlopen, through a directory that holds nothing but the driver: a
# distribution's whole library directory would bring its libc and break every program of Nix.
if [ -n "$DRIVER_LINKS" ]; then
  export LD_LIBRARY_PATH=$DRIVER_LINKS${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
# nixpkgs' nvcc knows its own headers only; the others reach it through its host compiler.
export NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE-} -isystem $CUDA_PATH/include"
export PATH=$conformance_nix/bin:$CUDA_PATH/bin:$PATH
unset conformance_paths conformance_toolkit conformance_nix DRIVER_LINKS
