# One virtual environment for everything in Python: Swift, the OCSF validator, and the clients of `check.py`.

# Both servers that need it call this, next to each other; the second one waits for the first and finds it made.
make_venv() {
    local stamp
    command -v python3 >/dev/null || give_up "no python3"
    [ -x /usr/bin/python3 ] && python3=/usr/bin/python3 || python3=$(command -v python3)
    "$python3" -c 'import venv, ensurepip' 2>/dev/null || python3=$(command -v python3)
    stamp=$("$python3" --version; sha256sum <"$here/requirements.txt")
    (
        flock 8
        [ "$(cat "$venv/complete" 2>/dev/null)" = "$stamp" ] && exit 0
        rm -rf "$venv"
        "$python3" -m venv "$venv" &&
            "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt" &&
            printf '%s' "$stamp" >"$venv/complete"
    ) 8>"$work/venv.lock" || give_up "pip could not install $here/requirements.txt"
}
