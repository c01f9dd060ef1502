"""Builds a reference from the training data in two passes: the bins from a sample, then the counts of all rows."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.monitoring.profile.batches import gathered
from components.monitoring.profile.codes import codes
from components.monitoring.profile.prepared import numbers
from components.monitoring.profile.sample import Sample
from components.monitoring.profile.summarize import THREADS, summarize
from components.monitoring.profile.unpacked import unpacked
from components.monitoring.reference.scan import ColumnScan
from components.monitoring.reference.spool import Spool
from components.monitoring.summaries import Bins, Reference, Summary

CODED_ROWS = 20_000
"""Rows of the sample that tells how columns depend on each other."""

SAMPLED_ROWS, SAMPLED_BYTES = 100_000, 256 << 20
"""Limits of the sample that tells the quantiles; it has as many rows as the other in any case."""

_ANY = int(np.iinfo(np.int64).max)


def build(
    version: int,
    digest: str,
    batches: Iterable[pa.RecordBatch],
    score: str | None = None,
    categories: Collection[str] = (),
) -> Reference:
    """What a model's version was trained on, and what it answers to that.

    Args:
        version: The model's version.
        digest: The digest of the training data.
        batches: Their rows, in TFXIO's form or with one value a row; predictions are columns `output_...`. What can be
            iterated only once is kept in a temporary file for the second pass.
        score: The column with the model's main output; of several values in a row, the last one counts.
        categories: Columns of integers whose values are names, as in a schema with `is_categorical`.
    """
    with _twice(batches) as rows:
        bins, sample = _scanned(rows, frozenset(categories))
        columns = summarize(rows, Reference(version, digest, bins, np.empty((0, 0), np.int32), np.empty(0)))
    sample = sample.slice(0, min(CODED_ROWS, sample.num_rows))
    return Reference(version, digest, columns, codes(sample, columns), _scores(sample, score))


def _scanned(batches: Iterable[pa.RecordBatch], categories: Collection[str]) -> tuple[dict[str, Summary], pa.Table]:
    """How the columns are counted, as summaries without rows; and a sample of the rows, in random order."""
    scans: dict[str, ColumnScan] = {}
    sample = Sample(SAMPLED_ROWS, SAMPLED_BYTES, least=CODED_ROWS)
    with ThreadPoolExecutor(THREADS) as threads:
        for batch in gathered(batches):
            sample.add(batch)
            for name in batch.schema.names:
                scans.setdefault(name, ColumnScan(is_category=name in categories))
            list(threads.map(lambda name, batch=batch: scans[name].add(batch.column(name)), batch.schema.names))
    rows = sample.rows()
    return {name: _empty(name, scan.bins(_whole(rows, name))) for name, scan in scans.items()}, rows


def _empty(name: str, bins: Bins) -> Summary:
    return Summary(name, bins, 0, 0, np.zeros(bins.size, np.int64), most=_ANY)


def _whole(rows: pa.Table, name: str) -> pa.Array:
    return pa.concat_arrays(rows.column(name).chunks) if rows.num_rows else pa.nulls(0)


@contextmanager
def _twice(batches: Iterable[pa.RecordBatch]) -> Iterator[Iterable[pa.RecordBatch]]:
    if not isinstance(batches, Iterator):
        yield batches
        return
    with tempfile.TemporaryDirectory(prefix="taxiway-reference-") as folder:
        yield Spool.of(batches, Path(folder))


def _scores(sample: pa.Table, score: str | None) -> NDArray[np.float64]:
    found = np.full(sample.num_rows, np.nan)
    if score is None or score not in sample.column_names or not sample.num_rows:
        return found
    column = unpacked(pa.concat_arrays(sample.column(score).chunks))
    lengths = column.row_lengths()
    values = numbers(column.values, "number").astype(np.float64)
    found[lengths > 0] = values[np.cumsum(lengths)[lengths > 0] - 1]
    return found
