# S3 as OpenStack Swift speaks it: four processes that check signatures, checksums and conditions for real.
# Swift's own `swift_dir` option keeps all of it below target/servers: /etc/swift is neither read nor written.

s3_access_key=audit:line
s3_secret_key=opens-nothing-either
s3_bucket=audit

s3_prepare() { make_venv; }

s3_start() {
    local dir=$run/s3 kind
    local -A port
    mkdir -p "$dir/devices/disk"
    cp "$here/s3/swift.conf" "$dir/swift.conf"
    for kind in account container object proxy; do
        free_port
        port[$kind]=$free
    done
    s3_port=${port[proxy]}
    "$venv/bin/python" "$here/s3/rings.py" "$dir" \
        account="${port[account]}" container="${port[container]}" object="${port[object]}" >>"$run/s3.log" 2>&1
    for kind in account container object; do
        fill "$here/s3/storage-server.conf" KIND=$kind PORT="${port[$kind]}" USER="$(id -un)" DIR="$dir" \
            >"$dir/$kind.conf"
        s3_daemon $kind
    done
    fill "$here/s3/proxy-server.conf" PORT="$s3_port" USER="$(id -un)" DIR="$dir" SECRET="$s3_secret_key" \
        >"$dir/proxy.conf"
    s3_daemon proxy
}

# The script is handed to the interpreter: its own first line holds a path, which a moved checkout breaks.
s3_daemon() { daemon "$venv/bin/python" "$venv/bin/swift-$1-server" "$run/s3/$1.conf" -v; }

s3_ready() {
    answers "$s3_port" &&
        timeout 20 "$venv/bin/python" "$here/s3/first_bucket.py" \
            "http://127.0.0.1:$s3_port" "$s3_access_key" "$s3_secret_key" "$s3_bucket"
}

s3_export() {
    export AUDITLINE_TEST_S3=http://127.0.0.1:$s3_port
    export AUDITLINE_TEST_S3_ACCESS_KEY=$s3_access_key
    export AUDITLINE_TEST_S3_SECRET_KEY=$s3_secret_key
    export AUDITLINE_TEST_S3_BUCKET=$s3_bucket
}

s3_describe() { echo "s3 (swift) listening on $AUDITLINE_TEST_S3, bucket $s3_bucket"; }
