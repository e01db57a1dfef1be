# What ci/conformance, ci/selftest and .ci/run share. Sourced, not run; `root` is the folder above ci/.
# shellcheck shell=bash
# shellcheck disable=SC2034  # for those who source this

# An installation has no sources, and what a build makes lies where the sources would.
if [[ -f $root/CMakeLists.txt ]]; then
  installed='' this=ci/${0##*/} default_build=$root/build
else
  installed=yes this=${0##*/} default_build=$root
fi

# What a build needs of a Debian or Ubuntu root, beside the CUDA toolkit and NCCL.
build_packages=(cmake ninja-build g++ libgtest-dev nlohmann-json3-dev libfmt-dev libcli11-dev)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# Ends the script with 2: it could not run.
give_up() {
  say "$@"
  exit 2
}

# The command by which a package is there too, wherever it came from: CMake and Ninja often come from PyPI.
declare -A package_command=([cmake]=cmake [ninja-build]=ninja [g++]=g++ [libxml2-utils]=xmllint [nix-bin]=nix
  [libopenmpi-dev]=mpicxx [python3]=python3 [python3-pip]=pip3 [openmpi-bin]=mpirun [pkg-config]=pkg-config
  [slurm-wlm]=slurmctld [munge]=munged)

is_installed() {
  local command=${package_command[$1]:-}
  [[ -n $command ]] && command -v "$command" >/dev/null && return 0
  [[ $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null) == 'install ok installed' ]]
}

# install_missing PACKAGE...: installs what the root of a Debian or Ubuntu lacks. Elsewhere, and for other
# users, only the commands can be checked; the build says what else is missing.
install_missing() {
  local missing=() package
  # A Nix shell brings everything along.
  [[ -n ${IN_NIX_SHELL:-} ]] && return 0
  if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    for package in "$@"; do
      is_installed "$package" || missing+=("$package")
    done
  fi
  ((${#missing[@]} == 0)) && return 0
  install_line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if ((EUID == 0)); then
    say "installing ${missing[*]}"
    local log
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
      --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      give_up "could not install ${missing[*]}; the whole log is $log"
    fi
    rm -f "$log"
  else
    local tool
    for tool in cmake ninja g++; do
      command -v "$tool" >/dev/null || give_up "$tool is missing; as root, run: $install_line"
    done
  fi
}

# find_toolkit: sets `toolkit` to a folder with bin/nvcc: CUDA_PATH, else CUDA_HOME, PATH, /usr/local/cuda.
find_toolkit() {
  local candidate nvcc
  toolkit=''
  nvcc=$(command -v nvcc || true)
  [[ -n $nvcc ]] && nvcc=$(realpath "$nvcc") && nvcc=${nvcc%/bin/nvcc}
  for candidate in "${CUDA_PATH:-}" "${CUDA_HOME:-}" "$nvcc" /usr/local/cuda; do
    if [[ -n $candidate && -x $candidate/bin/nvcc ]]; then
      toolkit=$candidate
      return 0
    fi
  done
  give_up "no CUDA toolkit: there is no bin/nvcc under CUDA_PATH, CUDA_HOME or /usr/local/cuda, nor nvcc in PATH"
}

# quietly LOG WHAT COMMAND...: runs a command with its output in LOG; shows the end of it if it fails.
quietly() {
  local log=$1 what=$2
  shift 2
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    [[ -n ${install_line:-} ]] && say "if something is not installed, run as root: $install_line"
    give_up "could not $what; the whole log is $log"
  fi
}

# lock_build BUILD: one script at a time works in a build folder. Descriptor 9 holds the lock; commands that
# may leave processes behind get 9>&-.
lock_build() {
  if ! mkdir -p -- "$1" 2>/dev/null || [[ ! -w $1 ]]; then
    give_up "cannot write to the build folder $1"
  fi
  exec 9>"$1/.lock"
  if ! flock -n 9; then
    say "waiting for another run in $1"
    flock 9
  fi
}

# build_preset ROOT BUILD PRESET TARGET...: configures and builds with `toolkit`.
build_preset() {
  local root=$1 build=$2 preset=$3 fresh=()
  shift 3
  local cached=''
  if [[ -f $build/CMakeCache.txt ]]; then
    cached=$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
    # What is tested must be the toolkit of today, not the one of the first build.
    [[ -n $cached && $(realpath -m -- "$cached") == "$(realpath -m -- "$toolkit/bin/nvcc")" ]] || fresh=(--fresh)
  fi
  quietly "$build/configure.log" "configure $build" cmake -S "$root" --preset "$preset" -B "$build" \
    "${fresh[@]}" "-DCUDAToolkit_ROOT=$toolkit"
  quietly "$build/build.log" "build $build" cmake --build "$build" "$@"
}
