# shellcheck shell=bash
# What `nix develop` does on entry; read by the flake's shells, which set conformance_nix (this directory) and
# conformance_toolkit (the merged toolkit in the store).
#
# The hook sets the environment and nothing else. `nix develop -c ctest` configures and builds through the
# ctest of bin/, put first on PATH here: a hook that built and changed into the build directory would do so
# for `nix develop -c cmake ...` and for an editor too, would break their relative paths, and could not tell
# which command it runs for.
# shellcheck source=ci/nix/driver-hook.sh
if ! . "${conformance_nix:?}/driver-hook.sh"; then
  case $- in
    *i*) export CUDA_PATH=$conformance_toolkit CUDA_HOME=$conformance_toolkit CUDACXX=$conformance_toolkit/bin/nvcc ;;
    *) exit 1 ;;
  esac
fi
export CTEST_OUTPUT_ON_FAILURE=1
export PATH=$conformance_nix/bin:$CUDA_PATH/bin:$PATH
unset conformance_toolkit conformance_nix
