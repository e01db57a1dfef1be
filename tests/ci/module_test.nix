# Evaluates ci/nix/module.nix with just what it uses of nixpkgs' library and of NixOS: the command that the unit runs.
{ package }:
let
  lib = rec {
    mkOption = option: option;
    mkEnableOption = description: mkOption { inherit description; };
    mkIf = condition: content: if condition then content else { };
    optionals = condition: list: if condition then list else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    types = {
      package = "package";
      path = "path";
      str = "str";
      enum = values: values;
      nullOr = type: type;
      listOf = type: type;
    };
  };
  utils.escapeSystemdExecArgs = builtins.concatStringsSep " ";
  module =
    settings:
    let
      self = import ../../ci/nix/module.nix {
        inherit lib utils;
        pkgs = {
          cuda-conformance = package;
          cmake = "cmake";
          util-linux = "util-linux";
        };
        config.services.cuda-conformance =
          builtins.mapAttrs (_: option: option.default or null) self.options.services.cuda-conformance // settings;
      };
    in
    self;
  config = (module { enable = true; policy = null; metricsFile = "metrics.prom"; level = "quick"; toolkit = /cuda; }).config;
  unit = config.systemd.services.cuda-conformance;
in
assert (module { enable = false; }).config == { };
assert unit.environment.CONFORMANCE_TOOLKIT == "/cuda";
assert unit.serviceConfig.StateDirectory == "cuda-conformance";
assert config.systemd.timers.cuda-conformance.wantedBy == [ "timers.target" ];
unit.serviceConfig.ExecStart
