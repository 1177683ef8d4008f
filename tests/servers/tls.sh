# The test's own certificate authority: a certificate for the servers, one for clients, and an authority nobody trusts.
# All of it new for every run and good for two days.

make_certificates() {
    local dir=$run/tls from
    from=$(date +%s%N)
    tls=$dir
    mkdir -p "$dir"
    if ! write_certificates "$dir" >"$run/tls.log" 2>&1; then
        tail -n 15 "$run/tls.log" | sed 's/^/    /' >&2
        say "openssl made no certificates; the servers that need them will be left out"
        return
    fi
    export AUDITLINE_TEST_TLS_CA=$dir/ca.pem
    export AUDITLINE_TEST_TLS_CLIENT_CERT=$dir/client.pem
    export AUDITLINE_TEST_TLS_CLIENT_KEY=$dir/client.key
    export AUDITLINE_TEST_TLS_WRONG_CA=$dir/wrong-ca.pem
    say "certificates made ($(seconds_since "$from") s)"
}

write_certificates() {
    local dir=$1
    authority "$dir/ca" "auditline test CA" &&
        authority "$dir/wrong-ca" "auditline test CA that signed nothing" &&
        signed "$dir" server localhost "subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth" &&
        signed "$dir" client "auditline test client" "extendedKeyUsage=clientAuth" &&
        cat "$dir/server.key" "$dir/server.pem" "$dir/ca.pem" >"$dir/server-bundle.pem"
}

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

authority() {
    key "$1.key" &&
        openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 2 -out "$1.pem" \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

signed() {
    local dir=$1 name=$2 subject=$3 extensions=$4
    key "$dir/$name.key" &&
        openssl req -new -key "$dir/$name.key" -subj "/CN=$subject" -out "$dir/$name.csr" &&
        openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
            -extfile <(printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n%s\n' "$extensions") \
            -out "$dir/$name.pem"
}
