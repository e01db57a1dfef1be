# shellcheck shell=bash
# Finds the host's CUDA driver. Sourced by those who link it into a toolkit; they define fail() and say().

# Whether a library is the driver's own, not the toolkit's: libcuda loads its companions by name, so that a
# lone libcuda.so.1 is not enough. The last two lines are what WSL2 and Jetson add.
driver_owns() {
  case $1 in
    libnvidia-container*) return 1 ;;
    libcuda.so* | libcudadebugger.so* | libnvidia-*.so*) return 0 ;;
    libdxcore.so* | libnvdxgdmal.so*) return 0 ;;
    libnvrm_*.so* | libnvos.so* | libnvsci*.so* | libnvsocsys.so* | libnvtegrahv.so*) return 0 ;;
    *) return 1 ;;
  esac
}

# The reason why a file cannot be this host's driver library, or nothing.
flaw() {
  local file=$1 resolved header machine
  [[ -e $file ]] || {
    if [[ -L $file ]]; then echo "it is a link to $(readlink -m -- "$file"), which does not exist"; else echo "it does not exist"; fi
    return
  }
  [[ -f $file && -r $file ]] || { echo "it is not a readable file"; return; }
  resolved=$(readlink -f -- "$file")
  # The toolkit's stub has every symbol and no driver behind them. Its file is named libcuda.so, a driver's never.
  if [[ /$file/ == */stubs/* || /$resolved/ == */stubs/* || ${resolved##*/} == libcuda.so ]]; then
    echo "it is the toolkit's stub ($resolved)"
    return
  fi
  case $(uname -m) in
    x86_64) machine=3e00 ;;
    aarch64) machine=b700 ;;
    *) fail "no driver library is known for machine $(uname -m)" ;;
  esac
  header=$(od -An -v -tx1 -N20 -- "$resolved" | tr -d ' \n')
  if [[ $header != 7f454c46* ]]; then
    echo "it is not an ELF file"
  elif [[ ${header:8:2} != 02 ]]; then
    echo "it is a 32-bit library"
  elif [[ ${header:36:4} != "$machine" ]]; then
    echo "it is built for another machine than $(uname -m)"
  fi
}

default_directories() {
  local multiarch
  multiarch=/usr/lib/$(uname -m)-linux-gnu
  # WSL2's directory exists under WSL2 only, and there any other driver is a mistake, so it comes early.
  # Forward compatibility comes last: it replaces a driver that is too old, it does not bring one.
  printf '%s\n' /run/opengl-driver/lib /usr/lib/wsl/lib \
    "$multiarch" "$multiarch/nvidia/current" "$multiarch/nvidia" "$multiarch/tegra" /usr/lib64 /usr/lib \
    /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/local/cuda/compat
}

# Sets driver_directory, to nothing if no directory has a driver. A library that is there and cannot be the
# driver is named: it is what a program that searches in another order would load.
driver_directory=
find_driver() {
  local directory reason
  if [[ -n ${CONFORMANCE_DRIVER_LIB-} ]]; then
    [[ $CONFORMANCE_DRIVER_LIB == /* ]] ||
      fail "CONFORMANCE_DRIVER_LIB=$CONFORMANCE_DRIVER_LIB must be an absolute path"
    [[ -d $CONFORMANCE_DRIVER_LIB ]] ||
      fail "CONFORMANCE_DRIVER_LIB=$CONFORMANCE_DRIVER_LIB is not a directory; it must be the one that holds libcuda.so.1"
    reason=$(flaw "$CONFORMANCE_DRIVER_LIB/libcuda.so.1")
    [[ -z $reason ]] ||
      fail "CONFORMANCE_DRIVER_LIB=$CONFORMANCE_DRIVER_LIB holds no driver: $CONFORMANCE_DRIVER_LIB/libcuda.so.1: $reason"
    driver_directory=$CONFORMANCE_DRIVER_LIB
    return
  fi
  for directory; do
    reason=$(flaw "$directory/libcuda.so.1")
    if [[ -z $reason ]]; then
      driver_directory=$directory
      return
    elif [[ -e $directory/libcuda.so.1 || -L $directory/libcuda.so.1 ]]; then
      say "passed over $directory/libcuda.so.1: $reason"
    fi
  done
}

# Fills the directory $1 with links to the driver's libraries, from driver_directory first and then from
# where its libcuda.so.1 leads (a distribution may link that one alone into its library directory).
link_driver_libraries() {
  local into=$1 from library name
  for from in "$driver_directory" "$(dirname -- "$(readlink -f -- "$driver_directory/libcuda.so.1")")"; do
    for library in "$from"/lib*.so*; do
      name=${library##*/}
      if driver_owns "$name" && [[ -e $library && ! -L $into/$name ]]; then
        ln -s -- "$library" "$into/$name"
      fi
    done
  done
  # Programs open either name; distributions put the second one into their development packages.
  ln -sfn -- libcuda.so.1 "$into/libcuda.so"
}
