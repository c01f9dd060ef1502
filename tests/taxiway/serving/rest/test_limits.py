"""The REST API's timeouts and size limits, with small values."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from taxiway.network.http_server import Runner
from taxiway.serving.metrics import Metrics
from taxiway.serving.rest.app import application

LIMIT = 1000
PATIENCE = 0.5
HEAD = "POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\n"


class _Slow:
    """A model that never answers, unless its request is cancelled."""

    name, version = "m", 1

    def __init__(self) -> None:
        self.given_up = 0

    def signature(self, _name: str) -> Any:
        return SimpleNamespace(dtypes={"x": np.dtype("float32")})

    async def predict(self, *_: Any) -> dict[str, np.ndarray]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return {}


class _Models:
    def __init__(self) -> None:
        self.model, self.metrics, self.by_name = _Slow(), Metrics(), {"m": None}

    @asynccontextmanager
    async def lease(self, _spec: Any) -> AsyncIterator[_Slow]:
        yield self.model


Talk = Callable[[int, _Slow], Awaitable[None]]


def served(talk: Talk) -> None:
    """Runs the application on a free loopback port while `talk(port, model)` is running."""

    async def run() -> None:
        models = _Models()
        app = application(models, max_body_bytes=LIMIT, timeout_seconds=PATIENCE)  # type: ignore[arg-type]
        runner = Runner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await talk(runner.addresses[0][1], models.model)
        finally:
            await runner.cleanup()

    asyncio.run(run())


async def answer(port: int, request: bytes) -> bytes:
    """The first answer to a request; the connection stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length"))
    body = await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return head.split(b"\r\n")[0] + b" " + body


@pytest.mark.parametrize(
    "request_bytes",
    [
        f"{HEAD}Content-Length: 1001\r\n\r\n".encode(),
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n3e9\r\n".encode() + b" " * 1001,
        f"{HEAD}Content-Length: {len(gzip.compress(bytes(500_000)))}\r\nContent-Encoding: gzip\r\n\r\n".encode()
        + gzip.compress(bytes(500_000)),
    ],
    ids=["announced", "in chunks", "compressed"],
)
def test_a_body_beyond_the_limit_is_refused(request_bytes: bytes) -> None:
    async def talk(port: int, _model: _Slow) -> None:
        response = await answer(port, request_bytes)
        assert response.startswith(b"HTTP/1.1 413 ")
        assert response.endswith(b'{"error":"The request\'s body is larger than 1000 bytes"}')

    served(talk)


def test_a_stalled_body_times_out() -> None:
    async def talk(port: int, _model: _Slow) -> None:
        start = time.monotonic()
        response = await answer(port, f'{HEAD}Content-Length: 100\r\n\r\n{{"inst'.encode())
        assert response.startswith(b"HTTP/1.1 408 ")
        assert response.endswith(b'{"error":"No data of the request\'s body arrived for 0.5 s"}')
        assert time.monotonic() - start < 10

    served(talk)


def test_a_model_that_takes_too_long_times_out() -> None:
    async def talk(port: int, model: _Slow) -> None:
        response = await answer(port, f'{HEAD}Content-Length: 14\r\n\r\n{{"inputs":[1]}}'.encode())
        assert response == b'HTTP/1.1 504 Gateway Timeout {"error":"The request took longer than 0.5 s"}'
        assert model.given_up == 1

    served(talk)


def test_work_for_a_disconnected_client_is_cancelled() -> None:
    async def talk(port: int, model: _Slow) -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f'{HEAD}Content-Length: 14\r\n\r\n{{"inputs":[1]}}'.encode())
        await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()
        for _ in range(30):
            if model.given_up:
                break
            await asyncio.sleep(0.01)
        assert model.given_up == 1

    served(talk)


def test_a_connection_is_usable_after_a_refused_request() -> None:
    async def talk(port: int, _model: _Slow) -> None:
        bad = f"{HEAD}Content-Length: 1\r\n\r\n{{".encode()
        again = bad + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(again)
        both = await reader.read()
        assert both.startswith(b"HTTP/1.1 400 ") and both.endswith(b'{"status":"alive"}')
        writer.close()
        await writer.wait_closed()

    served(talk)
