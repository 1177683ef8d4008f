"""Proves that the servers are what our tests take them for, with clients that are not ours.

    tests/servers/run target/servers/venv/bin/python tests/servers/check.py

A server that did not come up is named and passed over; anything else that is not as it should be ends in exit code 1.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

ENV = {name.removeprefix("AUDITLINE_TEST_"): value for name, value in os.environ.items() if name.startswith("AUDITLINE_TEST_")}
USER, PASSWORD = "auditline", "opens-nothing"


def address(name):
    host, port = ENV[name].rsplit(":", 1)
    return host, int(port)


def eventually(what, look, secs=20):
    """Returns the first true answer of `look`, which is asked again until then."""
    until = time.monotonic() + secs
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {secs} s: {what}")


def refused(what, action, *kinds):
    try:
        action()
    except kinds:
        return
    raise AssertionError(f"was not refused: {what}")


# --- Kafka ---


def kafka():
    import confluent_kafka as ck

    def config(**more):
        return {"bootstrap.servers": ENV["KAFKA"], "log_level": 0} | {k.replace("_", "."): v for k, v in more.items()}

    def secured(password=PASSWORD, ca=ENV["KAFKA_CA"]):
        return config(
            bootstrap_servers=ENV["KAFKA_SASL_TLS"], security_protocol="SASL_SSL", ssl_ca_location=ca,
            sasl_mechanism="SCRAM-SHA-256", sasl_username=USER, sasl_password=password,
        )  # fmt: skip

    def produce(settings, topic, value):
        producer = ck.Producer(settings | {"acks": "all", "message.timeout.ms": 15000, "enable.idempotence": True})
        outcome = []
        producer.produce(topic, value, on_delivery=lambda error, _: outcome.append(error))
        producer.flush(20)
        assert outcome == [None], outcome

    def read(settings, topic, count):
        settings = settings | {"group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
        consumer = ck.Consumer(settings)
        consumer.subscribe([topic])
        values, until = [], time.monotonic() + 20
        while len(values) < count and time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                values.append(message.value())
        consumer.close()
        return values

    for settings in (config(), secured()):
        topic = f"audit.{uuid.uuid4().hex}"
        produce(settings, topic, b"one record")
        assert read(settings, topic, 1) == [b"one record"]

    def can_list(settings):
        ck.Producer(settings).list_topics(timeout=4)

    refused("a wrong password", lambda: can_list(secured(password="wrong")), ck.KafkaException)
    refused("a CA that signed nothing", lambda: can_list(secured(ca=ENV["TLS_WRONG_CA"])), ck.KafkaException)
    too_big = ck.Producer(config(message_max_bytes=5_000_000))
    outcome = []
    too_big.produce(topic, b"x" * 2_000_000, on_delivery=lambda error, _: outcome.append(error.code()))
    too_big.flush(20)
    assert outcome == [ck.KafkaError.MSG_SIZE_TOO_LARGE], outcome

    topic, name = f"audit.{uuid.uuid4().hex}", uuid.uuid4().hex
    zombie, successor = (ck.Producer(config(transactional_id=name)) for _ in range(2))
    zombie.init_transactions(20)
    zombie.begin_transaction()
    zombie.produce(topic, b"from the zombie")
    zombie.flush(20)
    successor.init_transactions(20)
    successor.begin_transaction()
    successor.produce(topic, b"from its successor")
    successor.commit_transaction(20)
    refused("a commit by a fenced producer", lambda: zombie.commit_transaction(20), ck.KafkaException)
    assert read(config(), topic, 1) == [b"from its successor"]


# --- S3 ---


def s3():
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    def client(secret=ENV.get("S3_SECRET_KEY")):
        return boto3.client(
            "s3", endpoint_url=ENV["S3"], aws_access_key_id=ENV["S3_ACCESS_KEY"], aws_secret_access_key=secret,
            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )  # fmt: skip

    server, bucket, key = client(), ENV["S3_BUCKET"], f"check/{uuid.uuid4().hex}"
    body = os.urandom(100_000)
    for algorithm in ("CRC32", "SHA256"):
        server.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm=algorithm)
    assert server.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert key in [entry["Key"] for entry in server.list_objects_v2(Bucket=bucket, Prefix="check/")["Contents"]]

    put = {"Bucket": bucket, "Key": key, "Body": body}
    refused("a wrong secret", lambda: client("wrong").put_object(**put), ClientError)
    refused("a wrong CRC32", lambda: server.put_object(**put, ChecksumCRC32="AAAAAA=="), ClientError)
    refused("a wrong MD5", lambda: server.put_object(**put, ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="), ClientError)
    refused("an object that is there, with If-None-Match", lambda: server.put_object(**put, IfNoneMatch="*"), ClientError)

    part_key, parts = f"{key}-parts", []
    upload = server.create_multipart_upload(Bucket=bucket, Key=part_key)["UploadId"]
    for number, part in ((1, b"a" * 5 * 1024 * 1024), (2, b"the end")):
        answer = server.upload_part(Bucket=bucket, Key=part_key, UploadId=upload, PartNumber=number, Body=part)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    server.complete_multipart_upload(Bucket=bucket, Key=part_key, UploadId=upload, MultipartUpload={"Parts": parts})
    assert server.head_object(Bucket=bucket, Key=part_key)["ContentLength"] == 5 * 1024 * 1024 + 7
    refused("a missing object", lambda: server.get_object(Bucket=bucket, Key="nothing"), ClientError)


def moto():
    import boto3
    from botocore.config import Config

    def client(service):
        return boto3.client(
            service, endpoint_url=ENV["MOTO"], aws_access_key_id="any", aws_secret_access_key="any",
            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip

    server, key = client("s3"), f"check/{uuid.uuid4().hex}"
    server.put_object(Bucket="audit", Key=key, Body=b"one", ServerSideEncryption="aws:kms", SSEKMSKeyId="a-key")
    found = server.head_object(Bucket="audit", Key=key)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "a-key"), found
    role = "arn:aws:iam::123456789012:role/audit"
    assert client("sts").assume_role(RoleArn=role, RoleSessionName="check")["Credentials"]["SessionToken"]


# --- syslog ---


def message(text, structured="-"):
    return f"<13>1 2026-03-01T09:00:00.123456Z host.example auditline - okta {structured} {text}".encode()


def counted(payload):
    return str(len(payload)).encode() + b" " + payload


def connect_tls(name, ca=None, client=False):
    context = ssl.create_default_context(cafile=ca or ENV["TLS_CA"])
    if client:
        context.load_cert_chain(ENV["TLS_CLIENT_CERT"], ENV["TLS_CLIENT_KEY"])
    return context.wrap_socket(socket.create_connection(address(name), 10), server_hostname="127.0.0.1")


def send(connection, payload):
    with connection:
        connection.sendall(payload)
        connection.unwrap()


def hung_up_on(connection, payload):
    """Whether the server ends the connection after `payload`, of its own accord.

    TLS 1.3 ends on the client's side first, so a client that is refused writes without an error; and neither server
    sends an alert. rsyslog closes in good order, syslog-ng breaks off. Only reading tells.
    """
    with connection:
        try:
            connection.sendall(payload)
            return connection.recv(1) == b""
        except OSError as error:
            return not isinstance(error, TimeoutError)


def lines(name):
    with open(ENV[name], encoding="utf-8", errors="replace") as file:
        return file.read().split("\n")[:-1]


def received(name, mark):
    return eventually(f"{mark} in {ENV[name]}", lambda: [line for line in lines(name) if mark in line])


def logger(name, text, *options):
    host, port = address(name)
    subprocess.run(["logger", "-n", host, "-P", str(port), "--rfc5424", "-t", "check", *options, text], check=True)


def openssl(name, payload):
    # `-quiet` also keeps it from ending before the server has answered the end of our input.
    command = ["openssl", "s_client", "-connect", ENV[name], "-CAfile", ENV["TLS_CA"], "-verify_return_error", "-quiet", "-no_ign_eof"]
    subprocess.run(command, input=payload, check=True, stderr=subprocess.DEVNULL, timeout=20)


def syslog_over_tls(prefix, output):
    mark = uuid.uuid4().hex
    openssl(f"{prefix}_TLS", counted(message(mark)))
    received(output, mark)
    refused(
        "a server whose CA we do not know",
        lambda: connect_tls(f"{prefix}_TLS", ca=ENV["TLS_WRONG_CA"]),
        ssl.SSLCertVerificationError,
    )
    mark = uuid.uuid4().hex
    send(connect_tls(f"{prefix}_MUTUAL_TLS", client=True), counted(message(mark)))
    received(output, mark)
    without = uuid.uuid4().hex
    assert hung_up_on(connect_tls(f"{prefix}_MUTUAL_TLS"), counted(message(without))), "a client without a certificate"
    assert not [line for line in lines(output) if without in line]


def rsyslog():
    output = "RSYSLOG_OUTPUT"
    for name, options in (("RSYSLOG_TCP", ("-T", "--octet-count")), ("RSYSLOG_UDP", ("-d",))):
        mark = uuid.uuid4().hex
        logger(name, mark, *options)
        assert len(received(output, mark)) == 1
        assert json.loads(received("RSYSLOG_JSON", mark)[0])["programname"] == "check"
    mark = uuid.uuid4().hex
    with socket.create_connection(address("RSYSLOG_TCP")) as connection:
        connection.sendall(counted(message(mark + "x" * 200 * 1024)) + counted(message(mark + " second\nline")))
    eventually("both messages", lambda: len(received(output, mark)) == 2)
    long, short = sorted(received(output, mark), key=len, reverse=True)
    assert long.endswith(mark + "x" * 200 * 1024), len(long)
    assert short.endswith("second#012line"), short
    syslog_over_tls("RSYSLOG", output)


def relp(connection, mark):
    """The answers to opening a session, to one message and to closing it again."""
    offers = b"relp_version=0\nrelp_software=check\ncommands=syslog\n"
    answers = []
    with connection:
        for number, (command, data) in enumerate([("open", offers), ("syslog", message(mark)), ("close", b"")], 1):
            connection.sendall(f"{number} {command} {len(data)}".encode() + (b" " + data if data else b"") + b"\n")
            answers.append(connection.recv(4096))
    return answers


def rsyslog_relp():
    for connection in (
        lambda: socket.create_connection(address("RSYSLOG_RELP"), 10),
        lambda: connect_tls("RSYSLOG_RELP_TLS", client=True),
    ):
        mark = uuid.uuid4().hex
        opened, taken, closed = relp(connection(), mark)
        assert opened.startswith(b"1 rsp ") and b"200 OK\n" in opened and b"\ncommands=syslog" in opened, opened
        assert taken == b"2 rsp 6 200 OK\n" and closed.startswith(b"3 rsp 0\n"), (taken, closed)
        assert len(received("RSYSLOG_OUTPUT", mark)) == 1
    assert hung_up_on(connect_tls("RSYSLOG_RELP_TLS"), b"1 open 0\n"), "a client without a certificate"


def syslog_ng():
    output = "SYSLOG_NG_OUTPUT"
    mark = uuid.uuid4().hex
    logger("SYSLOG_NG_TCP", mark, "-T", "--octet-count")
    assert json.loads(received(output, mark)[0])["APP-NAME"] == "check"
    mark = uuid.uuid4().hex
    with socket.create_connection(address("SYSLOG_NG_TCP")) as connection:
        connection.sendall(counted(message(mark + ' "ü"\nnext', r'[audit@32473 id="a\"b\]c" vendor="okta"]')))
        connection.sendall(counted(message(mark + "x" * 200 * 1024)))
        connection.sendall(counted(b"<13>1 yesterday " + mark.encode()))
    eventually("all messages", lambda: len(received(output, mark)) == 3)
    found = [json.loads(line) for line in received(output, mark)]
    expected = {
        "PRI": 13,
        "TIMESTAMP": "2026-03-01T09:00:00.123456+00:00",
        "HOSTNAME": "host.example",
        "APP-NAME": "auditline",
        "PROCID": "",
        "MSGID": "okta",
        "MSG": mark + ' "ü"\nnext',
        "_SDATA": {"audit@32473": {"id": 'a"b]c', "vendor": "okta"}},
    }
    assert found[0] == expected, found[0]
    assert found[1]["MSG"] == mark + "x" * 200 * 1024
    assert found[2]["APP-NAME"] == "syslog-ng" and "Error processing log message" in found[2]["MSG"], found[2]
    syslog_over_tls("SYSLOG_NG", output)


# --- CEF and LEEF ---


def formats():
    lines = [
        r"CEF:0|a\|b|c|1|d\\|e = f|3|rt=1 act=g\=h \\ i\nj last=k",
        "LEEF:2.0|a|b|1|c|^|devTime=2026-03-01T09:00:00.123+0000^devTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ^msg=d=e f",
        "LEEF:2.0|a|b|1|c|x09|nothing",
    ]
    answer = subprocess.run([ENV["FORMATS_PARSER"]], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    cef, leef, wrong = [json.loads(line) for line in answer.stdout.splitlines()]
    assert cef == {"head": ["a|b", "c", "1", "d\\", "e = f", "3"], "fields": {"rt": "1", "act": "g=h \\ i\nj", "last": "k"}}, cef
    assert leef["head"] == ["a", "b", "1", "c"] and leef["fields"]["msg"] == "d=e f", leef
    assert "no key" in wrong["error"], wrong


# --- OpenSearch and the event collector ---


def ask(url, body=None, method=None, context=None, **headers):
    """Status and JSON of the answer."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=None if body is None else body.encode(), method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else text


def opensearch():
    url, index = ENV["OPENSEARCH"], f"check-{uuid.uuid4()}"
    assert ask(url)[1]["version"]["distribution"] == "opensearch"
    settings = json.dumps({"mappings": {"properties": {"n": {"type": "long"}}}})
    assert ask(f"{url}/{index}", settings, "PUT", Content_Type="application/json")[0] == 200
    lines = [{"create": {"_id": "a"}}, {"n": 1}, {"create": {"_id": "a"}}, {"n": 2}, {"create": {"_id": "b"}}, {"n": "x"}]
    bulk = "".join(json.dumps(line) + "\n" for line in lines)
    status, answer = ask(f"{url}/{index}/_bulk", bulk, Content_Type="application/x-ndjson")
    assert status == 200 and answer["errors"], answer
    items = [item["create"] for item in answer["items"]]
    assert [item["status"] for item in items] == [201, 409, 400], items
    assert items[1]["error"]["type"] == "version_conflict_engine_exception", items
    assert items[2]["error"]["type"] == "mapper_parsing_exception", items
    assert ask(f"{url}/{index}", method="DELETE")[0] == 200


def hec():
    url, source = ENV["HEC"] + "/services/collector", f"check-{uuid.uuid4()}"

    def token(n):
        return f"Splunk {n * 8}-{n * 4}-4{n * 3}-8{n * 3}-{n * 12}"

    def send(n, *events, path="/event", **headers):
        body = "".join(json.dumps(event) for event in events)
        return ask(url + path, body, "POST", Authorization=token(n), **headers)

    def indexed():
        with open(ENV["HEC_OUTPUT"], encoding="utf-8") as lines:
            mine = [line for line in map(json.loads, lines) if line["envelope"].get("source") == source]
        return [json.loads(line["event"]) for line in mine]

    def event(n, **more):
        return {"source": source, "event": {"n": n}} | more

    assert ask(url + "/health")[1]["code"] == 17
    assert send("9", event(1)) == (403, {"text": "Invalid token", "code": 4})
    assert send("4", event(1)) == (403, {"text": "Token disabled", "code": 1})
    assert send("1") == (400, {"text": "No data", "code": 5})
    assert send("1", event(1), event(2)) == (200, {"text": "Success", "code": 0})
    answer = send("1", event(3), event(4, event=""), event(5))
    assert answer == (400, {"text": "Event field cannot be blank", "code": 13, "invalid-event-number": 1}), answer
    assert send("5", event(6, index="other"))[1]["code"] == 7
    assert send("6", event("x" * 30_000))[0] == 413
    assert send("2", event(7))[1]["code"] == 10
    assert [found["n"] for found in indexed()] == [1, 2, 3]
    channel = {"X_Splunk_Request_Channel": str(uuid.uuid4())}
    assert send("2", event(8), **channel)[1]["ackId"] == 0

    def acknowledged():
        return send("2", {"acks": [0]}, path="/ack", **channel)[1]["acks"]["0"]

    eventually("an acknowledgement", acknowledged)
    assert not acknowledged(), "told twice"
    context = ssl.create_default_context(cafile=ENV["TLS_CA"])
    assert ask(ENV["HEC_TLS"] + "/services/collector/health", context=context)[0] == 200


def victorialogs():
    import urllib.parse

    mark, path = f"check-{uuid.uuid4()}", "/services/collector/event"

    def send(*events, url=ENV["VICTORIALOGS"], token=PASSWORD, **how):
        body = "\n".join(events)
        # By its declared type a form would be taken for one, and its events for nothing.
        headers = {"Authorization": f"Splunk {token}", "Content_Type": "application/json"}
        return ask(url + path, body, "POST", **headers, **how)

    def event(**members):
        return json.dumps({"source": mark, "time": 1773480413.589, "fields": {"id": "x"}, "event": {"n": [1.50, None]}} | members)

    def get(path, **query):
        url = f"{ENV['VICTORIALOGS_QUERY']}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return [json.loads(line) for line in answer]

    def found():
        get("internal/force_flush")
        return get("select/logsql/query", query=f"source:={mark} | sort by (_time) | fields _time, _msg, fields.id")

    taken = (200, {"text": "Success", "code": 0})
    assert send() == taken
    assert send(event(), event(time=1773480414, event={})) == taken
    assert found() == [
        {"_time": "2026-03-14T09:26:53.589Z", "_msg": '{"n":[1.5,null]}', "fields.id": "x"},
        {"_time": "2026-03-14T09:26:54Z", "_msg": "{}", "fields.id": "x"},
    ], found()
    # What it cannot take it leaves out, and says nothing of it unless it is the first.
    assert send(event(), "{", event()) == taken
    assert send(event(event={"large": "x" * 2_200_000})) == taken
    assert send("{", event())[0] == 400
    assert len(found()) == 3
    assert send(event(), token="unknown")[0] == 401
    assert send(event(), token="leads-nowhere")[0] == 502
    context = ssl.create_default_context(cafile=ENV["TLS_CA"])
    assert send(event(), url=ENV["VICTORIALOGS_TLS"], context=context) == taken
    wrong = ssl.create_default_context(cafile=ENV["TLS_WRONG_CA"])
    refused("a CA that signed nothing", lambda: send(event(), url=ENV["VICTORIALOGS_TLS"], context=wrong), OSError)


# --- HTTP and OTLP ---


def http():
    import base64

    path = f"check-{uuid.uuid4()}"

    def stored(path):
        with urllib.request.urlopen(f"{ENV['HTTP']}/stored/{path}", timeout=20) as answer:
            return [json.loads(line) for line in answer]

    assert ask(f"{ENV['HTTP']}/in/{path}?a=%2f", "one")[0] == 202
    assert ask(f"{ENV['HTTP']}/in/{path}", "x" * 1_100_000)[0] == 413
    assert [request["body"] for request in stored(f"in/{path}?a=%2f")] == ["one"]
    assert stored(f"in/{path}") == []
    good = {
        "bearer": {"Authorization": "Bearer opens-nothing-either"},
        "basic": {"Authorization": "Basic " + base64.b64encode(b"audit:opens-nothing-either").decode()},
        "key": {"X_Api_Key": "opens-nothing-either"},
    }
    for kind, headers in good.items():
        url = f"{ENV['HTTP']}/{kind}/{path}"
        assert ask(url, "{}")[0] in (401, 403), kind
        assert ask(url, "{}", **headers)[0] == 202, kind
    assert ask(f"{ENV['HTTP']}/signed/{path}", "{}", X_Timestamp="1", X_Signature="v1=0")[0] == 403
    assert ask(f"{ENV['HTTP']}/picky/{path}", '{"refuse":1}')[0] == 400
    assert ask(f"{ENV['HTTP']}/granted/{path}", "{}", Authorization="Bearer stale")[0] == 401
    context = ssl.create_default_context(cafile=ENV["TLS_CA"])
    assert ask(f"{ENV['HTTP_TLS']}/in/{path}", "two", context=context)[0] == 202
    nobody = ssl.create_default_context(cafile=ENV["TLS_CA"])
    refused("a client without a certificate", lambda: ask(ENV["HTTP_MUTUAL"], "", context=nobody), OSError)
    context.load_cert_chain(ENV["TLS_CLIENT_CERT"], ENV["TLS_CLIENT_KEY"])
    assert ask(f"{ENV['HTTP_MUTUAL']}/in/{path}", "three", context=context)[0] == 202


def otlp():
    mark, url = f"check-{uuid.uuid4()}", ENV["OTLP"] + "/v1/logs"

    def export(text, url=url, **how):
        records = [{"timeUnixNano": "1", "body": {"stringValue": text}}]
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
        return ask(url, body, Content_Type="application/json", **how)

    assert export(mark)[0] == 200
    with open(ENV["OTLP_OUTPUT"], encoding="utf-8") as lines:
        assert sum(mark in line for line in lines) == 1
    assert ask(url, "{", Content_Type="application/json")[0] == 400
    assert export("x" * 5_100_000)[0] in (400, 413)
    context = ssl.create_default_context(cafile=ENV["TLS_CA"])
    assert export(mark, ENV["OTLP_TLS"] + "/v1/logs", context=context)[0] == 200
    refused("a CA that signed nothing", lambda: export(mark, ENV["OTLP_TLS"], context=ssl.create_default_context(cafile=ENV["TLS_WRONG_CA"])), OSError)


# --- Parquet ---


def parquet():
    import pyarrow
    import pyarrow.parquet

    records = [
        {"class_uid": 6003, "metadata": {"uid": "a"}, "time": 1760000000000, "new": {"thing": 1.50}},
        {"class_uid": 6003, "metadata": {"uid": "b"}, "time": 2},
    ]

    def judge(rows, folder):
        lines, table = os.path.join(folder, "lines.ndjson"), os.path.join(folder, "rows.parquet")
        with open(lines, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(record) + "\n" for record in records)
        columns = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(columns.replace_schema_metadata({"ocsf.class": "api_activity"}), table)
        return subprocess.run([ENV["PARQUET"], lines, table], capture_output=True, text=True)

    def row(record):
        extra = json.dumps({"new": record["new"]}) if "new" in record else None
        return {name: value for name, value in record.items() if name != "new"} | {"extra": extra}

    with tempfile.TemporaryDirectory() as folder:
        answer = judge([row(record) for record in records], folder)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        for rows in ([row(records[0])], [row(records[0])] * 2, [row(records[0]), row(records[1]) | {"time": 3}]):
            assert judge(rows, folder).returncode == 1, rows


# --- OCSF ---


def ocsf():
    valid = {
        "class_uid": 6003, "class_name": "API Activity", "category_uid": 6, "activity_id": 1, "activity_name": "Create",
        "type_uid": 600301, "severity_id": 1, "time": 1760000000000, "unmapped": {"any": [{"thing": 1}]},
        "metadata": {"version": "1.8.0", "product": {"vendor_name": "Okta", "name": "Okta"}}, "api": {"operation": "create"},
        "actor": {"user": {"uid": "u1", "email_addr": "ada@example.com"}}, "src_endpoint": {"ip": "192.0.2.7"},
    }  # fmt: skip
    mistakes = [
        {"type_uid": 600302}, {"activity_name": "Delete"}, {"class_uid": 1}, {"time": "now"}, {"severity_id": 7},
        {"unheard_of": 1}, {"actor": None}, {"src_endpoint": {"ip": "300.0.2.7"}}, {"src_endpoint": {"unheard_of": 1}},
    ]  # fmt: skip

    def validate(events):
        text = "".join(json.dumps(event) + "\n" for event in events)
        return subprocess.run([ENV["OCSF_VALIDATOR"]], input=text, capture_output=True, text=True)

    answer = validate([valid] * 5000)
    assert answer.returncode == 0 and not answer.stdout, answer.stdout[:500]
    answer = validate([valid] + [valid | mistake for mistake in mistakes])
    assert answer.returncode == 1, answer.stderr
    reported = {int(line.split("\t")[0]) for line in answer.stdout.splitlines()}
    assert reported == set(range(2, len(mistakes) + 2)), answer.stdout


def main():
    wrong = 0
    needs = {kafka: "KAFKA", s3: "S3", rsyslog: "RSYSLOG_TCP", rsyslog_relp: "RSYSLOG_RELP", syslog_ng: "SYSLOG_NG_TCP"}
    needs |= {moto: "MOTO", http: "HTTP", otlp: "OTLP", parquet: "PARQUET"}
    needs |= {opensearch: "OPENSEARCH", hec: "HEC", victorialogs: "VICTORIALOGS", ocsf: "OCSF_VALIDATOR"}
    needs |= {formats: "FORMATS_PARSER"}
    for check, need in needs.items():
        name, began = check.__name__, time.monotonic()
        if need not in ENV:
            print(f"{name}: not there")
            continue
        try:
            check()
        except Exception as error:  # noqa: BLE001: whatever it is, the others are still to be looked at
            wrong += 1
            print(f"{name}: {type(error).__name__}: {error}")
        else:
            print(f"{name}: as expected ({time.monotonic() - began:.1f} s)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
