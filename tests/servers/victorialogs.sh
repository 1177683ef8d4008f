# VictoriaLogs, which speaks the protocol of Splunk's collector and was not written by us, and its makers' vmauth in front
# of it for tokens and TLS. Both as they are, built from their Go modules.

victorialogs_bin=$work/victorialogs
victorialogs_apps=(github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs
    github.com/VictoriaMetrics/VictoriaMetrics/app/vmauth)

victorialogs_prepare() {
    local stamp
    command -v go >/dev/null || give_up "no go"
    [ -e "$tls/server.pem" ] || give_up "no certificates"
    stamp=$(cat "$here"/victorialogs/go.{mod,sum} | sha256sum)
    [ "$(cat "$victorialogs_bin.stamp" 2>/dev/null)" = "$stamp" ] && return
    mkdir -p "$victorialogs_bin"
    (cd "$here/victorialogs" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOTOOLCHAIN=local \
        go build -o "$victorialogs_bin/" "${victorialogs_apps[@]}") || give_up "go could not build $here/victorialogs"
    printf '%s' "$stamp" >"$victorialogs_bin.stamp"
}

victorialogs_start() {
    local dir=$run/victorialogs nobody
    mkdir -p "$dir"
    free_port; victorialogs_logs=$free
    free_port; victorialogs_http=$free
    free_port; victorialogs_https=$free
    free_port; nobody=$free
    fill "$here/victorialogs/vmauth.yml" LOGS="$victorialogs_logs" NOBODY="$nobody" >"$dir/vmauth.yml"
    victorialogs_own >"$dir/own"
    chmod +x "$dir/own"
    daemon "$dir/own" "$dir/data" "$victorialogs_logs"
    daemon "$victorialogs_bin/vmauth" -auth.config="$dir/vmauth.yml" \
        -httpListenAddr="127.0.0.1:$victorialogs_http" -tls=false \
        -httpListenAddr="127.0.0.1:$victorialogs_https" -tls=true \
        -tlsCertFile= -tlsCertFile="$tls/server.pem" -tlsKeyFile= -tlsKeyFile="$tls/server.key"
}

# `own FOLDER PORT` stays in the foreground. It keeps an event's text as it came, which otherwise becomes a field for each
# of its members, and throws nothing away for its time.
victorialogs_own() {
    cat <<EOF
#!/bin/sh
exec "$victorialogs_bin/victoria-logs" -storageDataPath="\$1" -httpListenAddr="127.0.0.1:\$2" \\
    -splunk.preserveJSONKeys=event -retentionPeriod=99y -futureRetention=10y -memory.allowedBytes=200MiB
EOF
}

victorialogs_ready() { answers "$victorialogs_logs" && answers "$victorialogs_http" && answers "$victorialogs_https"; }

victorialogs_export() {
    export AUDITLINE_TEST_VICTORIALOGS=http://127.0.0.1:$victorialogs_http
    export AUDITLINE_TEST_VICTORIALOGS_TLS=https://localhost:$victorialogs_https
    export AUDITLINE_TEST_VICTORIALOGS_QUERY=http://127.0.0.1:$victorialogs_logs
    export AUDITLINE_TEST_VICTORIALOGS_OWN=$run/victorialogs/own
}

victorialogs_describe() {
    echo "VictoriaLogs behind vmauth listening on $AUDITLINE_TEST_VICTORIALOGS, with TLS on $AUDITLINE_TEST_VICTORIALOGS_TLS"
}
