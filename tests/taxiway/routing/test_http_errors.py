"""Requests that the proxy rejects itself, with TF Serving's JSON."""

from __future__ import annotations

import asyncio
import json
import socket
from http.client import HTTPResponse
from typing import Any, cast

import pytest
from aiohttp import web

from taxiway.network.http_server import Runner
from taxiway.routing import rest_side
from taxiway.routing.access_log import AccessLog
from taxiway.routing.router import Router
from taxiway.routing.settings import Flags, from_flags
from tests.taxiway.routing.conftest import Proxy, Route, http, predict_body, settings
from tests.taxiway.small_servers import Running

PREDICT = "POST /v1/models/taxi:predict HTTP/1.1\r\nHost: x\r\n"


def sent(address: str, request: str) -> tuple[int, Any]:
    """Status and JSON of the answer; the server may wait some time for the rest of the request."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request.encode())
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.headers["Content-Type"].startswith("application/json")
        return answer.status, json.loads(answer.read())


def test_requests_that_the_proxy_does_not_serve_are_rejected(route: Route, blue: Running) -> None:
    proxy: Proxy = route({**settings(blue, {"stable": 1}), "max_megabytes": 1})
    _, rest, admin = proxy.running.addresses
    assert http(f"{proxy.rest}/nowhere")[::2] == (404, {"error": "Not Found: GET /nowhere"})
    status, headers, answer = http(f"{proxy.rest}/healthz", {}, method="POST")
    assert (status, answer) == (405, {"error": "Method Not Allowed: POST /healthz"})
    assert headers["Allow"] == "GET,HEAD"
    large = "x" * (2 << 20)
    assert http(f"{proxy.rest}/v1/models/taxi:predict", predict_body(large))[::2] == (
        413, {"error": f"The request's body is larger than {1 << 20} bytes"},
    )  # fmt: skip
    for address in (rest, admin):
        assert sent(address, "hello\r\n\r\n") == (
            400, {"error": "Malformed HTTP request: Invalid method encountered: b'hello'"},
        )  # fmt: skip
    assert sent(rest, f"{PREDICT}Transfer-Encoding: chunked\r\n\r\nzz\r\n")[0] == 400
    assert http(f"{proxy.admin}/weights", large, method="PUT")[0] == 413


def test_a_stalled_body_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_side, "_BODY_SECONDS", 0.2)
    given = from_flags(Flags(model="taxi", backends=["127.0.0.1:1"], split="stable=1"))
    access_log = AccessLog(set())
    # No backend is called, so neither a session nor a shadow is needed.
    unused = cast(Any, None)
    router = Router(given, access_log)
    forwarder = rest_side.Forwarder(router, unused, unused, access_log, given)

    async def run() -> tuple[int, Any]:
        runner = Runner(rest_side.application(forwarder, router, access_log, given), auto_decompress=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            return await asyncio.to_thread(sent, f"127.0.0.1:{port}", f"{PREDICT}Content-Length: 100\r\n\r\n{{")
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == (408, {"error": "No data of the request's body arrived for 0.2 s"})
