"""`make watch-demo`: serves the taxi model, replays real trips, breaks a column half-way, and ends with an alarm.

Trips arrive in fast motion, a hundred a second, so windows are ten seconds long. After half a minute, `trip_miles` is
in kilometres. The tables stay in .taxiway/watch-demo; nothing is left running.
"""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console

from components.contract.errors import ServiceError, UserError
from components.execution.pushed_models import open_destination, versions
from components.monitoring.store import Store
from components.reports.figures import short_digest
from components.reports.monitoring import alarms
from components.reports.monitoring.alarms import Alarm
from components.reports.monitoring.report import report
from taxiway.network import http_client
from taxiway.prediction.clients import Model, connect
from taxiway.prediction.predict import predictions
from taxiway.storage.home import Home

MODEL, COLUMN, KILOMETRES = "chicago_taxi", "trip_miles", 1.609344
DATA, DESTINATION = Path("data/chicago_taxi/data.csv"), Path("served/chicago_taxi")
WINDOW, CLEAN, BROKEN, PER_SECOND, BATCH = 10, 3, 4, 100, 20
"""The length of a window in seconds, windows before and after the break, trips a second and in a request."""
_PER_WINDOW, _HALF = WINDOW * PER_SECOND, 5000


def main() -> None:
    """Runs the demo; exits with 1 if no alarm was raised."""
    console = Console(highlight=False, soft_wrap=True)
    tables = Home.default().root / "watch-demo"
    shutil.rmtree(tables, ignore_errors=True)
    _push(console)
    with tempfile.TemporaryDirectory() as folder, _server(tables, Path(folder)) as server:
        console.print(f"[bold]1[/] {MODEL} is served at {server}; every request is recorded in {tables}")
        clean, broken = _trips()[:_HALF], _trips()[_HALF:]
        console.print("[bold]2[/] trips as they were")
        _replay(console, server, _written(Path(folder, "clean.csv"), clean, 1.0), CLEAN)
        console.print(f"[bold]3[/] [yellow]{COLUMN} is in kilometres from now on[/]")
        for place in range(BROKEN):
            part = broken[place * 2 * _PER_WINDOW :]
            _replay(console, server, _written(Path(folder, f"{place}.csv"), part, KILOMETRES), 1)
            if found := _monitored(tables):
                return _tell(console, tables, found)
    console.print("[red]no alarm was raised[/]")
    raise SystemExit(1)


def _push(console: Console) -> None:
    """Runs the pipeline if no model was pushed yet."""
    if not DESTINATION.exists() or not versions(open_destination(str(DESTINATION))):
        console.print("[bold]0[/] no model was pushed yet: running the pipeline, once")
        _taxiway("run", MODEL)


def _taxiway(*arguments: str) -> None:
    ended = subprocess.run([sys.executable, "-m", "taxiway", *arguments], check=False)
    if ended.returncode:
        raise UserError(f"taxiway {' '.join(arguments)} has failed", fix="see its message above")


@contextmanager
def _server(tables: Path, folder: Path) -> Iterator[str]:
    """A model server that records every request; ends with the block. Gives its gRPC address."""
    addresses = folder / "addresses"
    options = ["--model-name", MODEL, "--port", "0", "--rest-port", "0", "--address-file", str(addresses)]
    recording = ["--inference-tables", str(tables), "--inference-share", "1"]
    command = [sys.executable, "-m", "taxiway", "serve", str(DESTINATION), *options, *recording]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield _address(process, addresses)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen[bytes], addresses: Path, seconds: float = 60.0) -> str:
    """The gRPC address, once the model is loaded."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if addresses.exists():
            grpc, rest = addresses.read_text().split()
            if _is_loaded(rest):
                return grpc
        time.sleep(0.1)
    raise ServiceError("the model server does not start", fix=f"see: taxiway serve {DESTINATION}")


def _is_loaded(rest: str) -> bool:
    answer = http_client.pool(seconds=5).request("GET", f"http://{rest}/v1/models/{MODEL}")
    return answer.status == 200 and b"AVAILABLE" in answer.data


def _trips() -> list[dict[str, str]]:
    """Real trips in random order, so that each window has trips of the whole time; the same order each time."""
    with DATA.open(newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    return rows


def _written(file: Path, trips: Sequence[dict[str, str]], factor: float) -> Path:
    """Trips as a file, with their miles in a unit."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, trips[0].keys())
        writer.writeheader()
        writer.writerows(_in_unit(row, factor) for row in trips)
    return file


def _in_unit(row: dict[str, str], factor: float) -> dict[str, str]:
    return {**row, COLUMN: str(float(row[COLUMN]) * factor) if row[COLUMN] else ""}


def _replay(console: Console, server: str, trips: Path, windows: int) -> None:
    """Sends trips at a steady pace until so many windows are over, each of them whole."""
    end = (time.time() // WINDOW + windows) * WINDOW
    end += WINDOW if time.time() % WINDOW > 1 else 0
    console.print(f"  {round((end - time.time()) * PER_SECOND):,} trips in {end - time.time():.0f} s")
    pace = BATCH / PER_SECOND
    with closing(connect(server, Model(MODEL, None, ""), rest=False, tls=None, seconds=30)) as client:
        answers = predictions(
            client, path=trips, signature="serving_default", batch_rows=BATCH, limit=None, schema=None
        )
        for place, _ in enumerate(answers):
            if time.time() >= end:
                return
            time.sleep(max(0.0, min(end, time.time() + pace) - time.time()) if place else 0.0)


def _monitored(tables: Path) -> Alarm | None:
    """Lets the monitor look at what is new; the alarm on the broken column, if there is one now."""
    _taxiway("monitor", MODEL, "--tables", str(tables), "--window", f"{WINDOW}s")
    found = alarms.read(Store(f"{tables}/{MODEL}"))
    return next((each for each in found if each.is_on and each.column == COLUMN), None)


def _tell(console: Console, tables: Path, alarm: Alarm) -> None:
    """The alarm, its picture, and where the model comes from."""
    store = Store(f"{tables}/{MODEL}")
    file = tables / "report.html"
    file.write_text(report(store, MODEL))
    console.print(f"\n[bold]4[/] [red]{alarm.state}[/] {alarm.sentence}")
    console.print(f"  its picture: {file}\n  live: taxiway ui --tables {tables}\n")
    references = [row["reference"] for row in store.read("windows", (), ["reference"]).to_pylist()]
    digest = short_digest(next((each for each in reversed(references) if each), ""))
    console.print(
        f"[bold]5[/] compared with the training data {digest} of version {alarm.version}, which comes from:\n"
    )
    _taxiway("lineage", f"{DESTINATION}/{alarm.version}")


if __name__ == "__main__":
    try:
        main()
    except (UserError, ServiceError) as error:
        sys.exit(str(error))
