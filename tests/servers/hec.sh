# Splunk's HTTP Event Collector, imitated for what VictoriaLogs does not do of it: Splunk itself is not to be had as a
# package. Written from Splunk's documentation and apart from our sink; needs nothing but Python.

hec_prepare() {
    command -v python3 >/dev/null || give_up "no python3"
    [ -e "$tls/server-bundle.pem" ] || give_up "no certificates"
}

hec_start() {
    free_port; hec_http=$free
    free_port; hec_https=$free
    : >"$run/hec.events"
    daemon python3 "$here/hec/collector.py" --http "$hec_http" --https "$hec_https" \
        --certificate "$tls/server-bundle.pem" --output "$run/hec.events"
}

hec_ready() { answers "$hec_http" && answers "$hec_https"; }

hec_export() {
    export AUDITLINE_TEST_HEC=http://127.0.0.1:$hec_http
    export AUDITLINE_TEST_HEC_TLS=https://localhost:$hec_https
    export AUDITLINE_TEST_HEC_OUTPUT=$run/hec.events
}

hec_describe() { echo "event collector (imitated) listening on $AUDITLINE_TEST_HEC, with TLS on $AUDITLINE_TEST_HEC_TLS"; }
