"""The pages of `taxiway ui` with many runs, beside `mlflow server` with the same runs.

    make bench-ui                       # 1,000 runs with 200 metrics each
    make bench-ui ARGS="--runs 100"

Server time is that of all bytes of a page or an answer; paint time is what a reader waits for in headless Chromium:
from the navigation until the rows are painted. Each figure is the median of several visits.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser

from benchmarks.serving.servers import free_port, process, wait
from taxiway.storage.home import Home
from tests.browser import chromium

OUT = Path(__file__).parent / "out" / "ui"
MLFLOW = "mlflow==3.17.2"
_VISITS = 5
_START_SECONDS = 120


def main() -> None:
    """Makes the runs, measures both, and prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--metrics", type=int, default=200)
    parser.add_argument("--visits", type=int, default=_VISITS)
    parser.add_argument("--without-mlflow", action="store_true")
    given = parser.parse_args()
    shutil.rmtree(OUT / "home", ignore_errors=True)
    OUT.mkdir(parents=True, exist_ok=True)
    runs = list(_runs(given.runs, given.metrics))
    loads = [os.getloadavg()[0]]
    rows = list(_measured_taxiway(runs, given.visits))
    if not given.without_mlflow:
        loads.append(os.getloadavg()[0])
        rows += _measured_mlflow(runs, given.visits)
    loads.append(os.getloadavg()[0])
    report = _report(rows, given.runs, given.metrics, loads)
    (OUT / "report.md").write_text(report)
    print(report)


Run = dict[str, dict[str, float]]
Row = tuple[str, str, float, float | None, float | None]
"""System, page, kB, seconds of the server, seconds until it is painted."""


def _runs(count: int, metrics: int) -> Iterator[Run]:
    """Runs whose metrics follow from their parameters, with noise."""
    chance = random.Random(1)
    for _ in range(count):
        rate, layers = 10 ** chance.uniform(-4, -1), chance.randint(1, 8)
        good = 0.9 - abs(rate - 0.01) - abs(layers - 4) / 40
        parameters = {"learning_rate": rate, "layers": layers, "batch": chance.choice([32, 64, 128])}
        named = {f"metric_{number:03}": good * chance.uniform(0.9, 1.1) for number in range(metrics - 1)}
        yield {"parameters": parameters, "metrics": {"auc": good + chance.gauss(0, 0.01), **named}}


def _write_home(home: Home, runs: list[Run]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number, run in enumerate(runs):
        name = f"search-{start + timedelta(minutes=number):%Y%m%d-%H%M%S}-{number:08x}"
        (home.runs / name).mkdir(parents=True)
        task = {"state": "SUCCEEDED", "seconds": 5.0, "cpu_seconds": 4.0, "peak_mb": 100.0}
        document = {
            "run": name,
            "pipeline": "search",
            "state": "SUCCEEDED",
            "seconds": 12.5,
            "tasks": {f"task-{each}": {**task, "outputs": {}, "parameters": {}, "error": ""} for each in range(9)},
            "blessings": {"evaluator": True},
            "pushed": [],
            "data": [],
            "commits": [],
            **run,
        }
        (home.runs / name / "run.json").write_text(json.dumps(document, indent=1))


def _measured_taxiway(runs: list[Run], visits: int) -> Iterator[Row]:
    home = Home(OUT / "home")
    _write_home(home, runs)
    address, log = OUT / "address", OUT / "taxiway.log"
    address.unlink(missing_ok=True)
    command = [sys.executable, "-m", "taxiway", "ui", "--port", "0", "--address-file", str(address)]
    os.environ["TAXIWAY_HOME"] = str(home.root)
    began = time.perf_counter()
    with process(command, log) as started, chromium.browser() as browser:
        wait(started, log, address.exists)
        print(f"taxiway ui started in {time.perf_counter() - began:.1f} s", flush=True)
        origin = f"http://{address.read_text().split()[0]}"
        # The first request reads all files, so it is a row of its own.
        seconds, size = _fetched(f"{origin}/compare")
        yield "taxiway ui", "compare all, first visit", size, seconds, None
        few = urlencode([("run", name) for name in sorted(folder.name for folder in home.runs.iterdir())[-4:]])
        pages = {"list of runs": "/runs", "compare all": "/compare", "compare 4": f"/compare?{few}"}
        for page, path in pages.items():
            yield "taxiway ui", page, *_timed(browser, f"{origin}{path}", "table tbody tr", visits)


def _measured_mlflow(runs: list[Run], visits: int) -> Iterator[Row]:
    python = _mlflow_python(OUT.parent / "mlflow")
    store = f"sqlite:///{_filled(python, runs)}"
    port, log = free_port(), OUT / "mlflow.log"
    command = [str(python), "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port)]
    origin = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    with process(command, log) as started, chromium.browser() as browser:
        wait(started, log, lambda: _answers(f"{origin}/health"))
        print(f"mlflow server started in {time.perf_counter() - began:.1f} s", flush=True)
        search = f"{origin}/api/2.0/mlflow/runs/search"
        # Of its workers, only the first one has started.
        wait(started, log, lambda: all(_searches(search) for _ in range(8)))
        seconds, size = _fetched(search, {"experiment_ids": ["1"], "max_results": 1000})
        yield "mlflow server", "search 1,000 runs (API)", size, seconds, None
        ids = _mlflow_ids(search, 4)
        query = urlencode({"runs": json.dumps(ids), "experiments": json.dumps(["1"])})
        yield (
            "mlflow server",
            "list of runs",
            0.0,
            None,
            _painted(browser, f"{origin}/#/experiments/1/runs", _ROWS, visits),
        )
        yield (
            "mlflow server",
            "compare 4",
            0.0,
            None,
            _painted(browser, f"{origin}/#/compare-runs?{query}", "table", visits),
        )
        everything = json.dumps(_mlflow_ids(search, len(runs)))
        query = urlencode({"runs": everything, "experiments": json.dumps(["1"])})
        with contextlib.suppress(TimeoutError):
            place = f"{origin}/#/compare-runs?{query}"
            yield "mlflow server", "compare all", 0.0, None, _painted(browser, place, "table", 1)


_ROWS = ".ag-row"
_FILL = """
import json, sys, mlflow
from mlflow.entities import Metric, Param
store, file = sys.argv[1:]
mlflow.set_tracking_uri(store)
client = mlflow.MlflowClient()
experiment = client.create_experiment("search")
for run in json.load(open(file)):
    made = client.create_run(experiment)
    metrics = [Metric(name, value, 0, 0) for name, value in run["metrics"].items()]
    params = [Param(name, str(value)) for name, value in run["parameters"].items()]
    client.log_batch(made.info.run_id, metrics=metrics, params=params)
    client.set_terminated(made.info.run_id)
"""


def _filled(python: Path, runs: list[Run]) -> Path:
    """A database with the runs, which takes a minute to make, and is kept."""
    database = OUT / f"mlflow-{len(runs)}-{len(runs[0]['metrics'])}.db"
    if not database.exists():
        partial = OUT / "partial.db"
        partial.unlink(missing_ok=True)
        (OUT / "runs.json").write_text(json.dumps(runs))
        subprocess.run([str(python), "-c", _FILL, f"sqlite:///{partial}", str(OUT / "runs.json")], check=True)
        partial.rename(database)
    return database


def _searches(search: str) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        _fetched(search, {"experiment_ids": ["1"], "max_results": 1})
        return True
    return False


def _mlflow_python(folder: Path) -> Path:
    """The Python of an environment with MLflow, which is created if missing."""
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists() or ready.read_text() != MLFLOW:
        print(f"creating {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MLFLOW]
        subprocess.run([str(python), *install], check=True)
        ready.write_text(MLFLOW)
    return python


def _mlflow_ids(search: str, count: int) -> list[str]:
    body = json.dumps({"experiment_ids": ["1"], "max_results": count}).encode()
    request = urllib.request.Request(search, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [run["info"]["run_id"] for run in json.load(answer)["runs"]]


def _timed(browser: Browser, url: str, rows: str, visits: int) -> tuple[float, float, float]:
    fetched = [_fetched(url) for _ in range(visits)]
    seconds = statistics.median(seconds for seconds, _ in fetched)
    return fetched[0][1], seconds, _painted(browser, url, rows, visits)


def _fetched(url: str, body: object = None) -> tuple[float, float]:
    """Seconds until the last byte, and kB."""
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, sent, {"Content-Type": "application/json"} if sent else {})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        size = len(answer.read())
    return time.perf_counter() - began, size / 1000


def _painted(browser: Browser, url: str, rows: str, visits: int) -> float:
    """Seconds from the navigation until the rows are painted; the median of visits, each with an empty cache."""
    return statistics.median(_visit(browser, url, rows) for _ in range(visits))


def _visit(browser: Browser, url: str, rows: str) -> float:
    with chromium.tab(browser) as tab:
        tab.page.set_default_timeout(1000 * _START_SECONDS)
        began = time.perf_counter()
        tab.page.goto(url, wait_until="commit")
        tab.page.wait_for_selector(rows, state="attached")
        # Two frames: the first one may have been prepared before the rows were there.
        tab.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.perf_counter() - began


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _report(rows: list[Row], runs: int, metrics: int, loads: list[float]) -> str:
    head = f"{runs:,} runs with {metrics} metrics each; load average {', '.join(f'{each:.1f}' for each in loads)}"
    lines = ["| system | page | kB | server, s | painted, s |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {system} | {page} | {_shown(size, 0)} | {_shown(seconds)} | {_shown(painted)} |"
        for system, page, size, seconds, painted in rows
    ]
    return "\n".join([head, "", *lines, ""])


def _shown(value: float | None, digits: int = 2) -> str:
    return f"{value:,.{digits}f}" if value else "–"


if __name__ == "__main__":
    main()
