"""Compares Taxiway with TFX 1.21's LocalDagRunner: same machine, data, modules and settings, in alternating processes.

    python -m benchmarks.bench [--rows 15002,150020,1500200] [--distinct] [--runs cold,...] [--no-tfx]

Prints a table and writes the figures to `benchmarks/out/latest.json`: a list of objects with system, rows, data, run,
stage or `whole`, wall_s, cpu_s, peak_mb. The first size has all four runs, the others only the first:

    cold            from scratch
    again           nothing changed; TFX evaluates and pushes again, because now there is a blessed model
    cached          nothing changed, and neither system has anything left to do
    run_fn changed  one more statement in the module's run_fn

`run_fn` is the user's own code in both systems; `outside run_fn` is the rest. The peak is that of the largest single
process. TFX runs all components in one process, so a stage's peak there is the highest up to its end.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import settings
from benchmarks.data import write_trips

OUTPUT = Path(__file__).parent / "out"
PIPELINE = Path(__file__).with_name("taxi_pipeline.py")
_PR_SET_CHILD_SUBREAPER = 36
RUNS = ("cold", "again", "cached", "run_fn changed")
Figure = dict[str, Any]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="15002,150020,1500200", help="comma-separated sizes")
    parser.add_argument("--distinct", action="store_true", help="trips with many distinct values")
    parser.add_argument("--runs", help=f"comma-separated runs at every size: {', '.join(RUNS)}")
    parser.add_argument("--no-tfx", action="store_true", help="run Taxiway only")
    options = parser.parse_args()
    # Orphans become this process's children, so that their resource usage is counted.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _read_libraries()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="taxiway-bench-", dir=OUTPUT.parent) as work:
        for number, rows in enumerate(map(int, options.rows.split(","))):
            runs = options.runs.split(",") if options.runs else RUNS if number == 0 else RUNS[:1]
            figures += _compared(Path(work), rows, options.distinct, runs, tfx=not options.no_tfx)
            shutil.rmtree(Path(work) / str(rows))
            OUTPUT.mkdir(exist_ok=True)
            (OUTPUT / "latest.json").write_text(json.dumps(figures, indent=1))
    Console(width=120).print(_table(figures))


def _read_libraries() -> None:
    """Reads the libraries into the page cache, so that the first measurement does not pay for the disk."""
    for name in ("benchmarks.tfx_taxi", "tensorflow_model_analysis", "taxiway.dsl.definitions"):
        subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=True)


def _compared(work: Path, rows: int, distinct: bool, runs: Sequence[str], *, tfx: bool) -> list[Figure]:
    """Both systems at one size, alternating."""
    folder = work / str(rows)
    data = write_trips(folder / "data", rows, distinct=distinct)
    module = write_module(folder / "taxi_module.py")
    known = {"rows": rows, "data": "distinct" if distinct else "repeated"}
    figures = []
    for run in runs:
        if run == "run_fn changed":
            _change_run_fn(module)
        systems = {"taxiway": taxiway} | ({"tfx": _tfx} if tfx else {})
        for system, measure in systems.items():
            found = measure(data, module, folder / system)
            figures += [{"system": system, "run": run, **known, **figure} for figure in [*found, *_outside(found)]]
            print(f"{system} {run} {rows} rows: {found[0]['wall_s']:.1f} s", flush=True)
    return figures


def write_module(path: Path) -> Path:
    """Copies the module of TFX's example, so that it can be changed."""
    spec = importlib.util.find_spec(settings.MODULE)
    assert spec is not None
    assert spec.origin is not None
    shutil.copyfile(spec.origin, path)
    return path


def _change_run_fn(module: Path) -> None:
    """Adds a statement without effect to the end of `run_fn`."""
    text = module.read_text()
    assert text.rstrip().endswith("signatures=signatures)"), "run_fn is the last function of the example's module"
    module.write_text(text.rstrip() + "\n  del model\n")


def taxiway(data: Path, module: Path, root: Path) -> list[Figure]:
    """Runs the taxi pipeline with TFX's module, and returns the figures of the whole, the stages and `run_fn`."""
    parameters = {
        "data": str(data),
        "module": str(module),
        "destination": str(root / "served"),
        "train_steps": settings.TRAIN_STEPS,
        "eval_steps": settings.EVAL_STEPS,
        "eval_config": json.dumps(settings.EVAL_CONFIG),
        "allow_unversioned": "true",
    }
    options = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    command = [sys.executable, "-m", "taxiway", "run", str(PIPELINE), "--json", *options]
    whole, printed = _measured(command, root, {"TAXIWAY_HOME": str(root / "home")})
    record = json.loads(printed)
    stages = [
        {
            "stage": name.replace("-", "_"),
            "state": task["state"],
            "wall_s": task["seconds"],
            "cpu_s": task["cpu_seconds"],
            "peak_mb": task["peak_mb"],
        }
        for name, task in record["tasks"].items()
    ]
    peak = max(whole["peak_mb"], *(stage["peak_mb"] for stage in stages))
    logs = root / "home" / "runs" / record["run"] / "logs"
    return [{**whole, "peak_mb": peak}, *stages, *_run_fn_of(logs / "trainer.log")]


def _run_fn_of(log: Path) -> list[Figure]:
    """The time of the user's own `run_fn`, from the trainer's log."""
    times = re.findall(r"run_fn took ([\d.]+) s", log.read_text(errors="replace")) if log.exists() else []
    return [{"stage": "run_fn", "wall_s": float(times[-1]), "cpu_s": None, "peak_mb": None}] if times else []


def _tfx(data: Path, module: Path, root: Path) -> list[Figure]:
    figures = root / "figures.json"
    command = [sys.executable, "-m", "benchmarks.tfx_taxi", str(data), str(module), str(root), str(figures)]
    whole, _ = _measured(command, root, {})
    return [whole, *json.loads(figures.read_text())]


def _outside(found: list[Figure]) -> list[Figure]:
    """The time of the whole run outside the user's code."""
    own = next((figure["wall_s"] for figure in found if figure["stage"] == "run_fn"), None)
    if own is None:
        return []
    rest = round(found[0]["wall_s"] - own, 3)
    return [{"stage": "outside run_fn", "wall_s": rest, "cpu_s": None, "peak_mb": None}]


def _measured(command: list[str], root: Path, environment: dict[str, str]) -> tuple[Figure, str]:
    """Runs a command, and returns its whole-process figures and its output."""
    root.mkdir(parents=True, exist_ok=True)
    log = root / "log"
    with log.open("a") as stderr:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **settings.ENVIRONMENT, **environment},
        )
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    usages = [usage, *_orphans()]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    return _figure(wall, usages), printed


def _orphans() -> Iterator[resource.struct_rusage]:
    """The usage of processes that outlived their parents, as those do that stages fork from."""
    while True:
        try:
            yield os.wait4(-1, 0)[2]
        except ChildProcessError:
            return


def _figure(wall: float, usages: list[resource.struct_rusage]) -> Figure:
    return {
        "stage": "whole",
        "wall_s": round(wall, 3),
        "cpu_s": round(sum(usage.ru_utime + usage.ru_stime for usage in usages), 3),
        "peak_mb": round(max(usage.ru_maxrss for usage in usages) / 1024, 1),
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
