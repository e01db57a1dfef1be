# shellcheck shell=bash disable=SC2034 # what the tests read
# Checks for tests that are scripts. A test sources this, groups its checks under `case_`, and ends with `finish`.
set -euo pipefail
unset CDPATH CONFORMANCE_DRIVER_LIB

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
checks=0
failures=0
cases=0
case_name=
cd -- "$work"

clean_up() {
  chmod -R u+w -- "$work"
  rm -rf -- "$work"
}
trap clean_up EXIT

# Starts a case in an empty directory of its own, whose name is as hostile as a directory's can be.
case_() {
  case_name=$1
  scene="$work/$((++cases)) a 'b' \"c\" \$(touch injected); *
d"
  mkdir -- "$scene"
}

check() {
  local what=$1
  shift
  checks=$((checks + 1))
  if ! "$@"; then
    failures=$((failures + 1))
    printf 'FAILED: %s: %s: %.600s\n' "$case_name" "$what" "$*" >&2
  fi
}

equal() { [[ $1 == "$2" ]]; }
contains() { [[ $1 == *"$2"* ]]; }
lacks() { [[ $1 != *"$2"* ]]; }

# Runs a command; sets status, output and errors.
attempt() {
  status=0
  output=$("$@" 2>"$work/stderr") || status=$?
  errors=$(<"$work/stderr")
}

finish() {
  case_name='every case'
  check 'no path was run as a command' [ ! -e "$work/injected" ]
  printf '%d checks in %d cases, %d failed\n' "$checks" "$cases" "$failures"
  ((checks > 0 && failures == 0))
}
