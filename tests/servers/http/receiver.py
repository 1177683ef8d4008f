"""A receiver of JSON over HTTP, as a log service or a webhook is one: aiohttp reads the requests, we keep them.

What is POSTed or PUT to a path is kept below it; `GET /stored/PATH` tells it again, a line of JSON for each request.
Parts of a path ask for a service's ways: `/bearer/…`, `/basic/…` and `/key/…` want credentials, `/signed/…` a signature,
`/picky/…` refuses a body with a record that has a `refuse` in it.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import ssl

from aiohttp import web

TOKEN = "opens-nothing-either"
MOST = 1_000_000

stored = {}
tokens = set()


def refused(status, message):
    return web.json_response({"error": message}, status=status)


def place(request):
    """As it was written, percent-encoding and query included."""
    url = request.rel_url
    return url.raw_path + (f"?{url.raw_query_string}" if url.raw_query_string else "")


async def take(request):
    # aiohttp unpacks gzip and answers 413 by itself.
    body = await request.read()
    parts = request.path.split("/")
    headers = request.headers
    if "bearer" in parts and headers.get("Authorization") != f"Bearer {TOKEN}":
        return refused(401, f"no such token: {headers.get('Authorization')}")
    if "basic" in parts and headers.get("Authorization") != "Basic " + base64.b64encode(
        f"audit:{TOKEN}".encode()
    ).decode():
        return refused(401, "wrong user or password")
    if "key" in parts and headers.get("X-Api-Key") != TOKEN:
        return refused(403, "wrong key")
    if "granted" in parts and headers.get("Authorization", "").removeprefix("Bearer ") not in tokens:
        return refused(401, "token expired")
    if "signed" in parts:
        signed = headers["X-Timestamp"].encode() + b"." + body
        expected = "v1=" + hmac.new(TOKEN.encode(), signed, hashlib.sha256).hexdigest()
        if headers.get("X-Signature") != expected:
            return refused(403, "wrong signature")
    if "picky" in parts and b'"refuse"' in body:
        return refused(400, "one of the records is not to my taste")
    stored.setdefault(place(request), []).append(
        {"headers": {name.lower(): value for name, value in headers.items()}, "body": body.decode()}
    )
    return web.json_response({"status": "ok"}, status=202)


async def tell(request):
    requests = stored.get(place(request).removeprefix("/stored"), [])
    return web.Response(text="".join(json.dumps(request) + "\n" for request in requests))


async def grant(request):
    """Tokens by client credentials, each good until the next is given out."""
    form = await request.post()
    if form.get("grant_type") != "client_credentials" or form.get("client_secret") != TOKEN:
        return refused(400, "invalid_client")
    tokens.clear()
    tokens.add(token := f"granted-{id(form):x}-{len(stored)}")
    return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 3600})


async def serve(arguments):
    app = web.Application(client_max_size=MOST)
    app.router.add_get("/stored/{path:.*}", tell)
    app.router.add_post("/token", grant)
    app.router.add_post("/{path:.*}", take)
    app.router.add_put("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", arguments.port).start()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(arguments.cert, arguments.key)
    await web.TCPSite(runner, "127.0.0.1", arguments.tls_port, ssl_context=tls).start()
    mutual = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=arguments.ca)
    mutual.load_cert_chain(arguments.cert, arguments.key)
    mutual.verify_mode = ssl.CERT_REQUIRED
    await web.TCPSite(runner, "127.0.0.1", arguments.mutual_port, ssl_context=mutual).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ["port", "tls-port", "mutual-port"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ["cert", "key", "ca"]:
        parser.add_argument(f"--{name}", required=True)
    asyncio.run(serve(parser.parse_args()))
