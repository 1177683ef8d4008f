# The OpenTelemetry Collector's own OTLP receiver, in a Go program that writes what it gets to a file.

otlp_binary=$work/otlp-receiver

otlp_prepare() {
    local stamp
    command -v go >/dev/null || give_up "no go"
    stamp=$(cat "$here"/otlp/{main.go,go.mod,go.sum} | sha256sum)
    [ "$(cat "$otlp_binary.stamp" 2>/dev/null)" = "$stamp" ] && return
    (cd "$here/otlp" && GOFLAGS=-mod=readonly GOTOOLCHAIN=local go build -o "$otlp_binary" .) ||
        give_up "go could not build $here/otlp"
    printf '%s' "$stamp" >"$otlp_binary.stamp"
}

otlp_start() {
    free_port
    otlp_port=$free
    free_port
    otlp_tls_port=$free
    daemon "$otlp_binary" -endpoint "127.0.0.1:$otlp_port" -output "$run/otlp.jsonl" -max-body 5000000
    daemon "$otlp_binary" -endpoint "127.0.0.1:$otlp_tls_port" -output "$run/otlp-tls.jsonl" \
        -cert "$tls/server.pem" -key "$tls/server.key"
}

otlp_ready() { answers "$otlp_port" && answers "$otlp_tls_port"; }

otlp_export() {
    export AUDITLINE_TEST_OTLP=http://127.0.0.1:$otlp_port
    export AUDITLINE_TEST_OTLP_OUTPUT=$run/otlp.jsonl
    export AUDITLINE_TEST_OTLP_TLS=https://localhost:$otlp_tls_port
}

otlp_describe() { echo "otlp (the OpenTelemetry Collector's receiver) listening on $AUDITLINE_TEST_OTLP"; }
