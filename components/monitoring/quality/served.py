"""The answers in a window, with their labels: what the quality is computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.contract.errors import DataError
from components.inference.columns import INPUT, OUTPUT
from components.monitoring.labels.columns import LABEL, outcomes

REQUEST = "request"
"""The column with the request's number in the window: rows of a request are not independent of each other."""

_KNOWN = ["request_id", "row", "version", "share"]


@dataclass(frozen=True)
class Served:
    """The answers of one version.

    Attributes:
        rows: The rows: inputs, outputs, the share, and the request's number.
        labelled: Those of them with a label, and their outcomes, `label_<name>`.
    """

    rows: pa.Table
    labelled: pa.Table


def by_version(batches: Iterable[pa.RecordBatch], labels: pa.Table) -> dict[int, Served]:
    """The successful answers of each version, with their labels."""
    kept = [_answered(batch) for batch in batches]
    kept = [batch for batch in kept if batch.num_rows]
    if not kept:
        return {}
    table = pa.concat_tables([pa.Table.from_batches([b]) for b in kept], promote_options="permissive").combine_chunks()
    table = table.append_column(REQUEST, pc.dictionary_encode(table["request_id"]).combine_chunks().indices)
    joined = _joined(table, labels)
    return {
        version: Served(_of_version(table, version), _of_version(joined, version))
        for version in sorted(pc.unique(table["version"]).to_pylist())
    }


def _of_version(table: pa.Table, version: int) -> pa.Table:
    return table.filter(pc.equal(table["version"], version))


def _answered(batch: pa.RecordBatch) -> pa.RecordBatch:
    names = [name for name in batch.schema.names if name in _KNOWN or name.startswith((INPUT, OUTPUT))]
    answered = pc.is_valid(batch.column("version"))
    if "status" in batch.schema.names:
        answered = pc.and_(answered, pc.fill_null(pc.equal(batch.column("status"), "OK"), False))
    has_output = [pc.is_valid(batch.column(name)) for name in names if name.startswith(OUTPUT)]
    for valid in has_output[:1]:
        answered = pc.and_(answered, valid)
    return batch.select(names).filter(answered)


def _joined(table: pa.Table, labels: pa.Table) -> pa.Table:
    """The rows with a label; a label belongs to every version that answered the request."""
    names = outcomes(labels.column_names)
    keys = pa.table({"request_id": table["request_id"], "row": table["row"], "place": np.arange(table.num_rows)})
    if not names or not labels.num_rows:
        return table.slice(0, 0)
    found = keys.join(labels.select(["request_id", "row", *names]), ["request_id", "row"], join_type="inner")
    found = found.sort_by("place")
    joined = table.take(found["place"])
    for name in names:
        joined = joined.append_column(name, found[name])
    return joined


def weights(table: pa.Table) -> NDArray[np.float64] | None:
    """How many requests each row stands for, relative to the others; None if it is the same for all."""
    if "share" not in table.column_names or not table.num_rows:
        return None
    share = table["share"].fill_null(1.0).to_numpy()
    if share.min() == share.max():
        return None
    many: NDArray[np.float64] = share.max() / share
    return many


def features(table: pa.Table) -> pa.RecordBatch:
    """Inputs and outcomes in TFXIO's form: lists of int64, float32 or bytes; an outcome hides an input."""
    columns = {name.removeprefix(INPUT): table[name] for name in table.column_names if name.startswith(INPUT)}
    columns |= {name.removeprefix(LABEL): table[name] for name in outcomes(table.column_names)}
    arrays = {name: _as_feature(column.combine_chunks()) for name, column in columns.items()}
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _as_feature(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_null(column.type):
        return column
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        lists = column.cast(pa.large_list(column.type.value_type))
        return lists.cast(pa.large_list(_feature_type(column.type.value_type)))
    values = column.cast(_feature_type(column.type))
    offsets = np.concatenate([[0], np.cumsum(np.asarray(values.is_valid()))])
    mask = pa.array(np.asarray(values.is_null()))
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values.drop_null(), mask=mask)


def _feature_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_floating(kind):
        return pa.float32()
    return pa.int64() if pa.types.is_integer(kind) or pa.types.is_boolean(kind) else pa.large_binary()


def outputs(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The outputs as arrays, (rows, values).

    Raises:
        DataError: An output has another number of values in some rows.
    """
    names = [name for name in table.column_names if name.startswith(OUTPUT)]
    return {name.removeprefix(OUTPUT): matrix(table[name], name) for name in names if _has_values(table[name])}


def _has_values(column: pa.ChunkedArray) -> bool:
    return not pa.types.is_null(column.type) and column.null_count < len(column)


def matrix(column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    """A column as (rows, values); raises DataError if rows have different numbers of values."""
    array: Any = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return values.reshape(len(array), -1) if len(array) else np.empty((0, 1))
    lengths = pc.list_value_length(array)
    if array.null_count or pc.min(lengths) != pc.max(lengths):
        raise DataError(f"{name} has rows with different numbers of values", fix="name an output of a fixed shape")
    flat: NDArray[Any] = pc.list_flatten(array).to_numpy(zero_copy_only=False)
    return flat.reshape(len(array), -1) if len(array) else np.empty((0, 1))
