"""`make watch-demo`: serves the taxi model, replays real trips, breaks a column half-way, and ends with an alarm.

Trips arrive in fast motion, a hundred a second, so windows are ten seconds long. After half a minute, `trip_miles` is
in kilometres. The tables stay in .taxiway/watch-demo; nothing is left running.
"""

from __future__ import annotations

import csv
import itertools
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from components.contract.commands import typed
from components.contract.errors import ServiceError, UserError
from components.execution.pushed_models import open_destination, versions
from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Store
from components.reports.monitoring import alarms
from components.reports.monitoring.report import report
from taxiway.lineage import chain, tree
from taxiway.lineage.store import LineageStore
from taxiway.monitoring.bars import bars
from taxiway.network import http_client
from taxiway.prediction.clients import Client, Model, connect
from taxiway.prediction.predict import predictions
from taxiway.storage.home import Home

MODEL, COLUMN, KILOMETRES = "chicago_taxi", "trip_miles", 1.609344
DATA, DESTINATION = Path("data/chicago_taxi/data.csv"), Path("served/chicago_taxi")
WINDOW, CLEAN, BROKEN, PER_SECOND, BATCH = 10, 3, 6, 100, 20
"""The length of a window in seconds, windows before and after the break, trips a second and in a request."""
_HALF, _PATIENCE, _LATE = 5000, 8.0, 180.0
"""Trips before the break at most; seconds to wait: for all rows after an alarm of a slice, and for the last window."""


def main() -> None:
    """Runs the demo; exits with 1 if no alarm was raised."""
    console = Console(highlight=False)
    tables = Home.default().root / "watch-demo"
    shutil.rmtree(tables, ignore_errors=True)
    _push(console)
    with tempfile.TemporaryDirectory() as folder:
        found = _watched(console, tables, Path(folder))
    if found is None:
        console.print("[red]no alarm was raised[/]")
        raise SystemExit(1)
    _tell(console, tables, found)


def _push(console: Console) -> None:
    """Runs the pipeline if no model was pushed yet."""
    if not DESTINATION.exists() or not versions(open_destination(str(DESTINATION))):
        console.print("[bold]0[/] no model was pushed yet: running the pipeline, once")
        if subprocess.run(taxiway("run", MODEL), check=False).returncode:
            raise UserError("the pipeline has failed", fix="see its message above")


def taxiway(*arguments: str) -> list[str]:
    """The command line of a command in a process of its own."""
    return [sys.executable, "-m", "taxiway", *arguments]


def _watched(console: Console, tables: Path, folder: Path) -> Alarm | None:
    """Serves, replays and watches until there is an alarm; all of it ends with the function."""
    with ExitStack() as stack:
        show = stack.enter_context(progress_line(console))
        show("the model server starts")
        server = stack.enter_context(_server(tables, folder))
        console.print(f"[bold]1[/] {MODEL} is served at {server}; requests are recorded in")
        say(console, Text(shown(tables), "cyan"))
        replay = Replay(server, folder)
        stack.callback(replay.stop)
        monitor = stack.enter_context(_monitor(tables, folder))
        console.print(f"[bold]2[/] {PER_SECOND} real trips a second, watched in windows of {WINDOW} s")
        return _awaited(console, Watching(tables, replay, monitor, folder / "monitor.log"), show)


@contextmanager
def progress_line(console: Console) -> Iterator[Callable[[str], None]]:
    """A line that says what is going on, in a terminal only."""
    if not console.is_terminal:
        yield lambda text: None
        return
    with Status("", console=console, spinner="dots") as status:
        yield status.update


def say(console: Console, text: Text) -> None:
    """An indented paragraph; piped, it is one line."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, 2), expand=False))
    else:
        console.print(Text("  ").append_text(text), soft_wrap=True)


def shown(path: Path) -> str:
    """A path as short as it can be typed here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _server(tables: Path, folder: Path) -> Iterator[str]:
    """A model server that records every request. Gives its gRPC address."""
    addresses = folder / "addresses"
    options = ["--model-name", MODEL, "--port", "0", "--rest-port", "0", "--address-file", str(addresses)]
    recording = ["--inference-tables", str(tables), "--inference-share", "1"]
    command = taxiway("serve", str(DESTINATION), *options, *recording)
    with running(command, folder / "server.log") as process:
        yield _address(process, addresses)


def _address(process: subprocess.Popen[bytes], addresses: Path, seconds: float = 180.0) -> str:
    """The gRPC address, once the model is loaded."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        if addresses.exists():
            grpc, rest = addresses.read_text().split()
            if _is_loaded(rest):
                return grpc
        time.sleep(0.1)
    raise ServiceError("the model server does not start", fix=f"see: {typed('taxiway serve', DESTINATION)}")


def _is_loaded(rest: str) -> bool:
    answer = http_client.pool(seconds=5).request("GET", f"http://{rest}/v1/models/{MODEL}")
    return answer.status == 200 and b"AVAILABLE" in answer.data


@contextmanager
def _monitor(tables: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A monitor that looks for windows that are over every other second."""
    command = taxiway("monitor", MODEL, "--tables", str(tables), "--window", f"{WINDOW}s", "--every", "2s")
    with running(command, folder / "monitor.log") as process:
        yield process


def trips() -> list[dict[str, str]]:
    """Real trips in random order, so that each window has trips of the whole time; the same order each time."""
    with DATA.open(newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    return rows


def written(file: Path, rows: list[dict[str, str]], factor: float) -> Path:
    """Trips as a file, with their miles in a unit."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(_in_unit(row, factor) for row in rows)
    return file


def _in_unit(row: dict[str, str], factor: float) -> dict[str, str]:
    return {**row, COLUMN: str(float(row[COLUMN]) * factor) if row[COLUMN] else ""}


class Replay:
    """Sends trips at a steady pace; after some windows, their miles are kilometres.

    Args:
        server: The gRPC address of the model server.
        folder: Gets the trips as files.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self.broken_at = float((time.time() // WINDOW + CLEAN + 1) * WINDOW)
        self.end = self.broken_at + BROKEN * WINDOW
        self.sent, self.error = 0, ""
        self._server, self._stopped = server, threading.Event()
        rows = trips()
        self._parts = [
            (written(folder / "clean.csv", rows[:_HALF], 1.0), self.broken_at),
            (written(folder / "broken.csv", rows[_HALF:], KILOMETRES), self.end),
        ]
        self._thread = threading.Thread(target=self._run, name="replay")
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(connect(self._server, Model(MODEL, None, ""), rest=False, tls=None, seconds=30)) as client:
                for trips_, until in self._parts:
                    self._send(client, trips_, until)
        except (UserError, ServiceError) as error:
            self.error = str(error)

    def _send(self, client: Client, file: Path, until: float) -> None:
        answers = predictions(client, path=file, signature="serving_default", batch_rows=BATCH)
        began = time.time()
        for number in itertools.count(1):
            if time.time() >= until or self._stopped.is_set() or next(answers, None) is None:
                break
            self.sent += BATCH
            self._stopped.wait(min(began + number * BATCH / PER_SECOND, until) - time.time())


@dataclass
class Watching:
    """What the demo looks at while it waits.

    Attributes:
        tables: The folder with the tables.
        replay: The trips.
        monitor: The process of the monitor.
        log: What the monitor prints.
    """

    tables: Path
    replay: Replay
    monitor: subprocess.Popen[bytes]
    log: Path
    _windows: dict[Any, int] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The model's tables."""
        return Store(f"{self.tables}/{MODEL}")

    def new(self) -> list[tuple[Any, int]]:
        """The windows that were computed since the last look, each with its rows."""
        rows = self.store.read("windows", (), ["window_start", "rows"]).sort_by("window_start").to_pylist()
        found = [(row["window_start"], row["rows"]) for row in rows if row["window_start"] not in self._windows]
        self._windows.update(found)
        return found

    def alarms(self) -> list[Alarm]:
        """The alarms on the broken column that are on, that of all rows first."""
        found = [each for each in alarms.read(self.store) if each.is_on and each.column == COLUMN]
        return sorted(found, key=lambda each: each.slice != "")

    def progress(self) -> str:
        """What is going on."""
        left = self.replay.broken_at - time.time()
        state = f"{COLUMN} breaks in {left:.0f} s" if left > 0 else f"waiting for the alarm, {-left:.0f} s"
        return f"{self.replay.sent:,} trips, {len(self._windows)} windows computed; {state}"

    def check(self) -> None:
        """Raises the error of what has ended.

        Raises:
            ServiceError: The monitor or the replay has failed.
        """
        if self.monitor.poll() is not None:
            last = self.log.read_text().strip().splitlines()[-1:]
            raise ServiceError(
                f"the monitor has ended: {' '.join(last)}", fix=f"see: {typed('taxiway monitor', MODEL)}"
            )
        if self.replay.error:
            raise ServiceError(f"the trips cannot be sent: {self.replay.error}", fix="run it again")


def _awaited(console: Console, watching: Watching, show: Callable[[str], None]) -> Alarm | None:
    """The alarm on the broken column, as soon as there is one; None if there is none."""
    end, is_broken = watching.replay.end + _LATE, False
    while time.time() < end:
        watching.check()
        if not is_broken and time.time() >= watching.replay.broken_at:
            is_broken = True
            console.print(f"[bold]3[/] [yellow]{COLUMN} is in kilometres from now on[/]")
        for start, rows in watching.new():
            say(console, Text(f"window {start:%H:%M:%S}  {rows:,} trips", "dim"))
        found = watching.alarms()
        if found and not found[0].slice:
            return found[0]
        end = min(end, time.time() + _PATIENCE) if found else end
        show(watching.progress())
        time.sleep(0.5)
    return next(iter(watching.alarms()), None)


def _tell(console: Console, tables: Path, alarm: Alarm) -> None:
    """The alarm, its picture, and where the model comes from."""
    store = Store(f"{tables}/{MODEL}")
    (tables / "report.html").write_text(report(store, MODEL))
    console.print(f"[bold]4[/] [bold red]{alarm.state}[/]")
    say(console, Text(alarm.sentence))
    console.print()
    for line in bars(alarms.picture(store, alarm.alarm)):
        say(console, line)
    console.print()
    for sentence in estimated(store):
        say(console, Text(sentence))
    console.print()
    _lineage(console, alarm)
    console.print("[bold]6[/] more of it")
    others = sum(each.is_on for each in alarms.read(store)) - 1
    for words, command in (
        ("pages", typed("taxiway ui", "--tables", shown(tables))),
        (f"{others} more alarms", typed("taxiway alarms list", MODEL, "--tables", shown(tables))),
        ("report", shown(tables / "report.html")),
        ("lineage", typed("taxiway lineage", alarm.alarm)),
    ):
        say(console, Text.assemble((f"{words:<16}", "dim"), command))


def estimated(store: Store) -> list[str]:
    """How good the answers of the last window probably are; no label has come yet."""
    where = [("slice", "=", ""), ("basis", "=", "estimate")]
    found = [each for each in store.read("quality", where).to_pylist() if each["low"] is not None]
    last = max((each["window_start"] for each in found), default=None)
    return [
        f"{each['metric']} is probably {each['value']:.3f} ({each['low']:.3f} to {each['high']:.3f}), without any label"
        + (f"; it was {each['expected']:.3f} in the evaluation" if each["expected"] is not None else "")
        for each in found
        if each["window_start"] == last
    ]


def _lineage(console: Console, alarm: Alarm) -> None:
    """From the alarm to the training data, the commit and the code."""
    found = chain.trace(alarm.alarm, store=LineageStore.open_existing(Home.default().lineage))
    console.print(f"[bold]5[/] the alarm compares with the training data of version {alarm.version}")
    for name, lines in tree.origins(found).items():
        for place, line in enumerate(lines):
            say(console, Text.assemble((f"{'' if place else name:<9}", "dim"), line))


def run(demo: Callable[[], None]) -> None:
    """Runs a demo; what it has started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        demo()
    except (UserError, ServiceError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    run(main)
