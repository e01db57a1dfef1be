#!/usr/bin/env python3
"""Checks a report's files with readers that others wrote.

results.json by jsonschema, junit.xml by junitparser, metrics.prom by promtool. A reader that is not here is
named and left out. Exit code: 0 all took the files, 1 one did not.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--schema", type=pathlib.Path, required=True)
options = parser.parse_args()
problems = []
results = json.loads((options.folder / "results.json").read_text())


def check(condition, problem):
    if not condition:
        problems.append(problem)


def missing(name):
    print(f"SKIPPED: {name} is not here")


try:
    import jsonschema
except ImportError:
    missing("jsonschema")
else:
    schema = json.loads(options.schema.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for error in jsonschema.Draft202012Validator(schema).iter_errors(results):
        problems.append(f"results.json: {error.json_path}: {error.message}")
    # A schema that takes anything would take these too.
    for name in ("verdict", "tests"):
        broken = {key: value for key, value in results.items() if key != name}
        check(not jsonschema.Draft202012Validator(schema).is_valid(broken), f"the schema does not miss {name}")

# What every reader counts by: the elements themselves.
expected = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
for test in results["tests"]:
    expected["tests"] += 1
    kind = {"passed": None, "failed": "failures", "slow": "failures", "skipped": "skipped", "blocked": "skipped"}
    kind = kind.get(test["outcome"], "errors")
    if kind:
        expected[kind] += 1
if any(finding["test"] is None for finding in results["findings"]):
    expected["tests"] += 1
    expected["errors"] += 1

root = ElementTree.parse(options.folder / "junit.xml").getroot()
cases = list(root.iter("testcase"))
elements = {"failures": "failure", "errors": "error", "skipped": "skipped"}
for name, element in elements.items():
    found = sum(case.find(element) is not None for case in cases)
    check(found == expected[name], f"junit.xml: {found} cases with <{element}>, {expected[name]} expected")
names = [(case.get("classname"), case.get("name")) for case in cases]
check(len(names) == len(set(names)), "junit.xml: two cases of one name, of which GitLab shows one")

try:
    import junitparser
except ImportError:
    missing("junitparser")
else:
    parsed = junitparser.JUnitXml.fromfile(str(options.folder / "junit.xml"))
    for name, count in expected.items():
        if name != "skipped":
            check(getattr(parsed, name) == count, f"junitparser: {getattr(parsed, name)} {name}, {count} expected")
        total = sum(getattr(suite, name) for suite in parsed)
        check(total == count, f"junitparser: {total} {name} in the suites, {count} expected")

if shutil.which("promtool") is None:
    missing("promtool")
else:
    lint = subprocess.run(["promtool", "check", "metrics"], input=(options.folder / "metrics.prom").read_bytes(),
                          capture_output=True, timeout=60, check=False)
    check(lint.returncode == 0, f"promtool: {(lint.stdout + lint.stderr).decode(errors='replace')}")

for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
