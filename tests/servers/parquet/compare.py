"""Whether Parquet files hold what was put into them, in the eyes of two readers that are not ours.

usage: compare.py ORIGINALS.ndjson FILE.parquet…

Every line of ORIGINALS must be a row of one of the files, once, and whole: what the columns hold and what `extra` adds
make the record again. Arrow and DuckDB must read the same. Prints a line for each thing wrong and exits 1 if there was any.
"""

import json
import sys
from decimal import Decimal

import duckdb
import pyarrow.parquet

MISSING = object()
# The classes that have a table; records of others are found by their text alone.
TABLES = {3001, 3002, 3003, 3004, 3005, 3006, 6001, 6003}


def parse(text):
    """Numbers with their digits, as the record has them."""
    return json.loads(text, parse_float=Decimal)


def number(value):
    return Decimal(repr(value)) if isinstance(value, float) else value


def same(original, column, rest):
    """Whether `column`, and what `rest` adds, is `original`."""
    if column is None:
        return original is rest is MISSING or (rest is not MISSING and equal(original, rest))
    if original is MISSING:
        return False
    if isinstance(column, dict):
        if not isinstance(original, dict) or not (rest is MISSING or isinstance(rest, dict)):
            return False
        more = {} if rest is MISSING else rest
        names = {*original, *more, *(name for name, value in column.items() if value is not None)}
        return all(same(original.get(n, MISSING), column.get(n), more.get(n, MISSING)) for n in names)
    if isinstance(column, list):
        if not isinstance(original, list) or len(original) != len(column):
            return False
        more = {} if rest is MISSING else rest
        return all(same(o, c, more.get(str(at), MISSING)) for at, (o, c) in enumerate(zip(original, column)))
    if rest is not MISSING:
        return False
    if isinstance(column, str):
        return column == original or json_text(column, original)
    return equal(original, number(column))


def json_text(text, original):
    try:
        return equal(parse(text), original)
    except ValueError:
        return False


def equal(one, other):
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def rebuilt(row, original):
    extra = row["extra"]
    columns = {name: value for name, value in row.items() if name != "extra"}
    return same(original, columns, MISSING if extra is None else parse(extra))


def rows_of(path):
    table = pyarrow.parquet.ParquetFile(path).read()
    cursor = duckdb.connect().execute("select * from read_parquet(?)", [path])
    names = [column[0] for column in cursor.description]
    second = [dict(zip(names, row)) for row in cursor.fetchall()]
    rows = table.to_pylist()
    if rows != second:
        yield f"{path}: Arrow and DuckDB do not read the same"
    yield from rows


def main(originals, paths):
    with open(originals, encoding="utf-8") as file:
        left = [(line.rstrip("\n"), parse(line)) for line in file]
    by_id = {}
    for text, record in left:
        by_id.setdefault(record_id(record), []).append((text, record))
    schemas = {}
    rows = 0
    for path in paths:
        schema = pyarrow.parquet.read_schema(path).remove_metadata()
        name = pyarrow.parquet.read_metadata(path).metadata[b"ocsf.class"]
        if schemas.setdefault(name, schema) != schema:
            yield f"{path}: other columns than another file of {name.decode()}"
        for row in rows_of(path):
            if isinstance(row, str):
                yield row
                continue
            rows += 1
            candidates = by_id.get(row_id(row), [])
            if "json" in row and "extra" not in row:
                found = next((c for c in candidates if c[0] == row["json"]), None)
            else:
                found = next((c for c in candidates if rebuilt(row, c[1])), None)
            if found is None:
                yield f"{path}: this row is no record: {shortened(row)}; of its id: {[c[0] for c in candidates]}"
            else:
                candidates.remove(found)
    for candidates in by_id.values():
        for text, _ in candidates:
            yield f"no row is this record: {text}"
    print(f"{rows} rows in {len(paths)} files of {len(schemas)} tables", file=sys.stderr)


def record_id(record):
    metadata = record.get("metadata") if isinstance(record, dict) else None
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return uid if isinstance(uid, str) and record.get("class_uid") in TABLES else None


def row_id(row):
    return ((row.get("metadata") or {}).get("uid")) if "extra" in row else None


def shortened(row):
    return json.dumps({name: value for name, value in row.items() if value is not None}, default=str)[:1000]


if __name__ == "__main__":
    wrong = list(main(sys.argv[1], sys.argv[2:]))
    print("\n".join(wrong[:20]))
    sys.exit(1 if wrong else 0)
