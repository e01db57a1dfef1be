{
  description = "A stand-in for nixpkgs made of this host's tools, to test the project's flake without a network";

  outputs = _: {
    lib = import ./lib.nix;
    # `nix develop` looks for its interactive shell here.
    legacyPackages = (import ./lib.nix).genAttrs [ "x86_64-linux" "aarch64-linux" ] (
      system:
      import ./. {
        inherit system;
        config = {
          allowUnfree = true;
          cudaSupport = true;
        };
      }
    );
  };
}
