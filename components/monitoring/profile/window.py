"""All that is counted in a window, in one pass over its rows: summaries and requests, by version and slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.monitoring.profile.sample import Sample
from components.monitoring.profile.summarize import Columns, Slicer, count_all
from components.monitoring.profile.traffic import Traffic, TrafficCounter
from components.monitoring.summaries import Reference, Summary

SAMPLED_ROWS = 20_000
"""Rows of a version that are kept for the measure over all columns together."""


@dataclass(frozen=True)
class Counted:
    """A window.

    Attributes:
        summaries: By version and slice, then by column; the slice of all rows is empty. Only of versions that have a
            reference.
        traffic: By version; None for requests that no version answered.
        samples: Rows of each version that has a reference.
    """

    summaries: Mapping[tuple[int, str], Mapping[str, Summary]]
    traffic: Mapping[int | None, Traffic]
    samples: Mapping[int, pa.Table]


def count(
    batches: Iterable[pa.RecordBatch], references: Mapping[int, Reference], slicer: Slicer | None = None
) -> Counted:
    """Counts the rows of a window.

    Args:
        batches: Rows of an inference table; without a column `version`, they are of the only reference.
        references: The training data by version.
        slicer: Tells which rows of a batch belong to each slice.
    """
    counting = _Counting(references, slicer)
    count_all(batches, counting.start)
    return counting.counted()


class _Counting:
    """What is counted, by version."""

    def __init__(self, references: Mapping[int, Reference], slicer: Slicer | None) -> None:
        self._references = references
        self._columns = {version: Columns(reference, slicer) for version, reference in references.items()}
        self._samples = {version: Sample(SAMPLED_ROWS) for version in references}
        self._traffic: dict[int | None, TrafficCounter] = {}

    def start(self, batch: pa.RecordBatch, threads: ThreadPoolExecutor) -> list[Future[None]]:
        tasks = list[Future[None]]()
        for version, rows in _by_version(batch, self._references):
            self._traffic.setdefault(version, TrafficCounter()).add(rows)
            if version in self._columns:
                self._samples[version].add(rows)
                tasks += self._columns[version].start(rows, threads)
        return tasks

    def counted(self) -> Counted:
        summaries = {(v, name): found for v, each in self._columns.items() for name, found in each.summaries().items()}
        traffic = {version: each.traffic() for version, each in self._traffic.items()}
        return Counted(summaries, traffic, {version: sample.rows() for version, sample in self._samples.items()})


def _by_version(
    batch: pa.RecordBatch, references: Mapping[int, Reference]
) -> Iterator[tuple[int | None, pa.RecordBatch]]:
    if "version" not in batch.schema.names:
        yield next(iter(references), None), batch
        return
    versions = batch.column("version")
    for version in pc.unique(versions).to_pylist():
        mask = pc.is_null(versions) if version is None else pc.equal(versions, version)
        yield version, batch if pc.all(mask).as_py() else batch.filter(mask)
