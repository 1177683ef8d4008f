# No server, but set up like one: readers of CEF and LEEF that are not ours.

formats_prepare() {
    make_venv
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$venv/bin/python" "$here/formats/parse.py" >"$run/formats-parse"
    chmod +x "$run/formats-parse"
}

formats_start() { :; }

formats_ready() { "$run/formats-parse" </dev/null; }

formats_export() { export AUDITLINE_TEST_FORMATS_PARSER=$run/formats-parse; }

formats_describe() { echo "reader of CEF and LEEF at ${run#"$PWD"/}/formats-parse"; }
