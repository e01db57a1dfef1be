# A stand-in for `import nixpkgs`: exactly the attributes that the project's flake uses, with nixpkgs' outputs
# and nixpkgs' habits that the flake must cope with, made of this host's tools and the CUDA toolkit in
# /usr/local/cuda, which stands for every release. Needs `sandbox = false`.
{ system, config }:

# nixpkgs refuses CUDA packages, or builds packages without CUDA, unless it is told both.
assert config.allowUnfree;
assert config.cudaSupport;

let
  lib = import ./lib.nix;
  toolkit = "/usr/local/cuda";
  ccache = ""; # its folder, if builds may use one

  derive =
    {
      name,
      outputs ? [ "out" ],
      script,
      environment ? { },
    }:
    derivation (
      {
        inherit name outputs system;
        builder = "/bin/bash";
        args = [
          "-euc"
          ''
            shopt -s nullglob
            ${script}
          ''
        ];
        PATH = "/usr/bin:/bin";
      }
      // environment
    );

  # A package of links to files of the host.
  links = name: script: derive { inherit name script; };

  tool =
    name: programs:
    links name ''
      mkdir -p $out/bin
      for program in ${toString programs}; do
        ln -s "$(type -P $program)" $out/bin/
      done
    '';

  # Found by CMake in the host's own directories.
  hostLibrary =
    name: outputs:
    derive {
      inherit name outputs;
      script = "for output in $outputs; do mkdir -p \${!output}; done";
    };

  # Like nixpkgs' compilers, these know the shell's headers through NIX_CFLAGS_COMPILE only, and what they link finds
  # the store's libraries.
  compiler = links "gcc-wrapper" ''
    mkdir -p $out/bin
    for name in gcc g++ cc c++; do
      {
        echo '#!/bin/bash'
        echo 'paths=()'
        echo 'for word; do case $word in ${builtins.storeDir}/*.so*) paths+=(-Wl,-rpath,"''${word%/*}") ;; esac; done'
        echo "exec /usr/bin/$name \"\$@\" \"\''${paths[@]}\" \$NIX_CFLAGS_COMPILE"
      } >$out/bin/$name
      chmod +x $out/bin/$name
    done
  '';

  stdenv =
    derive {
      name = "stdenv";
      script = ''
        mkdir $out
        {
          echo 'export CC=gcc CXX=g++'
          echo 'for package in $packages ${compiler}; do PATH=$package/bin:$PATH; done'
          echo 'export PATH'
        } >$out/setup
      '';
    }
    // {
      cc = compiler;
      inherit mkDerivation;
    };

  # What nixpkgs makes of a CMake project, of the phases and hooks that the project's package uses.
  mkDerivation =
    definition:
    let
      function = if builtins.isFunction definition then definition else (_: definition);
      attributes = function (attributes // { finalPackage = package; });
      passed = removeAttrs attributes [
        "env"
        "meta"
        "passthru"
        "outputs"
      ];
      package =
        derive {
          name = "${attributes.pname}-${attributes.version}";
          environment = passed // attributes.env // {
            PATH =
              lib.makeBinPath ([ compiler ] ++ attributes.nativeBuildInputs) + ":/usr/bin:/bin";
          };
          script = ''
            patchShebangs() { :; } # these tools are where scripts look for them
            runHook() { :; }
            ${makeWrapperScript}
            if [ -n "${ccache}" ]; then
              export CMAKE_CXX_COMPILER_LAUNCHER=ccache CMAKE_CUDA_COMPILER_LAUNCHER=ccache
              export CCACHE_DIR=${ccache} CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
            fi
            cp -r $src source
            chmod -R u+w source
            cd source
            eval "''${postPatch-}"
            mkdir build
            cd build
            cmake .. -GNinja "-DCMAKE_BUILD_TYPE=$cmakeBuildType" "-DCMAKE_INSTALL_PREFIX=$out" \
              "-DCMAKE_INSTALL_BINDIR=$out/bin" "-DCMAKE_INSTALL_LIBEXECDIR=$out/libexec" \
              "-DCMAKE_INSTALL_DOCDIR=$out/share/doc/$pname" -DCMAKE_SKIP_BUILD_RPATH=ON $cmakeFlags
            cmake --build . -j "$NIX_BUILD_CORES"
            if [ -n "''${doCheck-}" ]; then eval "$checkPhase"; fi
            cmake --install .
            eval "''${postInstall-}"
            if [ -n "''${doInstallCheck-}" ]; then eval "$installCheckPhase"; fi
          '';
        }
        // attributes.passthru or { }
        // {
          inherit (attributes) meta;
          overrideAttrs =
            change:
            mkDerivation (
              final:
              let
                old = function final;
              in
              old // change old
            );
        };
    in
    package;

  makeWrapperScript = ''
    makeWrapper() {
      local program=$1 wrapper=$2
      shift 2
      {
        echo '#!/bin/bash -e'
        while (($# > 0)); do
          case $1 in
            --set-default) printf 'export %s=''${%s-%q}\n' "$2" "$2" "$3" && shift 3 ;;
            --prefix) printf 'export %s=%q''${%s:+%s$%s}\n' "$2" "$4" "$2" "$3" "$2" && shift 4 ;;
            --run) printf '%s\n' "$2" && shift 2 ;;
            *) echo "makeWrapper: what is $1?" >&2 && exit 1 ;;
          esac
        done
        printf 'exec %q "$@"\n' "$program"
      } >"$wrapper"
      chmod +x "$wrapper"
    }
  '';

  shellWith =
    { stdenv }:
    { packages, ... }@attributes:
    derivation (
      attributes
      // {
        inherit stdenv system;
        name = "nix-shell";
        outputs = [ "out" ];
        builder = "/bin/bash";
        args = [
          "-c"
          "exit 1"
        ];
        PATH = "/usr/bin:/bin";
      }
    );

  cccl = links "cuda_cccl" ''
    mkdir -p $out/include
    for entry in cccl cuda thrust cub nv; do
      [ ! -e ${toolkit}/include/$entry ] || ln -s ${toolkit}/include/$entry $out/include/
    done
  '';

  # The split of nixpkgs: a package's `out` has neither its headers nor its libraries. Libraries are copied,
  # since the suite demands that they lie in the store.
  splitLibrary =
    {
      name,
      outputs,
      headers,
      libraries,
    }:
    derive {
      inherit name outputs;
      script = ''
        for output in $outputs; do mkdir -p ''${!output}; done
        mkdir -p ''${include-$dev}/include ''${lib-$out}/lib
        for header in ${headers}; do
          ln -s $header ''${include-$dev}/include/
        done
        for library in ${libraries}; do
          cp -P $library ''${lib-$out}/lib/
        done
      '';
    };

  cudaPackagesOf = version: {
    backendStdenv = stdenv;
    cuda_cccl = cccl;

    # As in nixpkgs, lib/ has the stub of libcuda, by the driver's name.
    cuda_cudart = links "cuda_cudart" ''
      mkdir -p $out/include $out/lib/stubs
      for header in ${toolkit}/include/*; do
        case ''${header##*/} in
          crt | cccl | cuda | thrust | cub | nv | cublas* | nccl* | nvml* | nvrtc*) ;;
          *) ln -s $header $out/include/ ;;
        esac
      done
      cp -P ${toolkit}/lib64/libcudart* ${toolkit}/lib64/libcudadevrt* $out/lib/
      ln -s ${toolkit}/lib64/stubs/libcuda.so $out/lib/stubs/libcuda.so
      ln -s libcuda.so $out/lib/stubs/libcuda.so.1
      ln -s stubs/libcuda.so stubs/libcuda.so.1 $out/lib/
    '';

    # As in nixpkgs, nvcc is wrapped, keeps the name it is called by, and knows no headers but its own.
    cuda_nvcc = {
      inherit version;
    }
    // links "cuda_nvcc" ''
      mkdir -p $out/bin $out/include $out/nix-support
      for program in ${toolkit}/bin/*; do
        case ''${program##*/} in
          nvcc | nvcc.profile) ;;
          *) ln -s $program $out/bin/ ;;
        esac
      done
      ln -s ${toolkit}/bin/nvcc $out/bin/.nvcc-wrapped
      printf '#!/bin/bash\nexec -a "$0" %s "$@"\n' $out/bin/.nvcc-wrapped >$out/bin/nvcc
      chmod +x $out/bin/nvcc
      sed -e 's|$(_TARGET_SIZE_)||g' \
        -e "s|\$(TOP)/\$(_TARGET_DIR_)/include/cccl|${cccl}/include|" \
        -e "s|\$(TOP)/\$(_TARGET_DIR_)/include|$out/include|" \
        -e "s|\$(TOP)/include/cccl|${cccl}/include|" -e "s|\$(TOP)/include|$out/include|" \
        -e "s|\$(TOP)/nvvm|$out/nvvm|" ${toolkit}/bin/nvcc.profile >$out/bin/nvcc.profile
      printf '\ncompiler-bindir = %s\n' ${compiler}/bin >>$out/bin/nvcc.profile
      ln -s ${toolkit}/nvvm $out/nvvm
      ln -s ${toolkit}/include/crt $out/include/
      echo "this set-up hook must not run" >$out/nix-support/setup-hook
    '';

    cuda_cuobjdump = optionalTool "cuobjdump";
    cuda_sanitizer_api = optionalTool "compute-sanitizer";

    libcublas = splitLibrary {
      name = "libcublas";
      outputs = [
        "out"
        "dev"
        "include"
        "lib"
        "static"
        "stubs"
      ];
      headers = "${toolkit}/include/cublas*";
      libraries = "${toolkit}/lib64/libcublas*.so*";
    };
    cuda_nvrtc = splitLibrary {
      name = "cuda_nvrtc";
      outputs = [
        "out"
        "dev"
        "include"
        "lib"
        "static"
        "stubs"
      ];
      headers = "${toolkit}/include/nvrtc*";
      libraries = "${toolkit}/lib64/libnvrtc*.so*";
    };
    cuda_nvml_dev = splitLibrary {
      name = "cuda_nvml_dev";
      outputs = [
        "out"
        "dev"
        "include"
        "stubs"
      ];
      headers = "${toolkit}/include/nvml*";
      libraries = "";
    };
    nccl = splitLibrary {
      name = "nccl";
      outputs = [
        "out"
        "dev"
        "static"
      ];
      headers = "${toolkit}/include/nccl*";
      libraries = "${toolkit}/lib64/libnccl.so*";
    };
  };

  # Tools that CUDA's packages on this host may lack.
  optionalTool =
    program:
    links program ''
      mkdir -p $out/bin
      [ ! -e ${toolkit}/bin/${program} ] || ln -s ${toolkit}/bin/${program} $out/bin/
    '';

  cudaPackages_12 = cudaPackagesOf "12.9.86" // {
    cuda_crt = throw "cuda_crt does not evaluate for CUDA 12";
    libnvvm = throw "libnvvm does not evaluate for CUDA 12";
    cuda_gdb = optionalTool "cuda-gdb" // {
      meta.available = true;
    };
  };
  cudaPackages_13 =
    version:
    cudaPackagesOf version
    // {
      cuda_crt = links "cuda_crt" "mkdir -p $out/include; ln -s ${toolkit}/include/crt $out/include/";
      libnvvm = links "libnvvm" "ln -s ${toolkit}/nvvm $out";
      cuda_gdb.meta.available = false;
    };

  # JAX or PyTorch: nixpkgs builds them without CUDA unless they, and nixpkgs, are told otherwise, and takes the
  # architectures of config.cudaCapabilities as plain numbers.
  framework = name: {
    override =
      { cudaSupport }:
      assert cudaSupport;
      assert config.cudaCapabilities != [ ];
      assert builtins.all (
        capability: builtins.match "[0-9]+[.][0-9]" capability != null
      ) config.cudaCapabilities;
      hostLibrary name [ "out" ];
  };

  self = {
    inherit lib;
    callPackage =
      path: overrides:
      let
        function = import path;
      in
      function (builtins.intersectAttrs (builtins.functionArgs function) self // overrides);
    bashInteractive = tool "bash-interactive" [ "bash" ];
    addDriverRunpath.driverLink = "/run/opengl-driver";
    mkShell.override = shellWith;
    runCommand =
      name: environment: script:
      derive { inherit name environment script; };
    # Links every file, so that relative links stay relative; the first path wins.
    symlinkJoin =
      {
        name,
        paths,
        postBuild,
      }:
      links name ''
        mkdir $out
        for path in ${toString paths}; do
          cd $path
          find . -mindepth 1 -type d -exec mkdir -p $out/{} \;
          find . ! -type d -print0 | while IFS= read -r -d "" entry; do
            [ ! -e $out/$entry ] && [ ! -L $out/$entry ] || continue
            if [ -L $entry ]; then cp -P $entry $out/$entry; else ln -s $path/$entry $out/$entry; fi
          done
        done
        ${postBuild}
      '';

    cmake = tool "cmake" [
      "cmake"
      "ctest"
    ];
    ninja = tool "ninja" [ "ninja" ];
    gtest = hostLibrary "gtest" [
      "out"
      "dev"
    ];
    nlohmann_json = hostLibrary "nlohmann_json" [ "out" ];
    fmt = hostLibrary "fmt" [
      "out"
      "dev"
    ];
    cli11 = hostLibrary "cli11" [ "out" ];
    nixfmt-tree = tool "nixfmt-tree" [ "true" ];
    bash = tool "bash" [ "bash" ];
    coreutils = tool "coreutils" [ "env" "cat" "mkdir" "mktemp" "nproc" "realpath" "rm" ];
    gnugrep = tool "gnugrep" [ "grep" ];
    gnused = tool "gnused" [ "sed" ];
    util-linux = tool "util-linux" [ "flock" ];
    pkg-config = optionalTool "pkg-config";
    makeWrapper = hostLibrary "make-wrapper" [ "out" ];
    # With CUDA unless told otherwise; mpirun is in one output, mpicxx in another.
    openmpi.override =
      { cudaSupport }:
      assert !cudaSupport;
      hostLibrary "openmpi" [
        "out"
        "man"
        "dev"
      ];
    python3 = tool "python3" [ "python3" ] // {
      withPackages =
        choose:
        links "python3-env" "echo ${
          toString (choose {
            jax = framework "jax";
            torch = framework "torch";
          })
        } >$out";
    };

    # callPackage fills it in, so that tests build for one architecture only.
    cudaArchitectures = [ "90" ];

    cudaPackages = cudaPackages_12;
    cudaPackages_12_9 = cudaPackages_12;
    cudaPackages_13_0 = cudaPackages_13 "13.0.88";
    cudaPackages_13_1 = cudaPackages_13 "13.1.80";
    cudaPackages_13_2 = cudaPackages_13 "13.2.51";
  };
in
self
