"""How long it takes to profile Parquet files and to compare them with training data, and how much memory.

    python -m benchmarks.monitoring.speed FOLDER      # one measurement, of the files that `generate` writes

Each measurement has a process of its own, so that its peak memory is its own; imports do not count.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.monitoring import peers
from components.monitoring.calibration.decide import decide
from components.monitoring.calibration.limits import limits
from components.monitoring.drift.rows import rows as drift_rows
from components.monitoring.profile.batches import ROWS
from components.monitoring.profile.rows import rows as profile_rows
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build

COMPANIES = 60
TRAINING_ROWS = 100_000
LIMITS = {(10_000_000, 17): 20.0}
"""Seconds that a size may take."""
FASTER = 10.0
"""How many times as fast as Evidently it has to be."""
_ROWS_AT_ONCE = 100_000
_POOL = 1 << 20
_CELL_BYTES, _SPARE_BYTES = 4, 2 << 30
Size = tuple[int, int]
Figure = dict[str, Any]


def size_of(text: str) -> Size:
    """The size in a text such as `1000000x17`."""
    rows, _, columns = text.partition("x")
    return int(rows), int(columns)


def measured(alone: Sequence[Size], beside: Sequence[Size]) -> Iterator[Figure]:
    """Figures of sizes for Taxiway, and of sizes for Taxiway and Evidently with the same files.

    Args:
        alone: Rows and columns.
        beside: Rows and columns; Evidently holds all rows in memory, as pandas does.
    """
    for size in alone:
        yield from _at(size, ["taxiway"])
    for size in beside:
        found = list(_at(size, ["taxiway", "evidently"]))
        yield from found
        seconds = {figure["system"]: figure["seconds"] for figure in found if "seconds" in figure}
        if len(seconds) == 2:
            yield _ratio(size, seconds["evidently"] / seconds["taxiway"])


def _ratio(size: Size, ratio: float) -> Figure:
    return {**_named("taxiway", size), "times_as_fast_as_evidently": round(ratio, 1), "wanted": FASTER}


def _named(system: str, size: Size) -> Figure:
    return {"part": "speed", "system": system, "rows": size[0], "columns": size[1]}


def _at(size: Size, systems: Sequence[str]) -> Iterator[Figure]:
    """Measures systems with files of a size, which are deleted then."""
    folder = peers.OUT / "speed"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        lack = _lack(folder, size)
        if lack:
            yield {**_named("taxiway", size), "skipped": lack}
            return
        generate(*size, folder)
        for system in systems:
            yield {**_named(system, size), **_of(system, size, folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lack(folder: Path, size: Size) -> str | None:
    """Why files of a size cannot be written; None if they can."""
    folder.mkdir(parents=True)
    needed, free = size[0] * size[1] * _CELL_BYTES + _SPARE_BYTES, shutil.disk_usage(folder).free
    return f"needs {needed / 1e9:.0f} GB on the disk, {free / 1e9:.0f} are free" if needed > free else None


def _of(system: str, size: Size, folder: Path) -> Figure:
    if system == "evidently":
        output = folder / "evidently.json"
        lack = peers.run("evidently", "evidently_speed.py", str(folder), str(output))
        return {"skipped": lack} if lack else dict(json.loads(output.read_text()))
    command = [sys.executable, "-m", "benchmarks.monitoring.speed", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    found: Figure = json.loads(done.stdout)
    return found if size not in LIMITS else {**found, "wanted_seconds": LIMITS[size]}


def generate(rows: int, columns: int, folder: Path) -> Path:
    """Writes rows like taxi trips as Parquet, with a training set of `TRAINING_ROWS` beside them, unless they exist.

    Of 17 columns, nine are float32 (one of them mostly 0, one with missing values), five are integers with few values
    and three are strings. More columns repeat these.

    Args:
        rows: The number of rows.
        columns: The number of columns.
        folder: The folder; created if missing.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, number, seed in (("training.parquet", TRAINING_ROWS, 1), ("window.parquet", rows, 2)):
        target = folder / name
        if not target.exists() or pq.read_metadata(target).num_rows != number:
            partial = folder / f".{name}"
            _write(partial, number, columns, seed)
            partial.rename(target)
    return folder


def _write(file: Path, rows: int, columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    pools = [_column(kind, _POOL, random) for kind in range(min(columns, 17))]
    at_once = max(1_000, min(_ROWS_AT_ONCE, 20_000_000 // columns))
    schema = pa.schema([(f"c{i}", pools[i % 17].type) for i in range(columns)])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for start in range(0, rows, at_once):
            count = min(at_once, rows - start)
            writer.write_table(pa.table([_part(pools[i % 17], count, random) for i in range(columns)], schema))


def _part(pool: pa.Array, rows: int, random: np.random.Generator) -> pa.Array:
    """Values that are next to each other in a pool: to draw each anew takes longer than what is measured."""
    return pool.slice(int(random.integers(len(pool) - rows)), rows)


def _column(number: int, rows: int, random: np.random.Generator) -> pa.Array:
    kind = number % 17
    if kind < 9:
        values = random.gamma(2.0, 5.0, rows).astype(np.float32)
        if kind == 7:
            values[random.random(rows) < 0.6] = 0
        return pa.array(values, mask=random.random(rows) < 0.1 if kind == 8 else None)
    if kind < 14:
        return pa.array(random.integers(0, (24, 7, 12, 77, 4)[kind - 9], rows))
    names = pa.array([f"{kind} company {i}" for i in range((4, COMPANIES, 5)[kind - 14])])
    return names.take(pa.array(np.minimum(random.geometric(0.1, rows) - 1, len(names) - 1)))


def run(folder: Path) -> Figure:
    """Makes the rows of the profile and drift tables for `window.parquet`, compared with `training.parquet`.

    Returns:
        `reference_seconds` (once a version), `seconds` for the window, `rows_per_s`, `peak_mb`, and `window_mb`: by how
        much the window raised the peak.
    """
    began = time.perf_counter()
    reference = build(1, "", _Batches(folder / "training.parquet"))
    built, before = time.perf_counter(), _peak_mb()
    summaries = summarize(_Batches(folder / "window.parquet"), reference)
    decisions = decide(reference, summaries)
    profile = profile_rows({}, summaries)
    drift = drift_rows(
        {}, "training", reference=reference.columns, window=summaries, decisions=decisions, limits=limits
    )
    seconds = time.perf_counter() - built
    assert profile.num_rows == len(summaries)
    assert drift.num_rows == len(decisions)
    return {
        "reference_seconds": round(built - began, 2),
        "seconds": round(seconds, 2),
        "rows_per_s": round(next(iter(summaries.values())).rows / seconds),
        "peak_mb": round(_peak_mb()),
        "window_mb": round(_peak_mb() - before),
    }


def _peak_mb() -> float:
    """The most memory that this process had; the one that started it does not count, as it does in getrusage."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@dataclass(frozen=True)
class _Batches:
    """A file's rows, read anew each time: training data are read twice."""

    file: Path

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.file) as opened:
            columns = max(len(opened.schema_arrow), 1)
            yield from opened.iter_batches(max(1_000, min(ROWS, 8_000_000 // columns)))


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
