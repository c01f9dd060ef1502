"""Requests that do not reach the application also get TF Serving's JSON errors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from taxiway.network.http_server import Runner

HEAD = "POST /read HTTP/1.1\r\nHost: x\r\n"
MALFORMED = {
    "a word": "hello\r\n\r\n",
    "an unknown method": "FOO /read HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown version": "GET /read HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP 2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\r\n\r\n",
    "a long path": f"GET /{'a' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": f"{HEAD}X: {'a' * 9000}\r\n\r\n",
    "many headers": HEAD + "".join(f"X{n}: 1\r\n" for n in range(300)) + "\r\n",
    "a header without a colon": f"{HEAD}X\r\n\r\n",
    "a length that is no number": f"{HEAD}Content-Length: ten\r\n\r\n",
    "two lengths": f"{HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}",
    "a chunk without a size": f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n",
    "an unknown transfer encoding": f"{HEAD}Transfer-Encoding: foo\r\n\r\n",
    "a host without its bracket": "GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
}


async def _read(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def _fail(_request: web.Request) -> web.Response:
    raise RuntimeError("a secret")


async def _late(_request: web.Request) -> web.Response:
    raise TimeoutError


def served(talk: Callable[[int], Awaitable[None]]) -> None:
    """Runs a small application on a free loopback port while `talk(port)` is running."""

    async def run() -> None:
        app = web.Application(client_max_size=100)
        app.add_routes([web.post("/read", _read), web.post("/fail", _fail), web.post("/late", _late)])
        runner = Runner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await talk(runner.addresses[0][1])
        finally:
            await runner.cleanup()

    asyncio.run(run())


def answer(request: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of the server's response to these bytes."""
    found: list[tuple[int, dict[str, str], Any]] = []

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode("latin-1"))
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["Content-Length"]))
        found.append((int(first.split()[1]), headers, json.loads(body)))
        writer.close()
        await writer.wait_closed()

    served(talk)
    return found[0]


@pytest.mark.parametrize("request_text", MALFORMED.values(), ids=MALFORMED.keys())
def test_invalid_http_gets_a_json_error_and_no_traceback_in_the_log(
    request_text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        status, headers, body = answer(request_text)
    assert status == 400
    assert headers["Content-Type"] == "application/json"
    assert list(body) == ["error"]
    assert body["error"].startswith("Malformed HTTP request: ")
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize(
    ("request_text", "status", "text"),
    [
        ("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404, "Not Found: GET /nowhere"),
        ("GET /read HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Method Not Allowed: GET /read"),
        (f"{HEAD}Content-Length: 101\r\n\r\n{'a' * 101}", 413, "Maximum request body size 100 exceeded"),
        (f"{HEAD}Expect: more\r\nContent-Length: 0\r\n\r\n", 417, "Unknown Expect: more"),
        ("POST /fail HTTP/1.1\r\nHost: x\r\n\r\n", 500, "Internal error; see the server's log"),
        ("POST /late HTTP/1.1\r\nHost: x\r\n\r\n", 504, "The request took too long"),
    ],
)
def test_exceptions_of_an_application_become_json_errors(request_text: str, status: int, text: str) -> None:
    found, headers, body = answer(request_text)
    assert (found, headers["Content-Type"]) == (status, "application/json")
    assert body["error"].startswith(text)
    assert headers.get("Allow") == ("POST" if status == 405 else None)


def test_a_connection_stays_open_after_an_application_error() -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write(f"{HEAD}Connection: close\r\nContent-Length: 2\r\n\r\nhi".encode())
        assert (await reader.read()).endswith(b"hi")
        writer.close()
        await writer.wait_closed()

    served(talk)
