"""A Splunk HTTP Event Collector as Splunk's documentation tells of it, for there is none to be had: it knows no line of our code.

    python3 collector.py --http PORT --https PORT --certificate PEM --output FILE

Routes, answers and codes: "Use the HTTP Event Collector" and "HTTP Event Collector REST API endpoints" at
help.splunk.com; `maxEventSize` from inputs.conf, `max_content_length` from limits.conf. What the documentation leaves open
is as Splunk Enterprise 10.4 was seen to do it by others:

- `invalid-event-number` counts from 0. The objects before that one are indexed, it and those after it are not.
- With code 7 it is the number of the object after the one with the wrong index.
- An object with a key it does not know ends the body, with a 200.
- Where the token acknowledges, a failed request has an `ackId` as well, if objects before the failed one were indexed.
- An `ackId` counts from 0 per channel, and is told to be `true` once; after that it is `false` like one that never was.

Every event that is indexed becomes a line of FILE: `{"envelope": {…}, "event": "TEXT"}`, where TEXT is the event's JSON as it
was sent.
"""

import argparse
import collections
import gzip
import http.server
import json
import json.decoder
import json.scanner
import re
import ssl
import threading
import time
import zlib

# What each token may do. All of them open nothing but this.
TOKENS = {
    "11111111-1111-4111-8111-111111111111": {},
    # Acknowledges what it has indexed, a little later.
    "22222222-2222-4222-8222-222222222222": {"ack": 0.2},
    # Acknowledges nothing, ever.
    "33333333-3333-4333-8333-333333333333": {"ack": float("inf")},
    "44444444-4444-4444-8444-444444444444": {"disabled": True},
    # May write to these indexes only.
    "55555555-5555-4555-8555-555555555555": {"indexes": ["main", "audit"]},
    # In front of it stands something that takes less in a request, unpacked.
    "66666666-6666-4666-8666-666666666666": {"max_content_length": 20_000},
}

MAX_EVENT_SIZE = 5 * 1000 * 1000
MAX_CONTENT_LENGTH = 800 * 1024 * 1024

TEXTS = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    17: (200, "HEC is healthy"),
}

ENVELOPE = {"time", "host", "source", "sourcetype", "index", "event", "fields"}
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\r\n]*")


class Invalid(Exception):
    """The object at hand cannot be taken, for the reason of this code."""

    def __init__(self, code):
        self.code = code


def past_space(text, at):
    return SPACE.match(text, at).end()


def members(text, at):
    """The members of the object that begins at `at`, each with the text it was written as, and where the object ends."""
    found = {}
    at = past_space(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise Invalid(6)
        key, at = json.decoder.scanstring(text, at + 1)
        at = past_space(text, at)
        if text[at : at + 1] != ":":
            raise Invalid(6)
        begin = past_space(text, at + 1)
        value, end = DECODER.raw_decode(text, begin)
        found[key] = (value, text[begin:end])
        at = past_space(text, end)
        if text[at : at + 1] == "}":
            return found, at + 1
        if text[at : at + 1] != ",":
            raise Invalid(6)
        at = past_space(text, at + 1)


def envelope(found, size, token):
    """What is indexed of an object, or why it is not."""
    values = {key: value for key, (value, _) in found.items() if key != "event"}
    if size > MAX_EVENT_SIZE:
        raise Invalid(6)
    if "event" not in found:
        raise Invalid(12)
    if found["event"][0] in ("", None):
        raise Invalid(13)
    if not isinstance(values.get("time", 0), (int, float, str)):
        raise Invalid(6)
    if isinstance(values.get("time"), str):
        float(values["time"])
    for key in ("host", "source", "sourcetype", "index"):
        if not isinstance(values.get(key, ""), str):
            raise Invalid(6)
    fields = values.get("fields", {})
    flat = isinstance(fields, dict) and all(
        isinstance(value, (str, int, float, bool))
        or (isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value))
        for value in fields.values()
    )
    if not flat:
        raise Invalid(15)
    if "indexes" in token and values.get("index", token["indexes"][0]) not in token["indexes"]:
        raise Invalid(7)
    return values


class Channel:
    def __init__(self):
        self.next = 0
        self.indexed_at = {}


class State:
    def __init__(self, output):
        self.lock = threading.Lock()
        self.output = open(output, "a", encoding="utf-8", errors="surrogatepass", newline="\n")
        self.channels = collections.defaultdict(Channel)

    def index(self, indexed):
        lines = [json.dumps({"envelope": values, "event": text}) + "\n" for values, text in indexed]
        with self.lock:
            self.output.write("".join(lines))
            self.output.flush()

    def issue(self, key, delay):
        with self.lock:
            channel = self.channels[key]
            number, channel.next = channel.next, channel.next + 1
            channel.indexed_at[number] = time.monotonic() + delay
            return number

    def poll(self, key, numbers):
        now = time.monotonic()
        with self.lock:
            channel = self.channels[key]
            told = {}
            for number in numbers:
                told[str(number)] = channel.indexed_at.get(number, float("inf")) <= now
                if told[str(number)]:
                    del channel.indexed_at[number]
            return told


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise headers and body go as two packets, and each answer waits for the first one's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def say(self, code, **more):
        status, text = TEXTS[code]
        self.answer(status, {"text": text, "code": code, **more})

    def token(self):
        """The token's rights, or `None` where it has none, and that has been said."""
        header = self.headers.get("Authorization", "")
        if not header:
            return self.say(2)
        scheme, _, value = header.partition(" ")
        if scheme != "Splunk":
            return self.say(3)
        token = TOKENS.get(value)
        if token is None:
            return self.say(4)
        if token.get("disabled"):
            return self.say(1)
        return token

    def do_GET(self):
        if self.path in ("/services/collector/health", "/services/collector/health/1.0"):
            return self.say(17)
        self.answer(404, {"text": "The requested URL was not found on this server.", "code": 404})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self.path.partition("?")[0]
        if path not in ("/services/collector", "/services/collector/event", "/services/collector/event/1.0",
                        "/services/collector/ack", "/services/collector/ack/1.0"):  # fmt: skip
            return self.answer(404, {"text": "The requested URL was not found on this server.", "code": 404})
        token = self.token()
        if token is None:
            return None
        channel = self.headers.get("X-Splunk-Request-Channel")
        if channel is not None and not GUID.fullmatch(channel):
            return self.say(11)
        if "ack" in token and channel is None:
            return self.say(10)
        if self.headers.get("Content-Encoding") == "gzip":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error):
                return self.say(6)
        elif self.headers.get("Content-Encoding"):
            return self.answer(415, {"text": "Unsupported Media Type", "code": 415})
        if len(body) > token.get("max_content_length", MAX_CONTENT_LENGTH):
            return self.answer(413, {"text": "Content-Length of the request is too large", "code": 413})
        key = (self.headers["Authorization"], channel)
        if "/ack" in path:
            return self.acknowledge(body, token, key)
        return self.take(body, token, key)

    def acknowledge(self, body, token, key):
        if "ack" not in token:
            return self.say(14)
        try:
            numbers = json.loads(body)["acks"]
        except (ValueError, KeyError, TypeError):
            return self.say(6)
        self.answer(200, {"acks": self.server.state.poll(key, numbers)})

    def take(self, body, token, key):
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return self.say(6, **{"invalid-event-number": 0})
        indexed, at, failed = [], past_space(text, 0), None
        if at == len(text):
            return self.say(5)
        while at < len(text):
            try:
                if text[at] != "{":
                    raise Invalid(6)
                begin = at
                found, at = members(text, at)
                if not ENVELOPE.issuperset(found):
                    if not indexed:
                        failed = (5, {})
                    break
                indexed.append((envelope(found, len(text[begin:at].encode()), token), found["event"][1]))
            except (Invalid, ValueError) as error:
                code = error.code if isinstance(error, Invalid) else 6
                failed = (code, {"invalid-event-number": len(indexed) + (code == 7)})
                break
            at = past_space(text, at)
        self.server.state.index(indexed)
        acknowledged = {"ackId": self.server.state.issue(key, token["ack"])} if "ack" in token and indexed else {}
        code, more = failed or (0, {})
        return self.say(code, **more, **acknowledged)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Of the five that Python lets wait, a busy machine's sixth connection may be reset.
    request_queue_size = 1024


def serve(port, state, certificate=None):
    server = Server(("127.0.0.1", port), Handler)
    server.state = state
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--http", type=int, required=True)
    arguments.add_argument("--https", type=int, required=True)
    arguments.add_argument("--certificate", required=True)
    arguments.add_argument("--output", required=True)
    arguments = arguments.parse_args()
    state = State(arguments.output)
    serve(arguments.http, state)
    serve(arguments.https, state, arguments.certificate)
    threading.Event().wait()


if __name__ == "__main__":
    main()
