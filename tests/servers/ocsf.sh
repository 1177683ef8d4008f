# No server, but set up like one: a validator of OCSF events that somebody else wrote.

ocsf_prepare() {
    make_venv
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$venv/bin/python" "$here/ocsf/validate.py" >"$run/ocsf-validate"
    chmod +x "$run/ocsf-validate"
}

ocsf_start() { :; }

ocsf_ready() { "$run/ocsf-validate" </dev/null; }

ocsf_export() { export AUDITLINE_TEST_OCSF_VALIDATOR=$run/ocsf-validate; }

ocsf_describe() { echo "ocsf validator at ${run#"$PWD"/}/ocsf-validate"; }
