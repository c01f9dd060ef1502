"""Evidently, NannyML and river, each in an environment of its own, and the windows that they are given."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
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
from components.monitoring.summaries import Reference

OUT = Path(__file__).parents[1] / "out" / "monitoring"
REFERENCE_ROWS = 10_000
SIZES = (200, 1_000, 5_000)
SHIFT = 0.15
"""Of one column, in its standard deviations."""
CLEAN, SHIFTED = "none", f"fare shifted by {SHIFT} sd"
PACKAGES = {
    "evidently": ("evidently==0.7.23", "pandas==2.3.3", "pyarrow==26.0.1"),
    "nannyml": ("nannyml==0.13.1", "statsmodels==0.15.0", "pandas==2.3.3"),
    "river": ("river==0.26.0",),
}
_OLDER = {"nannyml": ("python3.12", "python3.11", "python3.10")}
"""Peers that do not install on newer Pythons."""
_EACH = 20
"""Windows of one reference and change."""
Figure = dict[str, Any]


def python_of(peer: str) -> str:
    """The Python of a peer's environment, which is made if there is none; raises RuntimeError if it cannot be made."""
    return environments.python_of(OUT / f"{peer}-venv", PACKAGES[peer], _OLDER.get(peer, (sys.executable,)))


def run(peer: str, script: str, *arguments: str) -> str | None:
    """Runs a script beside this module in a peer's environment; returns why it cannot, or None when it has."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    # They report their use to their makers otherwise.
    environment = {**kept, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
    try:
        environments.run([python_of(peer), str(Path(__file__).with_name(script)), *arguments], environment)
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


def measured(windows: int, sizes: Sequence[int] = SIZES) -> Iterator[Figure]:
    """For each size and system: the share of clean windows with any drift, of shifted ones, and seconds a window."""
    chance = np.random.default_rng(1)
    population = _without_empty(taxi())
    folder = OUT / "windows"
    for size in sizes:
        shutil.rmtree(folder, ignore_errors=True)
        yield from _figures("taxiway", size, list(_own(population, chance, folder, windows=windows, size=size)))
        for peer in ("evidently", "nannyml"):
            output = folder / f"{peer}.json"
            lack = run(peer, f"{peer}_windows.py", str(folder), str(output))
            if lack:
                yield {"part": "peers", "system": peer, "rows": size, "skipped": lack}
            else:
                yield from _figures(peer, size, json.loads(output.read_text()))
    shutil.rmtree(folder, ignore_errors=True)


def _without_empty(population: Population) -> Population:
    """Evidently refuses a column without values, as one of the taxi trips' is in most samples."""
    missing = {
        name: np.isnan(values).mean() if kind == "number" else (values < 0).mean()
        for name, (kind, values) in population.columns.items()
    }
    return Population({name: each for name, each in population.columns.items() if missing[name] < 0.99})


def _own(
    population: Population, chance: np.random.Generator, folder: Path, *, windows: int, size: int
) -> Iterator[Figure]:
    """Writes the windows as well; they go through the whole monitor, from rows to decisions."""
    for number in range(-(-windows // _EACH)):
        own = folder / f"reference_{number:03}"
        own.mkdir(parents=True)
        training = _table(population, chance.integers(population.rows, size=REFERENCE_ROWS))
        training.to_csv(own / "reference.csv", index=False)
        (own / "kinds.json").write_text(json.dumps({name: kind for name, (kind, _) in population.columns.items()}))
        reference = build(1, "", _batches(training))
        for window in range(min(_EACH, windows)):
            for change in (CLEAN, SHIFTED):
                table = _table(population, chance.integers(population.rows, size=size))
                if change == SHIFTED:
                    table["fare"] += SHIFT * population.columns["fare"][1].std()
                table.to_csv(own / f"window_{window:03}_{change}.csv", index=False)
                yield {"change": change, **_judged(reference, table)}


def _judged(reference: Reference, table: pd.DataFrame) -> Figure:
    begin = time.perf_counter()
    decisions = decide(reference, summarize(_batches(table), reference))
    seconds = time.perf_counter() - begin
    return {"drifted": sum(each.signal for each in decisions), "seconds": seconds}


def _batches(table: pd.DataFrame) -> list[pa.RecordBatch]:
    return pa.Table.from_pandas(table, preserve_index=False).to_batches()


def _table(population: Population, rows: np.ndarray) -> pd.DataFrame:
    columns = {name: (kind, values[rows]) for name, (kind, values) in population.columns.items()}
    return pd.DataFrame(
        {name: values if kind == "number" else _texts(values) for name, (kind, values) in columns.items()}
    )


def _texts(codes: np.ndarray) -> list[str | None]:
    return [f"value {code}" if code >= 0 else None for code in codes]


def _figures(system: str, size: int, found: Sequence[Figure]) -> Iterator[Figure]:
    for change in (CLEAN, SHIFTED):
        windows = [each for each in found if each["change"] == change]
        yield {
            "part": "peers",
            "system": system,
            "rows": size,
            "change": change,
            "windows": len(windows),
            "any_drift": round(float(np.mean([each["drifted"] > 0 for each in windows])), 3),
            "seconds_a_window": round(float(np.median([each["seconds"] for each in windows])), 4),
        }
