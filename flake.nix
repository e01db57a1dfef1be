{
  description = "A CUDA conformance suite: does this host keep the promises that CUDA code relies on?";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];

      # The CUDA releases that there is a shell for, as cuda12_9 and so on. 12.9 serves the widest range of
      # drivers, so it is the default.
      releases = [
        "12.9"
        "13.0"
        "13.1"
        "13.2"
      ];
      underscored = builtins.replaceStrings [ "." ] [ "_" ];
      cudaFor = pkgs: release: pkgs."cudaPackages_${underscored release}";

      pkgsFor =
        system:
        import nixpkgs {
          inherit system;
          config = {
            allowUnfree = true;
            cudaSupport = true;
          };
        };

      # Where NixOS puts the driver. Links into it may dangle: the driver belongs to the host's kernel module
      # and cannot come from Nix. On other systems the shell links the driver that it finds (ci/nix/link-driver).
      # libnvidia-gpucomp is named by its driver's version, so that only the shell can link it.
      driverFor =
        pkgs:
        pkgs.runCommand "cuda-driver-link" { } ''
          mkdir -p $out/lib
          for name in libcuda.so.1 libcudadebugger.so.1 libnvidia-ml.so.1 libnvidia-nvvm.so.4 \
            libnvidia-ptxjitcompiler.so.1; do
            ln -s ${pkgs.addDriverRunpath.driverLink}/lib/$name $out/lib/$name
          done
          ln -s libcuda.so.1 $out/lib/libcuda.so
        '';

      toolkitFor =
        pkgs: release:
        let
          cuda = cudaFor pkgs release;
          driver = driverFor pkgs;
          outputsOf = names: package: map (name: lib.getOutput name package) names;
          # A split package's `out` holds neither headers nor libraries.
          shared = package: outputsOf (lib.remove "static" package.outputs) package;
          # nvcc links the static runtime unless told otherwise, and so does CMake's check of the compiler.
          everything = package: outputsOf package.outputs package;
        in
        pkgs.symlinkJoin {
          name = "cuda-toolkit-${release}";
          # The first path wins, and some packages have the stub of libcuda in lib/, so the driver is first.
          paths = [
            driver
          ]
          ++ everything cuda.cuda_cudart
          ++ builtins.concatMap shared (
            [
              cuda.cuda_nvcc
              cuda.libcublas
              cuda.nccl
              cuda.cuda_nvml_dev
              cuda.cuda_nvrtc
              (cuda.cccl or cuda.cuda_cccl)
            ]
            ++ lib.optionals (lib.versionAtLeast release "13") [
              cuda.cuda_crt
              cuda.libnvvm
            ]
          );
          postBuild = ''
            if [ "$(readlink -m $out/lib/libcuda.so.1)" != "$(readlink -m ${driver}/lib/libcuda.so.1)" ]; then
              echo "lib/libcuda.so.1 leads to $(readlink -m $out/lib/libcuda.so.1), not to the driver" >&2
              exit 1
            fi
          '';
        };

      shellFor =
        pkgs: release:
        let
          inherit (cudaFor pkgs release) backendStdenv;
        in
        # nvcc takes no host compiler newer than it knows; backendStdenv has one that it does.
        pkgs.mkShell.override { stdenv = backendStdenv; } {
          packages = [
            pkgs.cmake
            pkgs.ninja
            pkgs.gtest
            pkgs.nlohmann_json
            pkgs.fmt
            pkgs.cli11
          ];
          CUDAHOSTCXX = "${backendStdenv.cc}/bin/c++";
          shellHook = ''
            conformance_nix=${./ci/nix}
            conformance_toolkit=${toolkitFor pkgs release}
            . ${./ci/nix}/develop-hook.sh
          '';
        };
    in
    {
      devShells = lib.genAttrs systems (
        system:
        let
          pkgs = pkgsFor system;
          shells = builtins.listToAttrs (
            map (release: {
              name = "cuda${underscored release}";
              value = shellFor pkgs release;
            }) releases
          );
        in
        shells // { default = shells.cuda12_9; }
      );

      formatter = lib.genAttrs systems (system: (pkgsFor system).nixfmt-tree);
    };
}
