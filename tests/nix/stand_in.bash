# shellcheck shell=bash disable=SC2034 # what the tests read
# For tests of the flake: checks.bash, and a clone of the project as it is, in $clone, in which `nix ... "${flake[@]}"`
# has the stand-in for nixpkgs, made of this host's tools and of $toolkit, and a store of its own. Takes the arguments
# SCRATCH [TOOLKIT] of the test; SCRATCH is removed at its end. Exit 77: this host cannot run it.

# shellcheck source-path=SCRIPTDIR source=checks.bash
source "$(dirname -- "${BASH_SOURCE[0]}")/checks.bash"
set -euo pipefail

skip() {
  printf 'SKIPPED: %s\n' "$*"
  exit 77
}
scratch=${1:?usage: ${0##*/} SCRATCH [TOOLKIT]}
toolkit=${2-/usr/local/cuda}
[[ $scratch =~ ^/[A-Za-z0-9/._-]+$ ]] || skip "Nix takes no such path for a flake: $scratch"
for program in nix nix-store git; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
[[ -x $toolkit/bin/nvcc ]] || skip "the stand-in for nixpkgs needs a CUDA toolkit, and $toolkit is none"
[[ ! -e $toolkit/foreign-compiler ]] || skip "the compiler in $toolkit is of another release, which the suite would tell"
git -C "$repository" rev-parse --git-dir >/dev/null || skip "$repository is not a git checkout"

remove_scratch() {
  [[ ! -e $scratch ]] || chmod -R u+w -- "$scratch"
  rm -rf -- "$scratch"
}
remove_scratch
trap 'remove_scratch; clean_up' EXIT
clone=$scratch/clone
mkdir -p -- "$clone" "$scratch/store" "$scratch/conf"
export NIX_STORE_DIR=$scratch/store NIX_STATE_DIR=$scratch/var/nix NIX_LOG_DIR=$scratch/var/log
export NIX_CONF_DIR=$scratch/conf NIX_USER_CONF_FILES='' NIX_REMOTE='' XDG_CACHE_HOME=$scratch/cache
NIX_CONFIG='experimental-features = nix-command flakes
sandbox = false
substitute = false
build-users-group =
warn-dirty = false'
export NIX_CONFIG
# What a person's shell may name must not decide the result.
unset CUDA_PATH CUDA_HOME CUDACXX CUDAHOSTCXX CC CXX LD_LIBRARY_PATH LIBRARY_PATH CPATH CMAKE_PREFIX_PATH \
  NIX_CFLAGS_COMPILE NIX_LDFLAGS NIX_STORE "${!CONFORMANCE_@}"
export CUDAARCHS=90
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CMAKE_CUDA_COMPILER_LAUNCHER=ccache
  export CCACHE_BASEDIR=$clone CCACHE_NOHASHDIR=1 CCACHE_DIR=${CCACHE_DIR-$HOME/.ccache}
  ccache=$CCACHE_DIR
fi
# shellcheck disable=SC2016 # expanded by the builder
nix-build --no-out-link -E 'derivation {
  name = "probe"; system = builtins.currentSystem; builder = "/bin/bash"; args = [ "-c" "echo > $out" ];
}' >/dev/null || skip "Nix cannot build with the host's tools here, see above"

# The files as they are now, committed or not, in a repository of their own.
git -C "$repository" ls-files -z --cached --others --exclude-standard |
  (cd -- "$repository" && while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done) |
  tar -C "$repository" --null --files-from=- -c | tar -C "$clone" -x
cd -- "$clone"
sed -i -e "s|\\(toolkit = \"\\)/usr/local/cuda|\\1$toolkit|" -e "s|\\(ccache = \"\\)|\\1${ccache-}|" tests/nix/nixpkgs/default.nix
git init -q
git add -A
git -c user.name=test -c user.email=test@localhost commit -qm test

flake=(--override-input nixpkgs "path:$clone/tests/nix/nixpkgs" --no-write-lock-file)
