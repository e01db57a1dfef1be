rec {
  genAttrs =
    names: value:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = value name;
      }) names
    );
  getOutput = output: package: package.${output} or package.out;
  getBin = getOutput "bin";
  getDev = getOutput "dev";
  makeBinPath = packages: concatStringsSep ":" (map (package: "${getBin package}/bin") packages);
  inherit (builtins) concatStringsSep;
  optionals = condition: list: if condition then list else [ ];
  versionAtLeast = version: least: builtins.compareVersions version least >= 0;
  versions.majorMinor =
    version: concatStringsSep "." (map (builtins.elemAt (builtins.splitVersion version)) [ 0 1 ]);
  remove = unwanted: builtins.filter (element: element != unwanted);
  licenses.mit.spdxId = "MIT";
  fileset = {
    unions = files: map toString files;
    toSource =
      { root, fileset }:
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: _:
          builtins.any (
            part: part == path || substringOf part (path + "/") || substringOf path (part + "/")
          ) fileset;
      };
  };
  # Whether the folder `whole` is the one that `part` lies in.
  substringOf =
    whole: part: builtins.substring 0 (builtins.stringLength whole + 1) part == whole + "/";
}
