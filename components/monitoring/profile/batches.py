"""Batches of a handy size, and the columns of an inference table by the names of the training data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa

from components.inference.columns import INPUT, OUTPUT, REQUEST

ROWS, BYTES = 1 << 17, 64 << 20
"""Limits of a batch: large enough that Python's own time does not count, small enough that memory stays flat."""

_APART = re.compile(r"_(int64|int32|float|double|bool|string|binary|decimal)(_list)*")
"""What the inference table appends to a column's name for values that do not have the column's type."""


def gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about `ROWS` rows or `BYTES` bytes; batches that differ in columns are not joined."""
    held = list[pa.RecordBatch]()
    rows = size = 0
    for batch in (piece for whole in batches for piece in _pieces(whole)):
        if held and (batch.schema != held[0].schema or rows + batch.num_rows > ROWS or size + batch.nbytes > BYTES):
            yield _joined(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if held:
        yield _joined(held)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, ROWS):
        yield batch.slice(start, ROWS)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def is_inference(names: Collection[str], known: Collection[str]) -> bool:
    """Whether columns are those of an inference table, with prefixes.

    Args:
        names: The columns.
        known: The columns of the training data.
    """
    if "request_id" in names:
        return "request_id" not in known
    return any(name.startswith(INPUT) and name not in known and name.removeprefix(INPUT) in known for name in names)


def families(names: Collection[str], known: Collection[str]) -> dict[str, list[str]]:
    """The columns of a batch by the name that they have in the training data.

    Several columns are one if an inference table keeps values of another type apart. Columns of the request are left
    out; those that the training data lack keep their name.
    """
    table = is_inference(names, known)
    found: dict[str, list[str]] = {}
    for column in names:
        if not table or (column.startswith((INPUT, OUTPUT)) and column not in REQUEST.names):
            plain = column.removeprefix(INPUT) if table else column
            found.setdefault(_owner(plain, known) if table else plain, []).append(column)
    return {name: sorted(columns, key=len) for name, columns in found.items()}


def _owner(name: str, known: Collection[str]) -> str:
    """The column whose values of another type a column has, else the column itself."""
    if name in known:
        return name
    return next((name[: end.start()] for end in _APART.finditer(name) if _is_owner(name, end, known)), name)


def _is_owner(name: str, end: re.Match[str], known: Collection[str]) -> bool:
    return end.end() == len(name) and name[: end.start()] in known
