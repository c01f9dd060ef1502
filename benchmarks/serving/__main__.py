"""`taxiway serve` under load, compared with the bare call, a constant response, and a KServe model server.

    python -m benchmarks.serving [--model FOLDER] [--seconds 10] [--soak-minutes 10] [--parts latency,soak,...]

Prints tables and writes `benchmarks/out/serving.json`: a list of objects, one per system and load with part, system,
clients, examples_a_request, requests_per_s, rows_per_s, p50_ms, p99_ms, failed, codes, peak_mb, cpu_us (of the server,
per request) and load_cores (what the load itself took of the CPU), and one per limit with part, limit, measured,
wanted, met. Parts:

    latency      one client, one example: gRPC against `signature(**inputs)`
    throughput   64 clients, one example, batching: against a server with the same stubs and a constant response
    recording    64 clients, one example, batching, gRPC and REST: with inference tables of all requests and of a tenth,
                 against without; the loads alternate between the three servers ten times
    rows         256 examples per request: against `signature(**inputs)`
    kserve       64 clients and one, gRPC and REST: against a KServe Python model server in its own environment
    swaps        100 new versions, one every 3 s, at 50 requests/s
    soak         80 % of capacity, a new version every 30 s, malformed requests
    overload     twice the capacity of a slower model: what is answered, how quickly the rest is refused, recovery

Batching is for many clients: batches of 16 with a timeout of 2 ms, which a single client would wait for. Latency,
throughput, rows and kserve take the median of three runs, alternating between the systems. The servers' output and the
samples of the loads stay in `benchmarks/out/serving` until the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from rich.console import Console

from benchmarks import settings
from benchmarks.bench import OUTPUT
from benchmarks.data import taxi_csv, write_trips
from benchmarks.serving import servers
from benchmarks.serving.bench import Bench, answers
from benchmarks.serving.endurance import overload, soak, swaps
from benchmarks.serving.figures import Figure, limit, median_run, tables
from benchmarks.serving.load import PREDICT
from benchmarks.serving.recording import recording
from benchmarks.serving.servers import BLOCKS, SINGLES

RUNS = 3
MANY = 64
"""Clients at a time."""
_TRAIN_STEPS = 100
Measure = Callable[[], list[Figure]]


def _alternating(*measures: Measure) -> list[Figure]:
    """The median of several runs for each system and number of clients; the systems alternate."""
    grouped: dict[tuple[str, int], list[Figure]] = {}
    for figure in (figure for _ in range(RUNS) for measure in measures for figure in measure()):
        grouped.setdefault((figure["system"], figure["clients"]), []).append(figure)
    return [median_run(runs) for runs in grouped.values()]


def _value(found: Sequence[Figure], key: str, system: str, clients: int = 1) -> float:
    value: float = next(each[key] for each in found if (each["system"], each["clients"]) == (system, clients))
    return value


def latency(bench: Bench) -> Iterator[Figure]:
    """One client with one example per request, against the bare call."""
    with ExitStack() as stack:
        plain = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway")))
        batching = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway"), SINGLES))
        found = _alternating(
            lambda: bench.bare(bench.single),
            lambda: bench.closed("taxiway", plain, "stub", bench.single, 1),
            lambda: bench.closed("taxiway, batching", batching, "stub", bench.single, 1),
        )
        difference = np.abs(answers(plain, bench.single) - np.load(bench.single.folder / "answers.npy")).max()
    yield from found
    over = _value(found, "p50_ms", "taxiway") - _value(found, "p50_ms", "bare call")
    yield limit("ms of p50 over the bare call", over, 0.6, at_least=False)
    yield limit("difference from the bare call's answers", float(difference), 1e-5, at_least=False)


def throughput(bench: Bench) -> Iterator[Figure]:
    """Many clients with one example each, against a constant response."""
    with ExitStack() as stack:
        ours = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway"), SINGLES))
        response = _first_response(ours, bench)
        constant = stack.enter_context(servers.constant(response, bench.new("constant")))
        found = _alternating(
            lambda: bench.closed("taxiway, batching", ours, "grpc", bench.single, MANY),
            lambda: bench.closed("constant answer", constant, "grpc", bench.single, MANY),
        )
    yield from found
    ours_per_s, constant_per_s = (_value(found, "requests_per_s", each["system"], MANY) for each in found)
    yield limit("requests/s, of the constant answer's", ours_per_s / constant_per_s, 0.6, at_least=True)


def _first_response(server: servers.Server, bench: Bench) -> Path:
    output, request = bench.new("response"), pickle.loads((bench.single.folder / "predict").read_bytes())[0]
    with grpc.insecure_channel(server.grpc, [("grpc.enable_http_proxy", 0)]) as channel:
        output.write_bytes(channel.unary_unary(PREDICT)(request, timeout=10))
    return output


def rows(bench: Bench) -> Iterator[Figure]:
    """Many examples per request, against the bare call."""
    with ExitStack() as stack:
        plain = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway")))
        batching = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway"), BLOCKS))
        found = _alternating(
            lambda: bench.bare(bench.block),
            lambda: bench.closed("taxiway", plain, "grpc", bench.block, 1),
            lambda: bench.closed("taxiway", plain, "grpc", bench.block, 4),
            lambda: bench.closed("taxiway, batching", batching, "grpc", bench.block, 1),
            lambda: bench.closed("taxiway, batching", batching, "grpc", bench.block, 4),
        )
    yield from found
    bare = _value(found, "rows_per_s", "bare call")
    for clients in (1, 4):
        ratio = _value(found, "rows_per_s", "taxiway", clients) / bare
        yield limit(f"rows/s with {clients} at a time, of the bare call's", ratio, 0.6, at_least=True)


def kserve(bench: Bench) -> Iterator[Figure]:
    """The same loads on Taxiway and on a KServe model server."""
    python = servers.kserve_python(OUTPUT / "kserve-env")
    servers.write_kserve_requests(python, bench.single.batches, bench.single.folder / "infer")
    with ExitStack() as stack:
        plain = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway")))
        batching = stack.enter_context(servers.taxiway(bench.models, bench.new("taxiway"), SINGLES))
        theirs = stack.enter_context(servers.kserve(python, bench.version, bench.new("kserve")))
        for name, protocol, their_protocol in (("gRPC", "grpc", "infer"), ("REST", "rest", "rest")):
            for system, ours, clients in (("taxiway, batching", batching, MANY), ("taxiway", plain, 1)):
                found = _alternating(
                    partial(bench.closed, f"{system}, {name}", ours, protocol, bench.single, clients),
                    partial(bench.closed, f"kserve, {name}", theirs, their_protocol, bench.single, clients),
                )
                yield from found
                yield from _beside(f"{name}, {clients} at a time", *found)


def _beside(load: str, ours: Figure, theirs: Figure) -> Iterator[Figure]:
    ratio = ours["requests_per_s"] / theirs["requests_per_s"]
    yield limit(f"{load}: requests/s, of KServe's", ratio, 2, at_least=True)
    yield limit(f"{load}: p99, of KServe's", ours["p99_ms"] / theirs["p99_ms"], 1, at_least=False)


def _trained(work: Path) -> Path:
    """The folder of versions that the taxi pipeline pushes to, after little training: quality does not matter here."""
    parameters = {
        "data": str(write_trips(work / "data", 15_002)),
        "destination": str(work / "pushed"),
        "train_steps": str(_TRAIN_STEPS),
        "eval_steps": "10",
        "allow_unversioned": "true",
    }
    options = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    environment = {**os.environ, **settings.ENVIRONMENT, "TAXIWAY_HOME": str(work / "home")}
    with (work / "pipeline.log").open("w") as log:
        command = [sys.executable, "-m", "taxiway", "run", "chicago_taxi", *options]
        subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)
    return work / "pushed"


def _options(parts: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a folder whose subfolders are versions; default: train one")
    parser.add_argument("--seconds", type=float, default=10, help="duration of each load")
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--soak-minutes", type=float, default=10)
    parser.add_argument("--overload-seconds", type=float, default=30)
    parser.add_argument("--parts", default=",".join(parts), help="comma-separated parts")
    return parser.parse_args()


def _end(*_: Any) -> None:
    raise SystemExit("ended")


def main() -> None:
    """Measures, prints and writes."""
    parts: dict[str, Callable[[Bench], Iterator[Figure]]] = {
        "latency": latency,
        "throughput": throughput,
        "recording": recording,
        "rows": rows,
        "kserve": kserve,
        "swaps": lambda bench: swaps(bench, options.swaps),
        "soak": lambda bench: soak(bench, options.soak_minutes * 60),
        "overload": lambda bench: overload(bench, options.overload_seconds),
    }
    options = _options(list(parts))
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _end)
    work = OUTPUT / "serving"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="taxiway-serving-", dir=OUTPUT) as trained, ExitStack() as at_the_end:
        at_the_end.callback(lambda: Console(width=140).print(tables(figures)))
        bench = Bench(work, options.model or _trained(Path(trained)), taxi_csv(), options.seconds)
        for part in options.parts.split(","):
            for figure in parts[part](bench):
                figures.append({"part": part, **figure})
                (OUTPUT / "serving.json").write_text(json.dumps(figures, indent=1))
            print(f"{part}: done", flush=True)


if __name__ == "__main__":
    main()
