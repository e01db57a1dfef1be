# The parts of nixpkgs' CUDA that the suite needs, merged into one CUDA_PATH, and the links that lead to the driver.
{
  lib,
  addDriverRunpath,
  cudaPackages,
  runCommand,
  symlinkJoin,
}:
let
  release = lib.versions.majorMinor cudaPackages.cuda_nvcc.version;

  # Where NixOS puts the driver. Links into it may dangle: the driver belongs to the host's kernel module and cannot
  # come from Nix. On other systems what runs the suite links the driver that it finds (link-driver).
  # libnvidia-gpucomp is named by its driver's version, so that only link-driver can link it.
  driver = runCommand "cuda-driver-link" { } ''
    mkdir -p $out/lib
    for name in libcuda.so.1 libcudadebugger.so.1 libnvidia-ml.so.1 libnvidia-nvvm.so.4 \
      libnvidia-ptxjitcompiler.so.1; do
      ln -s ${addDriverRunpath.driverLink}/lib/$name $out/lib/$name
    done
    ln -s libcuda.so.1 $out/lib/libcuda.so
  '';

  outputsOf = names: package: map (name: lib.getOutput name package) names;
  # A split package's `out` holds neither headers nor libraries.
  shared = package: outputsOf (lib.remove "static" package.outputs) package;
  # nvcc links the static runtime unless told otherwise, and so does CMake's check of the compiler.
  everything = package: outputsOf package.outputs package;
in
symlinkJoin {
  name = "cuda-toolkit-${release}";
  # The first path wins, and some packages have the stub of libcuda in lib/, so the driver is first.
  paths = [
    driver
  ]
  ++ everything cudaPackages.cuda_cudart
  ++ builtins.concatMap shared (
    [
      cudaPackages.cuda_nvcc
      cudaPackages.cuda_cuobjdump
      cudaPackages.cuda_sanitizer_api
      cudaPackages.libcublas
      cudaPackages.nccl
      cudaPackages.cuda_nvml_dev
      cudaPackages.cuda_nvrtc
      (cudaPackages.cccl or cudaPackages.cuda_cccl)
    ]
    # Not every release has it for every machine.
    ++ lib.optionals (cudaPackages.cuda_gdb.meta.available or false) [ cudaPackages.cuda_gdb ]
    ++ lib.optionals (lib.versionAtLeast release "13") [
      cudaPackages.cuda_crt
      cudaPackages.libnvvm
    ]
  );
  postBuild = ''
    if [ "$(readlink -m $out/lib/libcuda.so.1)" != "$(readlink -m ${driver}/lib/libcuda.so.1)" ]; then
      echo "lib/libcuda.so.1 leads to $(readlink -m $out/lib/libcuda.so.1), not to the driver" >&2
      exit 1
    fi
  '';
}
