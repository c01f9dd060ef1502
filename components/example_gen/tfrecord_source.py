"""TFRecord files of tf.Example as Arrow: one pass settles the features and their types, a second reads the values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from components import examples
from components.errors import DataError


class TfrecordSource:
    """TFRecord files, plain or gzip; a feature that some records lack is missing there.

    Raises:
        DataError: Names the file and the records, or the feature, that are wrong.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        types: dict[str, pa.DataType] = {}
        for file in files:
            _settle(file, types)
        # A tf.Example has no order of its own.
        self._types = dict(sorted(types.items()))

    def read(self, file: Path) -> Iterator[pa.RecordBatch]:
        """Streams the rows of one of the files."""
        yield from map(self._conformed, examples.read_tf_examples(file))

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        there = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = [
            there[name].cast(kind) if name in there else pa.nulls(batch.num_rows, kind)
            for name, kind in self._types.items()
        ]
        return pa.RecordBatch.from_arrays(columns, names=list(self._types))


def _settle(file: Path, types: dict[str, pa.DataType]) -> None:
    empty = True
    for batch in examples.read_tf_examples(file):
        empty = False
        for field in batch.schema:
            known = types.setdefault(field.name, field.type)
            if pa.types.is_null(known):
                types[field.name] = field.type
            elif field.type not in (known, pa.null()):
                raise DataError(
                    f"{file}: the feature {field.name!r} is {field.type.value_type}, and {known.value_type} in records "
                    "before",
                    mend="write every feature with one type",
                )
    if empty:
        raise DataError(f"{file} is empty", mend="remove it, or write the file again")
