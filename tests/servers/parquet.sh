# No server, but set up like one: readers of Parquet that somebody else wrote.

parquet_prepare() {
    make_venv
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$venv/bin/python" "$here/parquet/compare.py" >"$run/parquet-compare"
    chmod +x "$run/parquet-compare"
}

parquet_start() { :; }

parquet_ready() { "$run/parquet-compare" /dev/null; }

parquet_export() { export AUDITLINE_TEST_PARQUET=$run/parquet-compare; }

parquet_describe() { echo "parquet readers at ${run#"$PWD"/}/parquet-compare"; }
