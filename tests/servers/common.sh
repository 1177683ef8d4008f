# What every server needs: a folder, a free port, templates, starting, waiting, stopping, and one line about each.
#
# A server NAME is up to three functions:
#   NAME_prepare   downloads and writes what it needs; runs in a subshell, next to the others
#   NAME_start     starts its processes with `daemon` and exports nothing; runs in the main shell
#   NAME_ready     true once it answers; then NAME_export names it to the tests
# Any of them may call `give_up "reason"`: the server is then left out and the rest goes on.

began=$(date +%s%N)
pids=()
declare -A began_at

# What a person should see, also from functions whose output goes to a log.
exec {screen}>&2
say() { printf 'servers: %s\n' "$*" >&"$screen"; }

seconds_since() {
    local tenths=$((($(date +%s%N) - $1) / 100000000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# A folder of this run's own. The lock is inherited by the servers, so a folder stays taken while any of them lives.
take_a_folder() {
    local n
    for n in 1 2 3 4 5 6 7 8 9; do
        exec {folder_lock}>"$work/run-$n.lock"
        if flock -n "$folder_lock"; then
            run=$work/run-$n
            rm -rf "$run"
            mkdir -p "$run"
            return
        fi
        exec {folder_lock}>&-
    done
    say "nine runs are already going on in $work"
    exit 1
}

# Below the kernel's range for outgoing connections, so that no client takes the port between this look and the bind.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        case " ${ports:-} " in *" $port "*) continue ;; esac
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
        ports="${ports:-} $port"
        free=$port
        return
    done
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# fill TEMPLATE KEY=VALUE…: the template with every @KEY@ replaced, on stdout.
fill() {
    local text pair
    text=$(<"$1")
    shift
    for pair; do text=${text//"@${pair%%=*}@"/"${pair#*=}"}; done
    if [[ $text =~ @[A-Z_]+@ ]]; then
        echo "unfilled ${BASH_REMATCH[0]} in a template" >&2
        return 1
    fi
    printf '%s\n' "$text"
}

# In a server's own functions. What is printed before goes to its log.
give_up() {
    printf '%s' "$*" >"$run/$server.gone"
    exit 1
}

is_gone() { [ -e "$run/$1.gone" ]; }

# Says why a server is missing, once, and shows the end of its log.
left_out() {
    local server=$1 reason="$2"
    printf '%s' "$reason" >"$run/$server.gone"
    if [ -s "$run/$server.log" ]; then
        tail -n 8 "$run/$server.log" | sed "s/^/    /" >&2
        reason="$reason (more in ${run#"$PWD"/}/$server.log)"
    fi
    say "no ${server/_/-}: $reason; its tests will be counted as skipped"
}

prepare_in_parallel() {
    local server jobs=()
    for server in "$@"; do
        began_at[$server]=$(date +%s%N)
        (
            set -e
            "${server}_prepare"
            took=$(seconds_since "${began_at[$server]}")
            [ "${took%.*}" -lt 1 ] || say "${server/_/-} downloaded and unpacked ($took s)"
        ) >"$run/$server.log" 2>&1 &
        jobs+=("$!")
    done
    for server in "$@"; do
        if ! wait "${jobs[0]}"; then
            left_out "$server" "$(cat "$run/$server.gone" 2>/dev/null || echo "preparing it failed")"
        fi
        jobs=("${jobs[@]:1}")
    done
}

# daemon COMMAND…: in the background, logging to the server's log. It dies with this shell, even when this shell is
# killed with -9: a forgotten server would keep the folder and its port.
daemon() {
    setpriv --pdeathsig TERM -- "$@" </dev/null >>"$run/$server.log" 2>&1 {screen}>&- &
    pids+=("$!")
    daemons+=("$!")
}

start() {
    local server=$1
    is_gone "$server" && return
    began_at[$server]=$(date +%s%N)
    daemons=()
    "${server}_start"
    printf '%s\n' "${daemons[*]}" >"$run/$server.pids"
}

all_alive() {
    local pid
    for pid; do kill -0 "$pid" 2>/dev/null || return 1; done
}

await() {
    local server=$1 tries
    is_gone "$server" && return
    for ((tries = 0; tries < 900; tries++)); do
        if ("${server}_ready") >>"$run/$server.log" 2>&1; then
            "${server}_export"
            say "$("${server}_describe") ($(seconds_since "${began_at[$server]}") s)"
            return
        fi
        is_gone "$server" && break
        # shellcheck disable=SC2046
        all_alive $(<"$run/$server.pids") || { left_out "$server" "it stopped while starting"; return; }
        sleep 0.2
    done
    left_out "$server" "$(cat "$run/$server.gone" 2>/dev/null || echo "it did not answer within three minutes")"
}

# In front when someone sits at the terminal; otherwise as a job in a process group of its own, so that a TERM to us
# reaches the command and everything it started.
run_command() {
    if [ -t 0 ]; then
        "$@" {folder_lock}>&- {screen}>&-
        return
    fi
    set -m
    "$@" {folder_lock}>&- {screen}>&- &
    command_group=$!
    set +m
    wait "$command_group"
    local code=$?
    command_group=
    return "$code"
}

stop_everything() {
    trap '' INT TERM
    local pid tries
    [ -z "${command_group:-}" ] || kill -TERM -- "-$command_group" 2>/dev/null
    [ ${#pids[@]} -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null
    for pid in "${pids[@]}"; do
        for ((tries = 0; tries < 50; tries++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    # The logs stay for whoever looks into a failure; the data would only take room.
    rm -rf "$run/kafka" "$run/opensearch" "$run/s3" "$run/victorialogs/data"
}
