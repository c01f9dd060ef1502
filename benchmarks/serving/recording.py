"""What it costs to record requests: servers that record all of them, a tenth, or none, loaded in turn.

The servers are up at the same time, and each load is short, so that all see the same machine. Judged is the median,
over the rounds, of a server's requests per second beside those of the server that records nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

from benchmarks.serving import servers
from benchmarks.serving.bench import Bench
from benchmarks.serving.figures import Figure, limit, median_ratio, median_run
from benchmarks.serving.servers import SINGLES, Server

CLIENTS = 64
ROUNDS = 10
_NONE = "recording nothing"
_SHARES = {_NONE: "", "recording all": "1", "recording 0.1": "0.1"}
_MOST_LOST = 0.1
"""How much of the requests per second may be lost."""
_REQUESTS = ":tensorflow:serving:request_count"
_DRAIN_SECONDS = 60


@dataclass
class _Measured:
    """A server, what its loads found, and the CPU seconds and requests that it had before them."""

    server: Server
    runs: list[Figure] = field(default_factory=list)
    began: tuple[float, float] = (0.0, 0.0)

    def used(self) -> tuple[float, float]:
        """The CPU seconds that the server has used, and the requests that it has answered."""
        return self.server.cpu_seconds(), self.server.metric(_REQUESTS)

    def figure(self) -> Figure:
        """The median run, and the CPU per request over all of them, with the writing."""
        _until_written(self.server)
        (seconds, requests), (cpu, before) = self.used(), self.began
        return {
            **median_run(self.runs),
            "cpu_us": (seconds - cpu) / (requests - before) * 1e6,
            "dropped": self.server.metric("taxiway_inference_dropped_total"),
        }


def recording(bench: Bench) -> Iterator[Figure]:
    """Many clients with one example each, over gRPC and REST."""
    for name, protocol in (("gRPC", "grpc"), ("REST", "rest")):
        with ExitStack() as stack:
            measured = {
                system: _Measured(stack.enter_context(_server(bench, share))) for system, share in _SHARES.items()
            }
            _load(bench, protocol, measured)
            found = {system: each.figure() for system, each in measured.items()}
        yield from ({**figure, "system": f"{name}, {system}"} for system, figure in found.items())
        for system in list(_SHARES)[1:]:
            ratio = median_ratio(measured[system].runs, measured[_NONE].runs)
            yield limit(f"{name}, {system}: requests/s, of those without", ratio, 1 - _MOST_LOST, at_least=True)
            lost = found[system]["dropped"] + found[system]["failed"]
            yield limit(f"{name}, {system}: dropped and failed requests", lost, 0, at_least=False)


def _server(bench: Bench, share: str) -> AbstractContextManager[Server]:
    options = ["--inference-tables", str(bench.new("tables")), "--inference-share", share] if share else []
    return servers.taxiway(bench.models, bench.new("taxiway"), SINGLES, *options)


def _load(bench: Bench, protocol: str, measured: Mapping[str, _Measured]) -> None:
    for each in measured.values():
        each.began = each.used()
    for _ in range(ROUNDS):
        for system in random.sample(list(measured), len(measured)):
            each = measured[system]
            each.runs += bench.closed(system, each.server, protocol, bench.single, CLIENTS)


def _until_written(server: Server) -> None:
    end = time.monotonic() + _DRAIN_SECONDS
    while server.metric("taxiway_inference_waiting"):
        if time.monotonic() > end:
            raise SystemExit(f"requests still wait to be written after {_DRAIN_SECONDS} s")
        time.sleep(0.2)
