"""Validates OCSF 1.8.0 events, one JSON object per line on stdin, with a schema and an engine that are not ours.

Prints `LINE<tab>CLASS<tab>PATH: REASON` for each thing wrong (LINE counts from 1) and exits 1 if there was any, 0 if
every event was valid. What JSON Schema cannot say is checked here on top: that `type_uid` follows from class and
activity, and that an enum's text sibling (`activity_name` beside `activity_id`) is the enum's caption.
"""

import json
import sys

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"
OTHER = 99  # the number whose caption the source chooses


class Validators:
    """One compiled validator per class and set of profiles, since making one costs more than using it."""

    def __init__(self):
        self.schema = get_ocsf_schema(VERSION)
        self.embedded = OcsfJsonSchemaEmbedded(self.schema)
        # By key, not by name: an extension's class is `win/registry_key_activity` there.
        self.class_of_uid = {item["uid"]: key for key, item in self.schema["classes"].items()}
        self.compiled = {}

    def problems(self, event):
        """Yields (path, reason) for everything wrong with `event`."""
        if not isinstance(event, dict):
            yield "", "is not an object"
            return
        name = self.class_of_uid.get(event.get("class_uid"))
        if name is None:
            yield "class_uid", f"{event.get('class_uid')!r} is no class of OCSF {VERSION}"
            return
        metadata = event.get("metadata") if isinstance(event.get("metadata"), dict) else {}
        profiles = metadata.get("profiles", [])
        if not isinstance(profiles, list) or not all(profile in self.schema["profiles"] for profile in profiles):
            yield "metadata.profiles", f"{profiles!r} are not all profiles of OCSF {VERSION}"
            return
        if metadata.get("version") != VERSION:
            yield "metadata.version", f"{metadata.get('version')!r} is not {VERSION!r}"
        for error in self.validator(name, profiles).iter_errors(event):
            yield ".".join(map(str, error.absolute_path)), shortened(error.message)
        expected = type_uid(event)
        if expected is not None and event.get("type_uid") != expected:
            yield "type_uid", f"{event.get('type_uid')!r} is not class_uid * 100 + activity_id = {expected}"
        yield from self.siblings(self.schema["classes"][name]["attributes"], event, "")

    def validator(self, name, profiles):
        key = (name, *sorted(profiles))
        if key not in self.compiled:
            schema = self.embedded.get_class_schema(name, list(profiles))
            self.compiled[key] = jsonschema.Draft202012Validator(schema)
        return self.compiled[key]

    def siblings(self, attributes, value, path):
        for name, child in value.items():
            attribute = attributes.get(name)
            if attribute is None:
                continue
            here = f"{path}.{name}" if path else name
            if attribute.get("sibling") in value and "enum" in attribute:
                yield from sibling(attribute, child, value[attribute["sibling"]], here)
            inner = self.schema["objects"].get(attribute.get("object_type"))
            if inner:
                for index, item in enumerate(child if isinstance(child, list) else [child]):
                    if isinstance(item, dict):
                        yield from self.siblings(
                            inner["attributes"], item, f"{here}.{index}" if isinstance(child, list) else here
                        )


def sibling(attribute, numbers, texts, path):
    """Yields a problem where a text is not the caption of its number; both may be lists of the same length."""
    numbers, texts = ([item] if not isinstance(item, list) else item for item in (numbers, texts))
    if len(numbers) != len(texts):
        yield path, f"has {len(numbers)} numbers and `{attribute['sibling']}` {len(texts)} texts"
    for number, text in zip(numbers, texts):
        caption = attribute["enum"].get(str(number), {}).get("caption")
        # `type_uid` ends in 99 for an activity that the source names.
        named_by_source = number == OTHER or (attribute["sibling"] == "type_name" and number % 100 == OTHER)
        if caption is not None and text != caption and not named_by_source:
            yield path, f"{number} means {caption!r}, but `{attribute['sibling']}` is {text!r}"


def type_uid(event):
    numbers = event.get("class_uid"), event.get("activity_id")
    if all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        return numbers[0] * 100 + numbers[1]
    return None


def shortened(text, most=300):
    return text if len(text) <= most else text[: most - 1] + "…"


def main():
    validators = Validators()
    invalid = False
    for number, line in enumerate(sys.stdin, start=1):
        try:
            event = json.loads(line)
        except ValueError as error:
            problems, uid = [("", f"is not JSON: {error}")], "?"
        else:
            problems = list(validators.problems(event))
            uid = event.get("class_uid", "?") if isinstance(event, dict) else "?"
        for path, reason in problems:
            invalid = True
            print(f"{number}\t{uid}\t{path or 'event'}: {reason}")
    return 1 if invalid else 0


if __name__ == "__main__":
    sys.exit(main())
