"""Evidently, NannyML and river, each in an environment of its own, and the windows that they are given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks import environments
from benchmarks.monitoring.populations import Population, taxi
from components.monitoring.calibration.decide import decide
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build

OUT = Path(__file__).parents[1] / "out" / "monitoring"
REFERENCE_ROWS = 10_000
SIZES = (100, 500, 1_000, 10_000)
PACKAGES = {
    "evidently": ("evidently==0.7.23", "pandas==2.3.3"),
    "nannyml": ("nannyml==0.13.1", "statsmodels==0.15.0", "pandas==2.3.3"),
    "river": ("river==0.26.0",),
}
_OLDER = {"nannyml": ("python3.12", "python3.11", "python3.10")}
"""Peers that do not install on newer Pythons."""
Figure = dict[str, Any]


def python_of(peer: str) -> str | None:
    """The Python of a peer's environment, which is made if there is none; None if no Python is old enough for it."""
    return environments.python_of(OUT / f"{peer}-venv", PACKAGES[peer], _OLDER.get(peer, ()))


def run(peer: str, script: str, *arguments: str) -> bool:
    """Runs a script beside this module in a peer's environment; false if there is none."""
    python = python_of(peer)
    if python:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        # They report their use to their makers otherwise.
        environment = {**kept, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
        command = [python, str(Path(__file__).with_name(script)), *arguments]
        subprocess.run(command, check=True, env=environment)
    return python is not None


def measured(windows: int) -> Iterator[Figure]:
    """For each size and system: the share of clean windows with any drift, of shifted ones, and seconds a window."""
    chance = np.random.default_rng(1)
    population = _without_empty(taxi())
    for size in SIZES:
        for change in ("none", "fare shifted by 0.15 sd"):
            folder = OUT / "windows"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            yield _own(population, chance, folder, windows=windows, size=size, change=change)
            for peer in ("evidently", "nannyml"):
                output = folder / f"{peer}.json"
                if run(peer, f"{peer}_windows.py", str(folder), str(output)):
                    found = json.loads(output.read_text())
                    drifted = [each["drifted"] > 0 for each in found]
                    yield _figure(peer, size, change, drifted, [each["seconds"] for each in found])


def _without_empty(population: Population) -> Population:
    """Evidently refuses a column without values, as one of the taxi trips' is in most samples."""
    missing = {
        name: np.isnan(values).mean() if kind == "number" else (values < 0).mean()
        for name, (kind, values) in population.columns.items()
    }
    return Population({name: each for name, each in population.columns.items() if missing[name] < 0.99})


def _own(
    population: Population, chance: np.random.Generator, folder: Path, *, windows: int, size: int, change: str
) -> Figure:
    """Writes the windows as well; they go through the whole monitor, from rows to decisions."""
    training = _table(population, chance.integers(population.rows, size=REFERENCE_ROWS))
    training.to_csv(folder / "reference.csv", index=False)
    (folder / "kinds.json").write_text(json.dumps({name: kind for name, (kind, _) in population.columns.items()}))
    reference = build(1, "", _batches(training))
    signals, seconds = [], []
    for number in range(windows):
        table = _table(population, chance.integers(population.rows, size=size))
        if change != "none":
            table["fare"] += 0.15 * population.columns["fare"][1].std()
        table.to_csv(folder / f"window_{number:04}.csv", index=False)
        begin = time.perf_counter()
        decisions = decide(reference, summarize(_batches(table), reference))
        seconds.append(time.perf_counter() - begin)
        signals.append(any(each.signal for each in decisions))
    return _figure("taxiway", size, change, signals, seconds)


def _batches(table: pd.DataFrame) -> list[pa.RecordBatch]:
    return pa.Table.from_pandas(table, preserve_index=False).to_batches()


def _table(population: Population, rows: np.ndarray) -> pd.DataFrame:
    columns = {name: (kind, values[rows]) for name, (kind, values) in population.columns.items()}
    return pd.DataFrame(
        {name: values if kind == "number" else _texts(values) for name, (kind, values) in columns.items()}
    )


def _texts(codes: np.ndarray) -> list[str | None]:
    return [f"value {code}" if code >= 0 else None for code in codes]


def _figure(system: str, size: int, change: str, drifted: list[bool], seconds: list[float]) -> Figure:
    return {
        "part": "peers",
        "system": system,
        "rows": size,
        "change": change,
        "windows": len(drifted),
        "any_drift": round(float(np.mean(drifted)), 3),
        "seconds_a_window": round(float(np.median(seconds)), 4),
    }
