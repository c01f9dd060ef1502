"""Rows in temporary files, to read them more than once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc


@dataclass(frozen=True)
class Spool:
    """Rows in files.

    Attributes:
        files: One for each run of batches with the same columns.
    """

    files: tuple[Path, ...]

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch], folder: Path) -> Spool:
        """Writes rows to files in a folder."""
        runs = itertools.groupby(batches, key=lambda batch: batch.schema)
        return cls(tuple(_write(run, schema, folder / f"{i}.arrow") for i, (schema, run) in enumerate(runs)))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for file in self.files:
            with pa.OSFile(str(file)) as source:
                yield from ipc.open_stream(source)


def _write(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: Path) -> Path:
    options = ipc.IpcWriteOptions(compression="lz4", emit_dictionary_deltas=True)
    with pa.OSFile(str(file), "wb") as sink, ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return file
