# An HTTP server that keeps what it is sent (aiohttp): plain, over TLS, and over TLS with a client's certificate.

http_prepare() { make_venv; }

http_start() {
    free_port
    http_port=$free
    free_port
    http_tls_port=$free
    free_port
    http_mutual_port=$free
    daemon "$venv/bin/python" "$here/http/receiver.py" --port "$http_port" --tls-port "$http_tls_port" \
        --mutual-port "$http_mutual_port" --cert "$tls/server.pem" --key "$tls/server.key" --ca "$tls/ca.pem"
}

http_ready() { answers "$http_port" && answers "$http_tls_port" && answers "$http_mutual_port"; }

http_export() {
    export AUDITLINE_TEST_HTTP=http://127.0.0.1:$http_port
    export AUDITLINE_TEST_HTTP_TLS=https://localhost:$http_tls_port
    export AUDITLINE_TEST_HTTP_MUTUAL=https://localhost:$http_mutual_port
}

http_describe() { echo "http (aiohttp) listening on $AUDITLINE_TEST_HTTP"; }
