#!/usr/bin/env python3
"""Turns a compiled OCSF schema into the facts the OCSF map is checked against.

    ./generate.py compiled-schema.json server-schema.json > schema-1.8.0.txt

The first input is one JSON object: `version`, `types` (name -> `base`), `profiles` (name -> caption), `classes` (uid -> class)
and `objects` (name -> object), with inheritance, includes, profiles and the dictionary already resolved. A class or object
has `name`, `caption`, `constraints` and `attributes`; an attribute has `type` or `object`, `array`, `req`, `enum`,
`sibling`, `profiles` and `deprecated`, as in the OCSF project's own compiled form.

The second is the same version as the OCSF server exports it, which the Python package `ocsf-json-schema` carries, too
(`json.dump(get_ocsf_schema("1.8.0"), file)`). Of it only the `observable` numbers are read: those of objects, of their
attributes, and of the dictionary's types. `ocsf.rs` beside this folder and the transform's `schema.rs` read what is written here.
"""

import json
import sys

HEAD = """\
# What OCSF {version} says about classes and objects, in the form that `ocsf.rs` reads. Written by `generate.py`.
# Derived from github.com/ocsf/ocsf-schema ({commit}), Apache-2.0; see LICENSE and NOTICE beside this file.
#
# attribute lines:  name type[] ! enum=N sibling=name profiles=a,b observable=N deprecated
# where {{type}} is an object, [] a list, ! required, ? recommended. The N of an observable is its `type_id`.
# An object that is an observable itself says so in a line of its own, `observable: N`."""


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        observables = Observables(json.load(file))
    enums = Enums()
    blocks = []
    for uid, item in sorted(schema["classes"].items()):
        head = [uid, item["name"], item["caption"], str(item["category_uid"]), item["category_name"]]
        blocks.append("class " + "|".join(head))
        blocks.extend(fields(item, enums, observables.of_class(item["name"])))
    for name, item in sorted(schema["objects"].items()):
        blocks.append(f"object {name}")
        blocks.extend(fields(item, enums, observables.of_object(name)))
    print(HEAD.format(version=schema["version"], commit=schema.get("source", {}).get("commit", "no commit given")))
    print(f"version {schema['version']}")
    print("profiles " + " ".join(sorted(schema["profiles"])))
    for number, words in enumerate(enums.known):
        print(f"enum {number}")
        for key, caption in words:
            print(f"  {key}={caption}")
    print("\n".join(blocks))


class Enums:
    """Every list of words once, however many attributes use it."""

    def __init__(self):
        self.known = []

    def number(self, enum):
        words = tuple(sorted(enum.items(), key=lambda pair: (int(pair[0]) if pair[0].isdigit() else -1, pair[0])))
        if words not in self.known:
            self.known.append(words)
        return self.known.index(words)


class Observables:
    """What counts as an observable, and as which: an attribute by its own number, else by that of its type."""

    def __init__(self, schema):
        self.schema = schema
        types = schema["dictionary"]["types"]["attributes"]
        self.types = {name: item["observable"] for name, item in types.items() if "observable" in item}

    def of_class(self, name):
        return None, self.attributes(self.schema["classes"][name])

    def of_object(self, name):
        item = self.schema["objects"].get(name, {"attributes": {}})
        # The object `observable` is what they are written in, and none itself.
        return item.get("observable") if name != "observable" else None, self.attributes(item)

    def attributes(self, item):
        found = {}
        for name, attribute in item["attributes"].items():
            number = attribute.get("observable") or self.types.get(attribute.get("type"))
            if isinstance(number, int):
                found[name] = number
        return found


def fields(item, enums, observables):
    own, of_attributes = observables
    if own:
        yield f"  observable: {own}"
    for kind, names in sorted((item.get("constraints") or {}).items()):
        yield f"  {kind}: " + " ".join(names)
    for name, attribute in sorted(item["attributes"].items()):
        kind = "{" + attribute["object"] + "}" if "object" in attribute else attribute["type"]
        parts = [name, kind + ("[]" if attribute.get("array") else "")]
        if attribute["req"] == "required":
            parts.append("!")
        if attribute["req"] == "recommended":
            parts.append("?")
        # The uids of class and category are facts of the class itself.
        if attribute.get("enum") and name not in ("class_uid", "category_uid"):
            parts.append(f"enum={enums.number(attribute['enum'])}")
        if attribute.get("sibling") in item["attributes"]:
            parts.append(f"sibling={attribute['sibling']}")
        if attribute.get("profiles"):
            parts.append("profiles=" + ",".join(attribute["profiles"]))
        if name in of_attributes:
            parts.append(f"observable={of_attributes[name]}")
        if attribute.get("deprecated"):
            parts.append("deprecated")
        yield "  " + " ".join(parts)


if __name__ == "__main__":
    main()
