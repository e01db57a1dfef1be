{
  description = "A CUDA conformance suite: does this host keep the promises that CUDA code relies on?";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];

      # The CUDA releases that there are shells and packages for, as cuda12_9 and so on. The first is the default:
      # 12.9 serves the widest range of drivers.
      releases = [
        "12.9"
        "13.0"
        "13.1"
        "13.2"
      ];
      underscored = builtins.replaceStrings [ "." ] [ "_" ];
      named = release: "cuda${underscored release}";
      cudaFor = pkgs: release: pkgs."cudaPackages_${underscored release}";
      forReleases =
        value:
        builtins.listToAttrs (
          map (release: {
            name = named release;
            value = value release;
          }) releases
        );
      withDefault = values: values // { default = values.${named (builtins.head releases)}; };

      pkgsWith =
        config: system:
        import nixpkgs {
          inherit system;
          config = {
            allowUnfree = true;
            cudaSupport = true;
          }
          // config;
        };
      pkgsFor = pkgsWith { };
      forSystems = lib.genAttrs systems;

      packageFor =
        pkgs: release: pkgs.callPackage ./ci/nix/package.nix { cudaPackages = cudaFor pkgs release; };

      shellFor =
        {
          pkgs,
          release,
          packages ? [ ],
        }:
        let
          inherit (cudaFor pkgs release) backendStdenv;
          package = packageFor pkgs release;
        in
        # nvcc takes no host compiler newer than it knows; backendStdenv has one that it does.
        pkgs.mkShell.override { stdenv = backendStdenv; } {
          packages = [
            pkgs.cmake
            pkgs.ninja
            pkgs.pkg-config
            pkgs.gtest
            pkgs.nlohmann_json
            pkgs.fmt
            pkgs.cli11
            # mpirun is in one, mpicxx in the other.
            (lib.getBin package.mpi)
            (lib.getDev package.mpi)
          ]
          ++ packages;
          CUDAHOSTCXX = "${backendStdenv.cc}/bin/c++";
          shellHook = ''
            conformance_nix=${./ci/nix}
            conformance_toolkit=${package.toolkit}
            . ${./ci/nix}/develop-hook.sh
          '';
        };

      # JAX and PyTorch, for what the suite says about them. They are of nixpkgs' own CUDA, which is the first release.
      frameworksFor =
        system:
        let
          # Plain numbers: JAX and PyTorch take no suffix such as that of "9.0a" from here. Data centre and workstation
          # GPUs from Ampere on; a list of one's own makes the build shorter.
          pkgs = pkgsWith {
            cudaCapabilities = [
              "8.0"
              "8.6"
              "8.9"
              "9.0"
              "10.0"
              "12.0"
            ];
          } system;
          withCuda = package: package.override { cudaSupport = true; };
        in
        shellFor {
          inherit pkgs;
          release = builtins.head releases;
          packages = [
            (pkgs.python3.withPackages (python: [
              (withCuda python.jax)
              (withCuda python.torch)
            ]))
          ];
        };
    in
    {
      devShells = forSystems (
        system:
        withDefault (
          forReleases (
            release:
            shellFor {
              inherit release;
              pkgs = pkgsFor system;
            }
          )
        )
        // {
          frameworks = frameworksFor system;
        }
      );

      packages = forSystems (system: withDefault (forReleases (packageFor (pkgsFor system))));

      apps = forSystems (
        system:
        let
          app = command: {
            type = "app";
            program = "${self.packages.${system}.default}/bin/${command}";
          };
        in
        {
          default = app "cuda-conformance";
          audit = app "cuda-conformance-audit";
          compare = app "cuda-conformance-compare";
          merge = app "cuda-conformance-merge";
          validate = app "cuda-conformance-validate";
        }
      );

      checks = forSystems (
        system:
        let
          package = self.packages.${system}.default;
        in
        {
          inherit package;
          inherit (package.tests) selftest;
        }
      );

      nixosModules.default =
        { lib, pkgs, ... }:
        {
          imports = [ ./ci/nix/module.nix ];
          services.cuda-conformance.package =
            lib.mkDefault
              self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };

      formatter = forSystems (system: (pkgsFor system).nixfmt-tree);
    };
}
