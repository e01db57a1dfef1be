{
  genAttrs =
    names: value:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = value name;
      }) names
    );
  getOutput = output: package: package.${output} or package.out;
  optionals = condition: list: if condition then list else [ ];
  versionAtLeast = version: least: builtins.compareVersions version least >= 0;
  remove = unwanted: builtins.filter (element: element != unwanted);
}
