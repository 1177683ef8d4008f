# For systems on which no server can be started, macOS among them: the command runs, and its skipped tests are counted.
# Bash 3.2 reads this file, so it does without arrays that may be empty, `exec {name}>` and the like.

say() { printf 'servers: %s\n' "$*" >&2; }

# What the other parts cannot do without and this system lacks, if anything.
lacking() {
    local missing= tool
    case $BASH_VERSION in [123].* | 4.[0123].*) missing=", bash 4.4" ;; esac
    for tool in flock setpriv; do
        command -v "$tool" >/dev/null || missing="$missing, $tool"
    done
    case $(date +%N) in *[!0-9]*) missing="$missing, GNU date" ;; esac
    printf '%s' "${missing#, }"
}

run_without_servers() {
    local code
    say "none is started, for this system lacks $(lacking); running with every server left out: $*"
    AUDITLINE_TEST_SKIPS=$(mktemp "$work/skips.XXXXXX") || return 1
    export AUDITLINE_TEST_SKIPS
    "$@"
    code=$?
    report_skips
    rm -f "$AUDITLINE_TEST_SKIPS"
    return "$code"
}

report_skips() {
    local count
    count=$(($(wc -l <"$AUDITLINE_TEST_SKIPS")))
    if [ "$count" -eq 0 ]; then
        say "no test was skipped for want of a server"
    else
        sort "$AUDITLINE_TEST_SKIPS" | sed 's/^/    /' >&2
        say "$count tests skipped for want of a server"
    fi
}
