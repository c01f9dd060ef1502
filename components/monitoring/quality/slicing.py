"""The rows of the EvalConfig's slices without TensorFlow: for counts and estimates.

Labels are evaluated with the evaluator's own slicer, which also has transformed features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.inference.columns import INPUT

Rows: TypeAlias = NDArray[np.int64]


def slices(eval_config: Mapping[str, Any], table: pa.Table) -> dict[str, Rows]:
    """The places of the rows of every slice; slices by columns that are no inputs are left out."""
    specs = eval_config.get("slicing_specs") or eval_config.get("slicingSpecs") or [{}]
    found: dict[str, Rows] = {}
    for spec in specs:
        for key, rows in _of_spec(spec, table):
            found.setdefault(",".join(f"{column}:{value}" for column, value in key), rows)
    return found


def sizes(eval_config: Mapping[str, Any], table: pa.Table) -> dict[str, int]:
    """The number of rows of every slice."""
    return {name: len(rows) for name, rows in slices(eval_config, table).items()}


def _of_spec(spec: Mapping[str, Any], table: pa.Table) -> Iterator[tuple[tuple[tuple[str, str], ...], Rows]]:
    keys = spec.get("feature_keys") or spec.get("featureKeys") or []
    values = spec.get("feature_values") or spec.get("featureValues") or {}
    wanted: dict[str, str | None] = {**dict.fromkeys(keys), **{name: str(value) for name, value in values.items()}}
    if any(INPUT + name not in table.column_names for name in wanted):
        return
    yield from _crossed(sorted(wanted.items()), table, (), np.arange(table.num_rows))


def _crossed(
    wanted: list[tuple[str, str | None]], table: pa.Table, key: tuple[tuple[str, str], ...], rows: Rows
) -> Iterator[tuple[tuple[tuple[str, str], ...], Rows]]:
    if not wanted:
        yield key, rows
        return
    (name, value), *rest = wanted
    for text, own in _values(table[INPUT + name].take(pa.array(rows))).items():
        if value in (None, text):
            yield from _crossed(rest, table, (*key, (name, text)), rows[own])


def _values(column: pa.ChunkedArray) -> dict[str, Rows]:
    """The places of each value, once a row."""
    array: Any = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_null(array.type):
        return {}
    parents = np.arange(len(array))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        parents, array = pc.list_parent_indices(array).to_numpy(), pc.list_flatten(array)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    encoded = array.filter(pa.array(valid)).dictionary_encode()
    if not len(encoded.dictionary):
        return {}
    codes, parents = encoded.indices.to_numpy(), parents[valid]
    order = np.argsort(codes, kind="stable")
    parts = np.split(parents[order], np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))[:-1])
    return {_text(value.as_py()): np.unique(part) for value, part in zip(encoded.dictionary, parts, strict=True)}


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
