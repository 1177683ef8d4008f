# Two syslog receivers: rsyslog, the one most hosts run, and syslog-ng, which reads RFC 5424 strictly.

# --- rsyslog ---

rsyslog_prepare() {
    [ -e "$tls/server.pem" ] || give_up "no certificates"
    unpack "$rsyslog_root" rsyslog rsyslog-gnutls rsyslog-relp
}

rsyslog_start() {
    local dir=$run/rsyslog modules program
    modules=$(dirname "$(find "$rsyslog_root" -name imptcp.so)")
    mkdir -p "$dir"
    free_port; rsyslog_tcp=$free
    free_port; rsyslog_tls=$free
    free_port; rsyslog_mutual_tls=$free
    free_port; rsyslog_udp=$free
    free_port; rsyslog_relp=$free
    free_port; rsyslog_relp_tls=$free
    fill "$here/syslog/rsyslog.conf" DIR="$dir" TLS="$tls" MODULES="$modules" TCP="$rsyslog_tcp" UDP="$rsyslog_udp" \
        TLS_PORT="$rsyslog_tls" MUTUAL_TLS_PORT="$rsyslog_mutual_tls" RELP="$rsyslog_relp" RELP_TLS="$rsyslog_relp_tls" \
        >"$dir/rsyslog.conf"
    touch "$dir/messages.raw" "$dir/messages.json"
    program=$(find "$rsyslog_root" -name rsyslogd -type f)
    rsyslog_own "$program" "$modules" >"$dir/own"
    chmod +x "$dir/own"
    daemon env LD_LIBRARY_PATH="$(library_path "$rsyslog_root")" \
        "$program" -n -M "$modules" -i "$dir/pid" -f "$dir/rsyslog.conf"
}

# A receiver of a test's own, to be killed: `own FOLDER PORT` takes RELP and stays in the foreground.
rsyslog_own() {
    cat <<EOF
#!/bin/sh
sed -e "s|@DIR@|\$1|g" -e "s|@PORT@|\$2|g" -e "s|@MODULES@|$2|g" "$here/syslog/own.conf" >"\$1/rsyslog.conf"
export LD_LIBRARY_PATH="$(library_path "$rsyslog_root")"
exec "$1" -n -M "$2" -i "\$1/pid" -f "\$1/rsyslog.conf"
EOF
}

rsyslog_ready() {
    local port
    for port in "$rsyslog_tcp" "$rsyslog_tls" "$rsyslog_mutual_tls" "$rsyslog_relp" "$rsyslog_relp_tls"; do
        answers "$port" || return
    done
}

rsyslog_export() {
    export AUDITLINE_TEST_RSYSLOG_TCP=127.0.0.1:$rsyslog_tcp
    export AUDITLINE_TEST_RSYSLOG_TLS=127.0.0.1:$rsyslog_tls
    export AUDITLINE_TEST_RSYSLOG_MUTUAL_TLS=127.0.0.1:$rsyslog_mutual_tls
    export AUDITLINE_TEST_RSYSLOG_UDP=127.0.0.1:$rsyslog_udp
    export AUDITLINE_TEST_RSYSLOG_RELP=127.0.0.1:$rsyslog_relp
    export AUDITLINE_TEST_RSYSLOG_RELP_TLS=127.0.0.1:$rsyslog_relp_tls
    export AUDITLINE_TEST_RSYSLOG_OWN=$run/rsyslog/own
    export AUDITLINE_TEST_RSYSLOG_OUTPUT=$run/rsyslog/messages.raw
    export AUDITLINE_TEST_RSYSLOG_JSON=$run/rsyslog/messages.json
}

rsyslog_describe() {
    echo "rsyslog listening on $AUDITLINE_TEST_RSYSLOG_TCP, with TLS on $AUDITLINE_TEST_RSYSLOG_TLS," \
        "by UDP on $AUDITLINE_TEST_RSYSLOG_UDP, by RELP on $AUDITLINE_TEST_RSYSLOG_RELP"
}

# --- syslog-ng ---

syslog_ng_prepare() {
    [ -e "$tls/server.pem" ] || give_up "no certificates"
    unpack "$syslog_ng_root" syslog-ng-core
}

syslog_ng_start() {
    local dir=$run/syslog-ng modules
    modules=$(dirname "$(find "$syslog_ng_root" -name libsyslogformat.so)")
    mkdir -p "$dir"
    free_port; syslog_ng_tcp=$free
    free_port; syslog_ng_tls=$free
    free_port; syslog_ng_mutual_tls=$free
    fill "$here/syslog/syslog-ng.conf" DIR="$dir" TLS="$tls" TCP="$syslog_ng_tcp" \
        TLS_PORT="$syslog_ng_tls" MUTUAL_TLS_PORT="$syslog_ng_mutual_tls" >"$dir/syslog-ng.conf"
    touch "$dir/messages.json"
    daemon env LD_LIBRARY_PATH="$(library_path "$syslog_ng_root")" \
        "$(find "$syslog_ng_root" -name syslog-ng -type f -perm -u+x -path '*/sbin/*')" -F --no-caps \
        --module-path="$modules" -f "$dir/syslog-ng.conf" \
        --persist-file="$dir/persist" --pidfile="$dir/pid" --control="$dir/control"
}

syslog_ng_ready() { answers "$syslog_ng_tcp" && answers "$syslog_ng_tls" && answers "$syslog_ng_mutual_tls"; }

syslog_ng_export() {
    export AUDITLINE_TEST_SYSLOG_NG_TCP=127.0.0.1:$syslog_ng_tcp
    export AUDITLINE_TEST_SYSLOG_NG_TLS=127.0.0.1:$syslog_ng_tls
    export AUDITLINE_TEST_SYSLOG_NG_MUTUAL_TLS=127.0.0.1:$syslog_ng_mutual_tls
    export AUDITLINE_TEST_SYSLOG_NG_OUTPUT=$run/syslog-ng/messages.json
}

syslog_ng_describe() {
    echo "syslog-ng listening on $AUDITLINE_TEST_SYSLOG_NG_TCP, with TLS on $AUDITLINE_TEST_SYSLOG_NG_TLS"
}
