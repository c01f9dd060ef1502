"""How long it takes to profile Parquet files and to compare them with training data, and how much memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.monitoring.drift.measures import measures
from components.monitoring.profile.batches import ROWS
from components.monitoring.profile.rows import rows as profile_rows
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build

COMPANIES = 60
TRAINING_ROWS = 100_000
_ROWS_AT_ONCE = 100_000


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
    at_once = max(1_000, min(_ROWS_AT_ONCE, 20_000_000 // columns))
    writer = None
    for start in range(0, rows, at_once):
        table = pa.table({f"c{i}": _column(i, min(at_once, rows - start), random) for i in range(columns)})
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
    assert writer
    writer.close()


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


def run(folder: Path) -> dict[str, float]:
    """Profiles `window.parquet` and compares it with `training.parquet`.

    Returns:
        `rows`, `columns`, `reference_seconds` (once a version), `seconds` for the window, and `memory_mb`: by how much
        the process grew meanwhile.
    """
    began = time.perf_counter()
    reference = build(1, "", list(_batches(folder / "training.parquet")))
    built = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    summaries = summarize(_batches(folder / "window.parquet"), reference)
    found = [measures(reference.columns[name], summary) for name, summary in summaries.items()]
    assert found and profile_rows({}, summaries).num_rows == len(summaries)
    return {
        "rows": next(iter(summaries.values())).rows,
        "columns": len(summaries),
        "reference_seconds": built - began,
        "seconds": time.perf_counter() - built,
        "memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as opened:
        columns = max(len(opened.schema_arrow), 1)
        yield from opened.iter_batches(max(1_000, min(ROWS, 8_000_000 // columns)))
