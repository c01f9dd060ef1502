"""The long parts of the serving benchmark: many swaps, minutes near capacity, and overload."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.serving import servers
from benchmarks.serving.bench import Bench
from benchmarks.serving.figures import (
    OK,
    Figure,
    Samples,
    growth,
    inside,
    length,
    limit,
    p99_by_second,
    percentile,
    seconds_until,
    summary,
)
from benchmarks.serving.load import samples, started
from benchmarks.serving.servers import NAME, SINGLES, Server

_CLIENTS = 64
_SHARE = 0.8
"""The fraction of the capacity in the soak test."""
_SWAP_SECONDS = 30
_QUIET_RATE, _QUIET_CLIENTS = 50, 4
_SOON_SECONDS = 3
"""For the part `swaps`: requests per second, clients, and seconds between new versions."""
_KEPT = 2
"""Versions that are not deleted."""
_MALFORMED_A_SECOND = 20
_LEARNING_SECONDS = 3
"""Seconds in which the load records the right answers, before other requests are sent."""
_MOST_GROWTH_MB = 100

# A queue of a quarter of a second, not of minutes: overload should be refused, not queued.
_SHORT_QUEUE = servers.batching(rows=1, micros=0, threads=2, waiting=32)
_FEW_CLIENTS = 8
_CROWD = 256
"""The number of clients, which exceeds the size of the queue."""
_PROBE, _FLOOD = 0.3, 1.7
"""Fractions of the capacity: of the load before, during and after the overload, and of the additional load."""
_BEFORE_SECONDS, _AFTER_SECONDS = 10, 30
_MOST_REFUSAL_MS, _MOST_SECONDS_BACK = 100, 10
_REFUSALS = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")


@dataclass
class _Watch:
    """What was observed on a server.

    Attributes:
        loading: From the arrival of a new version until it was available.
        after: The following second.
        rss: Pairs of time and MB.
    """

    loading: list[tuple[float, float]] = field(default_factory=list)
    after: list[tuple[float, float]] = field(default_factory=list)
    rss: list[tuple[float, float]] = field(default_factory=list)

    def swap(self, models: Path, server: Server, available: Callable[[], list[int]]) -> None:
        """Adds a version, waits until it is available, and deletes old ones."""
        versions = sorted((path for path in models.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
        new = models / str(int(versions[-1].name) + 1)
        partial = models / f".{new.name}.partial"
        shutil.copytree(versions[-1], partial)
        partial.rename(new)
        began = time.time()
        while int(new.name) not in available():
            if not server.is_alive() or time.time() > began + _SWAP_SECONDS:
                raise SystemExit(f"version {new.name} did not become available")
            time.sleep(0.1)
        now = time.time()
        self.loading.append((began, now))
        self.after.append((now, now + 1))
        for old in versions[: 1 - _KEPT]:
            shutil.rmtree(old)


def _watched(models: Path, server: Server, load: subprocess.Popen[bytes], every: float) -> _Watch:
    """Swaps versions at an interval and samples the server's memory while a load runs."""
    watch, due = _Watch(), time.time() + _SWAP_SECONDS
    with servers.status(server.grpc) as available:
        while load.poll() is None and server.is_alive():
            watch.rss.append((time.time(), server.rss_mb()))
            if time.time() >= due:
                watch.swap(models, server, available)
                due += every
            time.sleep(0.2)
    return watch


def swaps(bench: Bench, count: int) -> Iterator[Figure]:
    """Many new versions in a row, at few requests per second."""
    models = bench.new("models") / NAME
    shutil.copytree(bench.version, models / "1")
    with servers.taxiway(models, bench.new("taxiway")) as server:
        seconds = _SWAP_SECONDS + count * _SOON_SECONDS
        load = bench.request(server, "grpc", bench.single)
        load = replace(load, seconds=seconds, rate=_QUIET_RATE, clients=_QUIET_CLIENTS)
        output = bench.new("swaps.npz")
        with started(load, output) as loading:
            watch = _watched(models, server, loading, _SOON_SECONDS)
            if loading.wait():
                raise SystemExit("the load failed")
        peak = round(server.peak_mb(), 1)
    found = Samples.load(output)
    steady, *swapping = (
        {"clients": _QUIET_CLIENTS, **figure, "peak_mb": peak} for figure in _by_span(found, watch, seconds)
    )
    yield from (steady, *swapping)
    yield {"system": "swaps", "swaps": len(watch.loading)}
    yield limit("failed requests", float(np.count_nonzero(found.codes != OK)), 0, at_least=False)
    swapped = found.where(found.at >= watch.loading[0][0])
    what = f"p99 with a new version every {_SOON_SECONDS} s, of the steady one"
    yield limit(what, percentile(swapped.ms, 99) / steady["p99_ms"], 2, at_least=False)


def soak(bench: Bench, seconds: float) -> Iterator[Figure]:
    """Minutes at 80 % of capacity, with new versions and malformed requests; measures the capacity first."""
    models = bench.new("models") / NAME
    shutil.copytree(bench.version, models / "1")
    with servers.taxiway(models, bench.new("taxiway"), SINGLES) as server:
        [most] = bench.closed("taxiway, the most", server, "grpc", bench.single, _CLIENTS)
        yield most
        rate = most["requests_per_s"] * _SHARE
        load = replace(bench.request(server, "grpc", bench.single), seconds=seconds, rate=rate, clients=_CLIENTS)
        output, malformed = bench.new("soak.npz"), bench.new("malformed")
        command = [sys.executable, "-m", "benchmarks.serving.malformed", server.grpc, server.rest, NAME]
        command += [str(seconds), str(_MALFORMED_A_SECOND), str(malformed)]
        with started(load, output) as loading:
            time.sleep(_LEARNING_SECONDS)
            with servers.process(command, malformed.with_suffix(".log")) as sending:
                watch = _watched(models, server, loading, _SWAP_SECONDS)
                if loading.wait() or sending.wait():
                    raise SystemExit(f"a load failed; see {malformed.with_suffix('.log')}")
        alive, peak = server.is_alive(), round(server.peak_mb(), 1)
    found = Samples.load(output)
    for figure in _by_span(found, watch, seconds):
        yield {"clients": _CLIENTS, **figure, "peak_mb": peak}
    memory = growth(watch.rss)
    yield {"system": "memory", **memory, "rss_mb": [round(mb, 1) for _, mb in watch.rss[::10]]}
    loads = [end - begin for begin, end in watch.loading]
    yield {"system": "swaps", "swaps": len(loads), "median_s": round(statistics.median(loads), 3) if loads else None}
    for kind, codes in json.loads(malformed.read_text()).items():
        yield {"malformed": kind, "codes": codes}
    yield limit("failed valid requests", float(np.count_nonzero(found.codes != OK)), 0, at_least=False)
    yield limit("MB that its memory grew", memory["growth_mb"], _MOST_GROWTH_MB, at_least=False)
    yield limit("the server is there at the end", float(alive), 1, at_least=True)


def _by_span(found: Samples, watch: _Watch, seconds: float) -> Iterator[Figure]:
    """The figures while nothing changes, while a version loads, and for the second after."""
    swapping = [*watch.loading, *watch.after]
    steady = ~inside(found.at, swapping)
    yield {"system": "taxiway, steady", **summary(found.where(steady), seconds - length(swapping), 1)}
    for name, spans in (("a version is loaded", watch.loading), ("the second after", watch.after)):
        yield {"system": f"taxiway, {name}", **summary(found.where(inside(found.at, spans)), length(spans), 1)}


def overload(bench: Bench, seconds: float) -> Iterator[Figure]:
    """Twice the capacity of a model whose calls dominate the cost of a request."""
    models = bench.new("heavy") / NAME
    subprocess.run([sys.executable, "-m", "benchmarks.serving.heavy", str(models / "1")], check=True)
    one_core = ("--tensorflow-intra-op-parallelism", "1")
    with servers.taxiway(models, bench.new("taxiway"), _SHORT_QUEUE, *one_core) as server:
        [most] = bench.closed("taxiway, the most", server, "grpc", bench.single, _FEW_CLIENTS)
        yield most
        load = replace(bench.request(server, "grpc", bench.single), clients=_CROWD)
        whole = _BEFORE_SECONDS + seconds + _AFTER_SECONDS
        probe = replace(load, seconds=whole, rate=most["requests_per_s"] * _PROBE)
        flood = replace(load, seconds=seconds, rate=most["requests_per_s"] * _FLOOD, patient=False, warm_seconds=0)
        output = bench.new("probe.npz")
        with started(probe, output) as probing:
            time.sleep(_BEFORE_SECONDS)
            flooded = samples(flood, bench.new("flood.npz"))
            if probing.wait():
                raise SystemExit("the load before and after the overload failed")
        alive, peak = server.is_alive(), round(server.peak_mb(), 1)
    probed = Samples.load(output)
    begin, end = flooded.at.min(), flooded.at.max()
    both = [flooded, probed.where(inside(probed.at, [(begin, end)]))]
    during = Samples(*(np.concatenate([getattr(each, key) for each in both]) for key in ("at", "ms", "codes")))
    refused = during.where(np.isin(during.codes, _REFUSALS))
    figures = summary(during, end - begin, bench.single.examples)
    yield {
        "system": "taxiway, twice the most",
        "clients": 2 * _CROWD,
        **figures,
        "failed": figures["failed"] - len(refused.ms),
        "refused": len(refused.ms),
        "refused_p50_ms": percentile(refused.ms, 50),
        "refused_p99_ms": percentile(refused.ms, 99),
        "peak_mb": peak,
    }
    before = p99_by_second(probed.answered, probed.at.min(), begin)
    after = p99_by_second(probed.answered, end, probed.at.max())
    back = seconds_until(after, 2 * max(before))
    yield {"system": "p99 by second", "before_ms": before, "after_ms": after}
    yield limit("p99 of a refusal, ms", percentile(refused.ms, 99), _MOST_REFUSAL_MS, at_least=False)
    yield limit("seconds until p99 is back under twice what it was", back, _MOST_SECONDS_BACK, at_least=False)
    yield limit("the server is there at the end", float(alive), 1, at_least=True)
