"""Which rows belong to which slice: TFMA's SlicingSpec over columns instead of single examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tensorflow_model_analysis.proto import config_pb2

from components.contract.errors import DataError
from components.evaluator.rows import Rows
from components.upstream import tfma

SliceKey = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Members:
    """Pairs of a row of a batch and the number of a slice that it belongs to."""

    rows: NDArray[Any]
    slices: NDArray[Any]


@dataclass(frozen=True)
class _Matches:
    """Pairs of a row, ascending, and one of the keys that it matches."""

    rows: NDArray[Any]
    codes: NDArray[Any]
    keys: list[SliceKey]


class Slicer:
    """Numbers the slices in the order in which they appear.

    Attributes:
        keys: The slices' keys by number.
    """

    def __init__(self, specs: Iterable[config_pb2.SlicingSpec]) -> None:
        self._specs = list(specs) or [config_pb2.SlicingSpec()]
        self._numbers: dict[SliceKey, int] = {}

    @property
    def keys(self) -> list[SliceKey]:
        """The slices' keys by number."""
        return list(self._numbers)

    @property
    def columns(self) -> set[str]:
        """The columns that the specs name."""
        return {name for spec in self._specs for name in [*spec.feature_keys, *spec.feature_values]}

    def members(self, rows: Rows) -> Members:
        """The rows' slices; a slice that two specs describe counts a row once, and a row may be in many."""
        found, seen = [], set[int]()
        for spec in self._specs:
            matches = _matches(spec, rows)
            numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in matches.keys], np.int64)
            new = np.array([number not in seen for number in numbers], bool)
            seen.update(numbers.tolist())
            kept = new[matches.codes] if len(new) and not new.all() else slice(None)
            found.append((matches.rows[kept], numbers[matches.codes][kept]))
        return Members(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _matches(spec: config_pb2.SlicingSpec, rows: Rows) -> _Matches:
    everything = np.arange(rows.batch.num_rows)
    matches = _Matches(everything, np.zeros_like(everything), [()])
    for name, wanted in tfma.slice_values(spec):
        matches = _both(matches, _with_value(_column(name, rows), name, wanted), len(everything))
    for name in sorted(spec.feature_keys):
        matches = _both(matches, _column(name, rows), len(everything))
    return _Matches(matches.rows, matches.codes, [tuple(sorted(key)) for key in matches.keys])


def _column(name: str, rows: Rows) -> _Matches:
    """The distinct values of each row; none for a missing one. Transformed features go before the raw ones."""
    arrays = [features[name] for features in rows.transformed if name in features]
    if arrays:
        parts = [_from_array(array) for array in arrays]
    elif name in rows.batch.schema.names and not pa.types.is_null(rows.batch.schema.field(name).type):
        parts = [_from_lists(rows.batch.column(name))]
    else:
        return _Matches(np.zeros(0, np.int64), np.zeros(0, np.int64), [])
    owners = np.concatenate([owner for owner, _ in parts])
    encoded = pc.dictionary_encode(pa.concat_arrays([values for _, values in parts]))
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = np.unique(owners * max(len(encoded.dictionary), 1) + codes)
    distinct = max(len(encoded.dictionary), 1)
    return _Matches(pairs // distinct, pairs % distinct, [((name, _text(v, name)),) for v in encoded.dictionary])


def _from_lists(column: pa.Array) -> tuple[NDArray[Any], pa.Array]:
    return pc.list_parent_indices(column).to_numpy(zero_copy_only=False), pc.list_flatten(column)


def _from_array(array: NDArray[Any]) -> tuple[NDArray[Any], pa.Array]:
    flat = array.reshape(len(array), -1)
    return np.repeat(np.arange(len(array)), flat.shape[1]), pa.array(flat.ravel())


def _text(value: pa.Scalar, name: str) -> Any:
    plain = value.as_py()
    if not isinstance(plain, bytes):
        return plain
    try:
        return plain.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"the slice column {name!r} has a value that is not UTF-8: {plain!r}") from error


def _with_value(column: _Matches, name: str, wanted: Any) -> _Matches:
    """The rows that have a value. TFMA takes the config's `5` for a number, which no text equals."""
    accepted = np.array([value == wanted for ((_, value),) in column.keys], bool)
    rows = column.rows[accepted[column.codes]]
    return _Matches(rows, np.zeros_like(rows), [((name, wanted),)])


def _both(one: _Matches, other: _Matches, count: int) -> _Matches:
    """Every pair of keys that a row matches."""
    other_counts = np.bincount(other.rows, minlength=count)
    repeats = other_counts[one.rows]
    first: NDArray[Any] = np.repeat(np.arange(len(one.rows)), repeats)
    within = np.arange(len(first)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    second = (np.cumsum(other_counts) - other_counts)[one.rows][first] + within
    width = max(len(other.keys), 1)
    pairs, codes = np.unique(one.codes[first] * width + other.codes[second], return_inverse=True)
    keys = [one.keys[pair // width] + other.keys[pair % width] for pair in pairs]
    return _Matches(one.rows[first], codes, keys)
