# What Swift has not: encryption by a key service, roles that are assumed. It checks no signature and no checksum.

moto_prepare() { make_venv; }

moto_start() {
    free_port
    moto_port=$free
    daemon "$venv/bin/python" -m moto.server -H 127.0.0.1 -p "$moto_port"
}

moto_ready() {
    answers "$moto_port" &&
        timeout 20 "$venv/bin/python" "$here/s3/first_bucket.py" "http://127.0.0.1:$moto_port" any any "$s3_bucket"
}

moto_export() { export AUDITLINE_TEST_MOTO=http://127.0.0.1:$moto_port; }

moto_describe() { echo "moto listening on $AUDITLINE_TEST_MOTO, bucket $s3_bucket"; }
