"""TFRecord files of tf.Example as Arrow: a first pass determines the features and types, a second reads the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from components.contract.errors import DataError
from components.data import examples


class TfrecordSource:
    """TFRecord files, plain or gzipped; a feature that a record lacks is a missing value.

    Args:
        files: The files.
        settled: The types of each file's features, if they are already known: the `settled_types` of a source for that
            file alone. Then the records are not scanned again.

    Raises:
        DataError: The data are wrong; names the file, and the records or the feature.
    """

    notes: list[str] = []

    def __init__(self, files: Sequence[Path], settled: Sequence[Mapping[str, pa.DataType]] | None = None) -> None:
        types: dict[str, pa.DataType] = {}
        for number, file in enumerate(files):
            if settled is None:
                _settle(file, types)
            else:
                _join(file, types, settled[number])
        # The features of a tf.Example have no order.
        self.settled_types = dict(sorted(types.items()))

    @property
    def schema(self) -> pa.Schema:
        """The columns and types of every batch."""
        return pa.schema(list(self.settled_types.items()))

    def read(self, file: Path) -> Iterator[pa.RecordBatch]:
        """Streams the rows of one of the files."""
        yield from map(self._conformed, examples.read_tf_examples(file, is_checked=True))

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        there = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = [
            there[name].cast(kind) if name in there else pa.nulls(batch.num_rows, kind)
            for name, kind in self.settled_types.items()
        ]
        return pa.RecordBatch.from_arrays(columns, names=list(self.settled_types))


def _settle(file: Path, types: dict[str, pa.DataType]) -> None:
    empty = True
    for batch in examples.read_tf_examples(file):
        empty = False
        _join(file, types, dict(zip(batch.schema.names, batch.schema.types, strict=True)))
    if empty:
        raise DataError(f"{file} is empty", fix="remove it, or write the file again")


def _join(file: Path, types: dict[str, pa.DataType], others: Mapping[str, pa.DataType]) -> None:
    for name, kind in others.items():
        known = types.setdefault(name, kind)
        if pa.types.is_null(known):
            types[name] = kind
        elif kind not in (known, pa.null()):
            raise DataError(
                f"{file}: the feature {name!r} is {kind.value_type}, but {known.value_type} in earlier records",
                fix="write every feature with a single type",
            )
