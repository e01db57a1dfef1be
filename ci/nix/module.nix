# NixOS: validates the host after each boot and after each upgrade of driver, kernel or toolkit, compared with the last
# run that was good. The unit's result is the verdict.
#   { imports = [ cuda-conformance.nixosModules.default ]; services.cuda-conformance.enable = true; }
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.services.cuda-conformance;
  inherit (lib) mkOption types;
in
{
  options.services.cuda-conformance = {
    enable = lib.mkEnableOption "validation of the host's GPUs, driver and CUDA toolkit after boots and upgrades";
    package = mkOption {
      type = types.package;
      default = pkgs.cuda-conformance;
      defaultText = "pkgs.cuda-conformance";
      description = "The installed suite.";
    };
    toolkit = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "The CUDA toolkit that is tested; null for the one that the package brings.";
    };
    level = mkOption {
      type = types.enum [
        "quick"
        "standard"
      ];
      default = "standard";
      description = "How deep to test.";
    };
    policy = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "What the host must be and do, as written by cuda-conformance --record.";
    };
    metricsFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/var/lib/node-exporter/conformance.prom";
      description = "Where the metrics go, in the folder that node_exporter's textfile collector reads.";
    };
    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "More options of the gate.";
    };
    interval = mkOption {
      type = types.str;
      default = "15min";
      description = "How often to see whether something was upgraded.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    systemd.services.cuda-conformance = {
      description = "CUDA conformance of this host";
      after = [
        "multi-user.target"
        "nvidia-fabricmanager.service"
        "nvidia-persistenced.service"
      ];
      path = [
        pkgs.cmake # for its ctest
        pkgs.util-linux
      ];
      environment = lib.optionalAttrs (cfg.toolkit != null) { CONFORMANCE_TOOLKIT = toString cfg.toolkit; };
      serviceConfig = {
        Type = "oneshot";
        StateDirectory = "cuda-conformance";
        TimeoutStartSec = "1h";
        ExecStart = utils.escapeSystemdExecArgs (
          [
            "${cfg.package}/bin/cuda-conformance-validate"
            "--if-changed"
            "--level"
            cfg.level
          ]
          ++ lib.optionals (cfg.policy != null) [
            "--expect"
            (toString cfg.policy)
          ]
          ++ lib.optionals (cfg.metricsFile != null) [
            "--metrics"
            (toString cfg.metricsFile)
          ]
          ++ cfg.extraArgs
        );
      };
    };
    systemd.timers.cuda-conformance = {
      description = "CUDA conformance after boots and upgrades";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "2min";
        OnUnitInactiveSec = cfg.interval;
      };
    };
  };
}
