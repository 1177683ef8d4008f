"""Reads lines of CEF and LEEF as a receiver would, and tells what it found, one JSON object per line.

CEF is read by `cefp`, somebody else's parser. For LEEF there is none to be had from pip, npm or Maven, so `leef` below
follows IBM's guide ("QRadar Log Event Extended Format (LEEF) Version 2", chapter 1) and nothing of ours:

- the header is delimited by pipes: version, vendor, product, version, event id and, in 2.0, the delimiter
- the delimiter is one character, or `x` or `0x` and one to four hexadecimal digits
- attributes are key=value, separated by the delimiter; keys hold neither blanks nor `=`, and each is there once
- the event id has 255 characters at most
- `devTime` is read by `devTimeFormat`
"""

import datetime
import json
import re
import sys

import cefp


def cef(line):
    read = cefp.parse(line)
    device = read["device"]
    head = [device["vendor"], device["product"], device["version"], device["event_class_id"], read["name"], read["severity"]]
    return {"head": head, "fields": read["extension"]}


def leef(line):
    version, vendor, product, product_version, event_id, delimiter, rest = line.split("|", 6)
    if version != "LEEF:2.0":
        raise ValueError(f"version {version!r}")
    if len(event_id) > 255:
        raise ValueError("the event id is too long")
    if hexadecimal := re.fullmatch(r"0?x([0-9A-Fa-f]{1,4})", delimiter):
        delimiter = chr(int(hexadecimal[1], 16))
    if len(delimiter) != 1:
        raise ValueError(f"delimiter {delimiter!r}")
    fields = {}
    for attribute in rest.split(delimiter):
        key, equals, value = attribute.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9]+", key):
            raise ValueError(f"no key: {attribute!r}")
        if key in fields:
            raise ValueError(f"{key} is there twice")
        fields[key] = value
    if fields["devTimeFormat"] != "yyyy-MM-dd'T'HH:mm:ss.SSSZ":
        raise ValueError("another form of time")
    datetime.datetime.strptime(fields["devTime"], "%Y-%m-%dT%H:%M:%S.%f%z")
    return {"head": [vendor, product, product_version, event_id], "fields": fields}


def main():
    # A receiver ends a line at a line feed only, and so does this.
    for line in sys.stdin.buffer.read().split(b"\n")[:-1]:
        try:
            text = line.decode()
            found = leef(text) if text.startswith("LEEF:") else cef(text)
        except Exception as error:  # noqa: BLE001: whatever it is, the line could not be read
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found))


if __name__ == "__main__":
    main()
