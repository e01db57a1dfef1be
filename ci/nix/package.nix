# The suite, installed: callPackage ./package.nix { }. Programs are built for every major architecture unless
# cudaArchitectures names some, such as [ "90" ]; another CUDA is cudaPackages = cudaPackages_13_0.
{
  lib,
  bash,
  callPackage,
  cli11,
  cmake,
  coreutils,
  cudaPackages,
  fmt,
  gnugrep,
  gnused,
  gtest,
  makeWrapper,
  ninja,
  nlohmann_json,
  openmpi,
  pkg-config,
  python3,
  util-linux,
  cudaArchitectures ? [ ],
}:
let
  inherit (cudaPackages) backendStdenv;
  toolkit = callPackage ./toolkit.nix { inherit cudaPackages; };
  # The ranks give it host memory only, and its CUDA would be nixpkgs' own, not this one.
  mpi = openmpi.override { cudaSupport = false; };
  hostCompiler = "${backendStdenv.cc}/bin/c++";
in
backendStdenv.mkDerivation (finalAttrs: {
  pname = "cuda-conformance";
  version = "0.1.0";

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../CMakeLists.txt
      ../../CMakePresets.json
      ../../LICENSE
      ../../README.md
      ../../ci
      ../../fixtures
      ../../kernels
      ../../suites
      ../../tests
    ];
  };

  strictDeps = true;
  nativeBuildInputs = [
    cmake
    makeWrapper
    ninja
    mpi
  ];
  buildInputs = [
    cli11
    fmt
    gtest
    mpi
    nlohmann_json
  ];

  # nixpkgs' nvcc knows its own headers only; the others reach it through its host compiler.
  env = {
    CUDAHOSTCXX = hostCompiler;
    NIX_CFLAGS_COMPILE = "-isystem ${toolkit}/include";
  };
  cmakeBuildType = "RelWithDebInfo";
  cmakeFlags = [
    "--preset=conformance"
    "-DCUDAToolkit_ROOT=${toolkit}"
    "-DCMAKE_CUDA_COMPILER=${toolkit}/bin/nvcc"
    "-DCMAKE_CUDA_ARCHITECTURES=${
      if cudaArchitectures == [ ] then "all-major" else lib.concatStringsSep ";" cudaArchitectures
    }"
  ];

  # The commands meet the host's driver as the shells do, and bring what they call. CONFORMANCE_TOOLKIT names another
  # toolkit; CUDA_PATH does not, as that is often the distribution's.
  postInstall = ''
    for command in cuda-conformance cuda-conformance-validate cuda-conformance-audit; do
      program=$(realpath $out/bin/$command)
      rm $out/bin/$command
      makeWrapper $program $out/bin/$command \
        --set-default CUDAHOSTCXX ${hostCompiler} \
        --prefix PATH : ${
          lib.makeBinPath [
            bash
            cmake
            coreutils
            gnugrep
            gnused
            mpi
            ninja
            pkg-config
            util-linux
            backendStdenv.cc
          ]
        } \
        --run 'conformance_nix=${./.} conformance_toolkit=''${CONFORMANCE_TOOLKIT:-${toolkit}}; . $conformance_nix/driver-hook.sh || exit 2'
    done
  '';

  passthru = {
    inherit mpi toolkit;

    # Runs the suite on this machine's GPUs; for machines whose Nix offers the feature "cuda".
    gpuCheck = finalAttrs.finalPackage.overrideAttrs (old: {
      pname = "${old.pname}-gpu-check";
      requiredSystemFeatures = [ "cuda" ];
      doInstallCheck = true;
      installCheckPhase = ''
        runHook preInstallCheck
        $out/bin/cuda-conformance --report $out/report
        runHook postInstallCheck
      '';
    });

    # The suite's own tests, which need neither GPU nor driver. Left out are those that need more of the host than a
    # sandbox has: a browser, Slurm, pip, Nix.
    tests.selftest = finalAttrs.finalPackage.overrideAttrs (old: {
      pname = "${old.pname}-selftest";
      nativeBuildInputs = old.nativeBuildInputs ++ [ python3 ];
      cmakeFlags = old.cmakeFlags ++ [
        "-DCONFORMANCE_SELFTEST=ON"
        "-DCMAKE_CUDA_ARCHITECTURES=90"
      ];
      postPatch = ''
        patchShebangs ci tests
      '';
      doCheck = true;
      checkPhase = ''
        runHook preCheck
        ctest -R '^(unit|fuzz|simulator|configure|scenarios)' -j $NIX_BUILD_CORES --output-on-failure --no-tests=error
        runHook postCheck
      '';
    });
  };

  meta = {
    description = "CUDA conformance suite: does this host keep the promises that CUDA code relies on?";
    license = lib.licenses.mit;
    mainProgram = "cuda-conformance";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
})
