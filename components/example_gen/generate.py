"""Splits the rows of a source and writes them as an Examples artifact, which appears atomically."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.contract.artifacts import Examples
from components.contract.errors import DataError, ServiceError
from components.contract.files import whole_folder
from components.data.examples import SplitWriter
from components.example_gen.source import Source
from components.example_gen.splits import NO_SPLIT, Splits

WriteSplits = Callable[[Examples, Source, Splits, str], dict[str, int]]


def write_examples(
    examples: Examples, source: Source, splits: Splits, payload_format: str, write: WriteSplits
) -> dict[str, int]:
    """Writes every split; returns the number of rows by split name, with rows in no split under the empty name.

    Args:
        examples: The artifact.
        source: The rows.
        splits: Assigns the rows to splits.
        payload_format: `parquet` or `tf_example`.
        write: `write_splits`, or its counterpart on Beam.

    Raises:
        DataError: A split has no rows, or the data are damaged.
        ServiceError: The machine cannot write, for instance because the disk is full.
    """
    with _writing(examples.path), whole_folder(examples.path) as folder:
        counts = write(Examples(folder), source, splits, payload_format)
        for name in splits.names:
            if counts[name] == 0:
                raise DataError(
                    f"the split {name!r} has no rows ({sum(counts.values()):,} were read)",
                    fix="change the splits' shares or bounds, or provide more data",
                )
    return counts


def write_splits(examples: Examples, source: Source, splits: Splits, payload_format: str) -> dict[str, int]:
    """Streams the rows through this process, with one writer per split; returns the number of rows by split."""
    outside = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(SplitWriter(examples, name, payload_format)) for name in splits.names}
        for file in splits.files:
            for batch in source.read(file):
                numbers = splits.assign(file, batch)
                outside += int((numbers == NO_SPLIT).sum())
                for number, writer in enumerate(writers.values()):
                    writer.write(part(batch, numbers == number))
    return {name: writer.rows for name, writer in writers.items()} | {"": outside}


def part(batch: pa.RecordBatch, chosen: np.ndarray) -> pa.RecordBatch:
    """The selected rows of a batch."""
    return batch if chosen.all() else batch.filter(pa.array(chosen))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceError(
            f"{path} cannot be written: {error.strerror or error}", fix="free space on the disk, and run again"
        ) from error
