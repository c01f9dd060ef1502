"""Rollouts with real processes on loopback: `taxiway route` before a server with two versions, under a steady load."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.delivery import versions
from benchmarks.serving.servers import process, wait
from taxiway.delivery import deliver
from taxiway.delivery.keeper import Keeper
from taxiway.delivery.weights.route import RouteWeights


@dataclass(frozen=True)
class Figures:
    """What a run took.

    Attributes:
        state: How it ended.
        reason: Why.
        seconds: From when version 2 turned bad, or the first weights, to the champion having everything.
        after_verdict: From the failed guardrail to the champion having everything.
        requests: The requests that version 2 answered.
    """

    state: str
    reason: str
    seconds: float
    after_verdict: float
    requests: int


@contextlib.contextmanager
def _started(work: Path, name: str, *command: str) -> Iterator[list[str]]:
    address, log = work / f"{name}.address", work / f"{name}.log"
    with process([sys.executable, "-m", *command, "--address-file", str(address)], log) as running:
        wait(running, log, address.exists)
        yield address.read_text().split()


@contextlib.contextmanager
def _load(address: str, rate: float) -> Iterator[None]:
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sending = asyncio.run_coroutine_threadsafe(versions.drive(address, rate, stop), loop)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        sending.result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def rollout(given: dict[str, Any], usual: dict[str, float], bad: dict[str, float], rate: float) -> Figures:
    """One rollout; version 2 turns bad once it has its first share.

    Args:
        given: The settings, without the place of the weights.
        usual: How both versions behave.
        bad: How version 2 behaves instead.
        rate: Requests per second.
    """
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        [server] = stack.enter_context(_started(work, "server", "benchmarks.delivery.versions"))
        flags = ["--model", "taxi", "--backend", server, "--split", "stable=100,canary=0"]
        ports = ["--listen-port", "0", "--rest-port", "0", "--admin-port", "0"]
        proxy, _, admin = stack.enter_context(_started(work, "proxy", "taxiway", "route", *flags, *ports))
        versions.control(server, versions={1: usual, 2: usual})
        stack.enter_context(_load(proxy, rate))
        url = f"http://{admin}"
        session = deliver.started(Keeper(work / "taxi"), 1, 2, {**given, "weights": {"route": url}})
        while session.rollout.since is None:
            session.tick(datetime.now(UTC))
        versions.control(server, versions={2: bad})
        began = time.monotonic()
        ended = session.run()
        took, now = time.monotonic() - began, datetime.now(UTC)
        assert RouteWeights((url,), "taxi", "stable", "canary").read() == (0 if ended.state == "rolled_back" else 100)
        assert ended.ended, "it is over"
        return Figures(
            ended.state, ended.reason, took, (now - ended.ended).total_seconds(), ended.readings[0].requests[1]
        )
