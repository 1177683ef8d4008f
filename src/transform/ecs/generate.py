#!/usr/bin/env python3
"""Turns ECS into the facts that our events are checked against.

    ./generate.py generated/ecs/ecs_flat.yml 9.4.0 > fields-9.4.0.txt

The input is `generated/ecs/ecs_flat.yml` of a release of github.com/elastic/ecs: every field by its full name. Needs
PyYAML. Field sets that no audit log of a service has to do with (processes, binaries, threats, …) are left out.
"""

import sys

import yaml

HEAD = """\
# What ECS {version} says about the fields that an audit log can use. Written by `generate.py`.
# Derived from github.com/elastic/ecs (v{version}), Copyright Elasticsearch B.V., Apache-2.0; see NOTICE beside this file.
#
# name type[] = value value …
# where [] is a list, and the values are all there are. Behind a category stand the types it goes with: iam:user,change."""

SETS = """
    base client cloud destination device ecs error event group host http log network observer organization related rule
    server service source span tls trace transaction url user user_agent
""".split()
# Reused field sets that are reached from those above.
OUT = ("entity", "x509", "code_signature", "hash", "egress", "ingress", "inner", "vlan", "nat", "pe", "origin", "syslog", "file")


def wanted(name):
    first, *rest = name.split(".")
    return ("base" if not rest else first) in SETS and not any(part in OUT for part in rest)


def main():
    path, version = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        fields = yaml.safe_load(file)
    print(HEAD.format(version=version))
    print(f"version {version}")
    for name, field in sorted(fields.items()):
        if not wanted(name):
            continue
        line = f"{name} {field['type']}" + ("[]" if "array" in field["normalize"] else "")
        values = field.get("allowed_values", [])
        types = [",".join(value.get("expected_event_types", [])) for value in values]
        words = [value["name"] + (f":{types}" if types else "") for value, types in zip(values, types)]
        print(line + (" = " + " ".join(words) if words else ""))


if __name__ == "__main__":
    main()
