"""Rows of Parquet files by row groups, in TFXIO's form: all at once if they fit in memory, else a stream of blocks."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from components.contract.errors import DataError
from components.data.column_names import require_distinct
from components.data.examples import column_of, to_tfxio_form

BLOCK_ROWS = 10_000
"""The least number of rows of a block, if rows are not shuffled."""


class ParquetRows:
    """The rows of the Parquet files that match some patterns.

    Args:
        patterns: One or several glob patterns, as in `FnArgs.train_files`.
        arrow_schema: The columns to read, and their types; all, as the files have them, by default.

    Raises:
        DataError: There are no such files or no rows in them, a file is damaged, or a column has another type.
    """

    def __init__(self, patterns: str | list[str], arrow_schema: pa.Schema | None = None) -> None:
        self._patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        files = [_fragment(path) for pattern in self._patterns for path in sorted(glob.glob(pattern))]
        self._groups = [group for file in files for group in file.split_by_row_group() if group.count_rows()]
        if not self._groups:
            raise DataError(
                f"there are no rows in {', '.join(self._patterns)}",
                fix="name other splits, or give these a larger share of the rows",
            )
        self._arrow_schema = arrow_schema or pa.unify_schemas([_tfxio_schema(file.physical_schema) for file in files])

    def groups(self) -> Iterator[pa.RecordBatch]:
        """One row group after the other, in the order of the files."""
        return map(self._read, self._groups)

    def blocks(self, options: Any, seed: int) -> Iterator[pa.RecordBatch]:
        """The rows of one or more epochs in blocks, each but the last a whole number of batches.

        Batches continue from one epoch into the next. If shuffled, row groups come in random order, and rows in random
        order from a pool of at least `shuffle_buffer_size` rows.

        Args:
            options: TFX's TensorFlowDatasetOptions or RecordBatchesOptions.
            seed: The seed of the shuffling.
        """
        rng = np.random.default_rng(seed)
        pool_rows = max(options.shuffle_buffer_size if options.shuffle else BLOCK_ROWS, options.batch_size)
        pool: list[pa.RecordBatch] = []
        for group in self._epochs(options, rng):
            pool.append(self._read(group))
            if sum(batch.num_rows for batch in pool) >= pool_rows:
                rows, order = _joined(pool), _order(pool, options, rng)
                whole = len(order) - len(order) % options.batch_size
                yield rows.take(order[:whole])
                pool = [rows.take(order[whole:])]
        rest = _order(pool, options, rng)
        if drops_final_batch(options):
            rest = rest[: len(rest) - len(rest) % options.batch_size]
        if len(rest):
            yield _joined(pool).take(rest)

    def _epochs(self, options: Any, rng: np.random.Generator) -> Iterator[ds.ParquetFileFragment]:
        for _ in epochs(options):
            numbers = rng.permutation(len(self._groups)) if options.shuffle else range(len(self._groups))
            yield from (self._groups[number] for number in numbers)

    def _read(self, group: ds.ParquetFileFragment) -> pa.RecordBatch:
        there = group.physical_schema
        columns = [name for name in self._arrow_schema.names if name in there.names]
        try:
            table = group.to_table(schema=there, columns=columns).combine_chunks()
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(group.path, error) from error
        rows = to_tfxio_form(table.to_batches()[0])
        columns = [_column(rows, field, group.path) for field in self._arrow_schema]
        return pa.RecordBatch.from_arrays(columns, schema=self._arrow_schema)


def epochs(options: Any) -> Iterator[int]:
    """The numbers of the epochs that TFX's options ask for; endless for None or a negative number."""
    endless = options.num_epochs is None or options.num_epochs < 0
    return itertools.count() if endless else iter(range(options.num_epochs))


def drops_final_batch(options: Any) -> bool:
    """Whether every batch is full, which is also true if the rows are endless."""
    return options.drop_final_batch or options.num_epochs is None


def _fragment(path: str) -> ds.ParquetFileFragment:
    try:
        fragment = ds.ParquetFileFormat().make_fragment(path, LocalFileSystem())
        fragment.ensure_complete_metadata()
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error
    require_distinct(Path(path), fragment.physical_schema.names)
    return fragment


def _damaged(path: str, error: Exception) -> DataError:
    return DataError(f"{path} is not a readable Parquet file: {error}", fix="write the file again")


def _tfxio_schema(schema: pa.Schema) -> pa.Schema:
    empty = [pa.array([], field.type) for field in schema]
    return to_tfxio_form(pa.RecordBatch.from_arrays(empty, names=schema.names)).schema


def _column(rows: pa.RecordBatch, field: pa.Field, path: str) -> pa.Array:
    column = column_of(rows, field)
    if column.type != field.type:
        raise DataError(
            f"the column {field.name!r} in {path} is {column.type}, the schema says {field.type}",
            fix="train with the schema of these examples (transformed ones have their own)",
        )
    # Parquet calls the values of a list "element", Arrow "item", and parts of tfx_bsl distinguish the two.
    return column.cast(field.type)


def _joined(pool: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(pool).combine_chunks().to_batches()[0]


def _order(pool: list[pa.RecordBatch], options: Any, rng: np.random.Generator) -> np.ndarray:
    rows = sum(batch.num_rows for batch in pool)
    return rng.permutation(rows) if options.shuffle else np.arange(rows)
