# Debian packages: installed when a command is missing, with one `apt-get update`, and only then.

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }

kafka_jars=$work/kafka-4.1.1
opensearch_home=$work/opensearch-2.19.3
venv=$work/venv
rsyslog_root=$work/rsyslog-with-relp
syslog_ng_root=$work/syslog-ng

missing_packages() {
    command -v openssl >/dev/null || echo openssl
    command -v python3 >/dev/null || echo python3
    # `ensurepip` is what Debian splits off from its python3 into this package.
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
    command -v java >/dev/null || echo jre
    { [ -e "$kafka_jars/complete" ] && [ -e "$opensearch_home/complete" ]; } || command -v mvn >/dev/null || echo maven
}

# Kafka wants Java 17. A release has it under that name, or a later one as its default.
jre_package() {
    if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
        echo openjdk-17-jre-headless
    else
        echo default-jre-headless
    fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" >>"$work/apt.log" 2>&1
}

install_packages() {
    local from wanted package failed=()
    from=$(date +%s%N)
    # shellcheck disable=SC2207
    wanted=($(missing_packages))
    [ ${#wanted[@]} -gt 0 ] || { [ ! -e "$rsyslog_root/complete" ] || [ ! -e "$syslog_ng_root/complete" ]; } || return 0
    if ! command -v apt-get >/dev/null; then
        say "this is not Debian, so nothing is installed; missing: ${wanted[*]:-nothing but syslog servers}"
        return
    fi
    if ! can_be_root; then
        say "cannot become root (no sudo without a password), so these stay missing: ${wanted[*]:-none}"
        return
    fi
    say "apt-get update$([ "$(id -u)" -eq 0 ] || echo ', with sudo')"
    as_root apt-get update -q >"$work/apt.log" 2>&1 || say "apt-get update failed, going on; see target/servers/apt.log"
    [ ${#wanted[@]} -gt 0 ] || return 0
    wanted=("${wanted[@]/#jre/$(jre_package)}")
    say "apt-get install ${wanted[*]}"
    # One that cannot be had would keep the others away.
    apt_install "${wanted[@]}" || for package in "${wanted[@]}"; do
        apt_install "$package" || failed+=("$package")
    done
    if [ ${#failed[@]} -eq 0 ]; then
        say "installed ${wanted[*]} ($(seconds_since "$from") s)"
    else
        tail -n 8 "$work/apt.log" | sed 's/^/    /' >&2
        say "apt-get could not install ${failed[*]}; see target/servers/apt.log"
    fi
}

# unpack FOLDER PACKAGE…: below FOLDER, not installed. So two packages that conflict can stand side by side, no daemon
# is started, and nothing of the machine changes. What they need and the machine lacks is unpacked with them.
unpack() {
    local folder=$1 needed deb
    shift
    [ -e "$folder/complete" ] && return
    command -v apt-get >/dev/null || give_up "no apt-get to download its Debian package with"
    needed=$(apt-get install -s --no-install-recommends "$@" | sed -n 's/^Inst \([^ ]*\).*/\1/p') || needed=
    rm -rf "$folder"
    mkdir -p "$folder/debs"
    # shellcheck disable=SC2046,SC2086
    (cd "$folder/debs" && apt-get download -q $(printf '%s\n' "$@" $needed | sort -u)) ||
        give_up "apt-get could not download $*"
    for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder"; done
    rm -rf "$folder/debs"
    touch "$folder/complete"
}

# library_path FOLDER: where the unpacked libraries lie.
library_path() {
    find "$1" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:
}
