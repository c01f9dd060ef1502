"""Taxiway beside TFX 1.21's LocalDagRunner: same machine, data, modules and settings, in turn, whole processes.

    python -m benchmarks.bench [--rows 15002,150020,1500200] [--distinct] [--no-tfx]

Prints a table and writes the figures to `benchmarks/out/latest.json`: a list of objects with system, rows, data, run
(`cold`, `again`, `run_fn changed`), stage or `whole`, wall_s, cpu_s, peak_mb. The peak is that of the largest single
process. TFX runs all components in one process, so its stages have a wall time only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import settings
from benchmarks.data import write_trips

OUTPUT = Path(__file__).parent / "out"
Figure = dict[str, Any]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="15002,150020,1500200", help="sizes, with commas between")
    parser.add_argument("--distinct", action="store_true", help="trips with many distinct values")
    parser.add_argument("--no-tfx", action="store_true", help="Taxiway alone")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="taxiway-bench-", dir=OUTPUT.parent) as work:
        for rows in map(int, options.rows.split(",")):
            figures += _compared(Path(work), rows, options.distinct, tfx=not options.no_tfx)
            shutil.rmtree(Path(work) / str(rows))
            OUTPUT.mkdir(exist_ok=True)
            (OUTPUT / "latest.json").write_text(json.dumps(figures, indent=1))
    Console(width=120).print(_table(figures))


def _compared(work: Path, rows: int, distinct: bool, *, tfx: bool) -> list[Figure]:
    """Both systems at one size, cold and again, in turn."""
    data = write_trips(work / str(rows) / "data", rows, distinct=distinct)
    known = {"rows": rows, "data": "distinct" if distinct else "repeated"}
    figures = []
    for run in ("cold", "again"):
        systems = {"taxiway": _taxiway} | ({"tfx": _tfx} if tfx else {})
        for system, measure in systems.items():
            found = measure(data, work / str(rows) / system)
            figures += [{"system": system, "run": run, **known, **figure} for figure in found]
            print(f"{system} {run} {rows} rows: {found[0]['wall_s']:.1f} s", flush=True)
    return figures


def _taxiway(data: Path, root: Path) -> list[Figure]:
    parameters = {
        "data": str(data),
        "module": settings.MODULE,
        "destination": str(root / "served"),
        "train_steps": settings.TRAIN_STEPS,
        "eval_steps": settings.EVAL_STEPS,
        "eval_config": json.dumps(settings.EVAL_CONFIG),
        "allow_unversioned": "true",
    }
    options = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    command = [sys.executable, "-m", "taxiway.cli", "run", "chicago_taxi", "--json", *options]
    whole, printed = _measured(command, root, {"TAXIWAY_HOME": str(root / "home")})
    tasks = json.loads(printed)["tasks"]
    stages = [
        {
            "stage": name.replace("-", "_"),
            "wall_s": task["seconds"],
            "cpu_s": task["cpu_seconds"],
            "peak_mb": task["peak_mb"],
        }
        for name, task in tasks.items()
    ]
    run = json.loads(printed)["run"]
    return [whole, *stages, *_run_fn_of(root / "home" / "runs" / run / "logs" / "trainer.log")]


def _run_fn_of(log: Path) -> list[Figure]:
    """The time of the user's own `run_fn`, as the trainer's log tells it."""
    times = re.findall(r"run_fn took ([\d.]+) s", log.read_text(errors="replace")) if log.exists() else []
    return [{"stage": "run_fn", "wall_s": float(times[-1]), "cpu_s": None, "peak_mb": None}] if times else []


def _tfx(data: Path, root: Path) -> list[Figure]:
    times = root / "times.json"
    command = [sys.executable, "-m", "benchmarks.tfx_taxi", str(data), str(root), str(times)]
    whole, _ = _measured(command, root, {})
    found = json.loads(times.read_text())
    stages = {**found["stages"], **({"run_fn": found["run_fn"]} if "run_fn" in found else {})}
    return [whole, *({"stage": s, "wall_s": round(t, 3), "cpu_s": None, "peak_mb": None} for s, t in stages.items())]


def _measured(command: list[str], root: Path, environment: dict[str, str]) -> tuple[Figure, str]:
    """Runs a command to its end, and tells its whole-process figures and what it printed."""
    root.mkdir(parents=True, exist_ok=True)
    log = root / "log"
    with log.open("a") as stderr:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={**os.environ, **environment}
        )
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    return _figure(wall, usage), printed


def _figure(wall: float, usage: resource.struct_rusage) -> Figure:
    return {
        "stage": "whole",
        "wall_s": round(wall, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def _table(figures: list[Figure]) -> Table:
    """Size, run and stage; both times and their ratio; both peaks."""
    table = Table(box=None, pad_edge=False)
    for name in ("rows", "run", "stage", "Taxiway s", "TFX s", "ratio", "Taxiway MB", "TFX MB"):
        table.add_column(name, justify="left" if name in ("run", "stage") else "right")
    indexed = {(f["system"], f["rows"], f["run"], f["stage"]): f for f in figures}
    for ours in (figure for figure in figures if figure["system"] == "taxiway"):
        theirs = indexed.get(("tfx", ours["rows"], ours["run"], ours["stage"]), {})
        ratio = theirs["wall_s"] / ours["wall_s"] if theirs and ours["wall_s"] else None
        table.add_row(
            f"{ours['rows']:,}",
            ours["run"],
            ours["stage"],
            _number(ours["wall_s"]),
            _number(theirs.get("wall_s")),
            _number(ratio),
            _number(ours["peak_mb"]),
            _number(theirs.get("peak_mb")),
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


if __name__ == "__main__":
    main()
