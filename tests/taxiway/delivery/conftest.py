"""A real proxy before a real server with two versions, and traffic through it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.delivery import versions
from tests.taxiway.small_servers import Running, running


@dataclass
class Setup:
    """A proxy and its server.

    Attributes:
        server: The server, with the versions 1 and 2.
        proxy: The address of the proxy's gRPC API.
        admin: The URL of its admin API.
    """

    server: Running
    proxy: str
    admin: str

    def behave(self, **behaviour: Any) -> None:
        """Lets version 2 fail, or take longer."""
        versions.control(self.server.grpc, versions={2: behaviour})

    def settings(self, *weights: float, seconds: int = 1, **more: Any) -> dict[str, Any]:
        """Quick settings of a canary."""
        steps = [{"weight": weight, "least_time": f"{seconds}s", "least_requests": 20} for weight in weights]
        end = {"weight": 100, "least_time": "0s", "least_requests": 0}
        return {"weights": {"route": self.admin}, "steps": [*steps, end], "warm_up": "0s", "silence": "5s", **more}


@contextmanager
def proxy(folder: Path, server: Running, *options: Any) -> Iterator[Running]:
    """A proxy that gives everything to the champion."""
    arguments = ["--model", "taxi", "--backend", server.grpc, "--split", "stable=100,canary=0"]
    ports = ["--listen-port", "0", "--rest-port", "0", *(options or ("--admin-port", "0"))]
    with running(folder, "taxiway", "route", *arguments, *ports) as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("versions"), "benchmarks.delivery.versions") as started:
        yield started


@pytest.fixture
def setup(server: Running, tmp_path: Path) -> Iterator[Setup]:
    with proxy(tmp_path / "proxy", server) as started:
        yield Setup(server, started.grpc, f"http://{started.addresses[2]}")
    versions.control(server.grpc, labels={"stable": 1, "canary": 2}, versions={1: {}, 2: {}})


Traffic = Callable[[str, float], None]


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    """`traffic(address, rate)` sends requests until the test ends."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sending = []

    def send(address: str, rate: float) -> None:
        sending.append(asyncio.run_coroutine_threadsafe(versions.drive(address, rate, stop), loop))

    yield send
    loop.call_soon_threadsafe(stop.set)
    for each in sending:
        each.result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
