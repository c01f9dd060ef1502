"""Assigns rows to splits: by the hash of their values, by file, or by a column."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pandas.util import hash_array

from components.contract.errors import DataError, UserError
from components.data import examples

NO_SPLIT = -1
_HASHES = ("values", "tfx")


class Splits(Protocol):
    """A rule that assigns rows to splits.

    Attributes:
        names: The splits, in order.
        files: The files to read.
    """

    names: list[str]
    files: list[Path]

    def assign(self, file: Path, batch: pa.RecordBatch) -> np.ndarray:
        """The number of each row's split, an index into `names`, or `NO_SPLIT`."""
        ...


def make_splits(
    root: Path,
    files: list[Path],
    *,
    shares: Mapping[str, float],
    split_hash: str,
    patterns: Mapping[str, str],
    column: str,
    bounds: Mapping[str, Any],
) -> Splits:
    """The rule from a stage's settings: patterns, a column with bounds, or else shares.

    Raises:
        UserError: The settings contradict each other, or a split's name is invalid.
        DataError: A pattern matches no file.
    """
    if bool(column) != bool(bounds):
        raise UserError("split_column and split_bounds must be used together", fix="set both or neither")
    if patterns and column:
        raise UserError("split_patterns and split_column exclude each other", fix="set only one of them")
    for name in patterns or bounds or shares:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"{name!r} is not a valid name for a split", fix="use letters, digits, _, - and .")
    if patterns:
        return PatternSplits(root, files, patterns)
    return ColumnSplits(files, column, bounds) if column else HashSplits(files, shares, split_hash)


class HashSplits:
    """Splits by the hash of a row's values: each split gets its share of the rows, and equal rows the same split.

    The hash `values` depends only on the names and values of the features that are present, and not on the order of
    columns or rows, the batch size, the input or payload format, or the process. TFX hashes a row's serialized
    tf.Example instead, so it may assign a row to a different split. The hash `tfx` is TFX's, for comparisons with its
    CsvExampleGen row by row; it has to encode every row.
    """

    def __init__(self, files: list[Path], shares: Mapping[str, float], split_hash: str) -> None:
        whole = [_whole_number(share) for share in shares.values()]
        if not whole or min(whole) < 1:
            raise UserError(f"splits is {dict(shares)}", fix="use positive integers as shares: {'train': 2, 'eval': 1}")
        if split_hash not in _HASHES:
            raise UserError(f"split_hash is {split_hash!r}", fix=f"use one of {', '.join(_HASHES)}")
        self.names, self.files = list(shares), files
        self._ends = list(itertools.accumulate(whole))
        self._assign = self._by_tfx if split_hash == "tfx" else self._by_values

    def assign(self, file: Path, batch: pa.RecordBatch) -> np.ndarray:
        """The number of each row's split."""
        return self._assign(batch)

    def _by_values(self, batch: pa.RecordBatch) -> np.ndarray:
        buckets = row_hashes(batch) % np.uint64(self._ends[-1])
        numbers: np.ndarray = np.array(self._ends).searchsorted(buckets, side="right")
        return numbers

    def _by_tfx(self, batch: pa.RecordBatch) -> np.ndarray:
        digests = (int.from_bytes(hashlib.sha256(record).digest(), "big") for record in _as_tfx_records(batch))
        numbers: np.ndarray = np.array([bisect.bisect(self._ends, digest % self._ends[-1]) for digest in digests])
        return numbers


def _whole_number(share: Any) -> int:
    """A share as an integer; 0 if it is not one. Kubeflow passes a pipeline parameter inside a map as a string."""
    try:
        number = float(share)
    except (TypeError, ValueError):
        return 0
    return int(number) if number.is_integer() else 0


def row_hashes(batch: pa.RecordBatch) -> np.ndarray:
    """A uint64 hash for each row of a batch in TFXIO's form; rows with equal features have equal hashes.

    The hash sums over the row's values a hash of the feature's name, the value and its index in the list. So a null
    and an absent column are equivalent. pandas' hashes of values are the same in every process.
    """
    hashes = np.zeros(batch.num_rows, np.uint64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_null(column.type):
            continue
        seed = hash_array(np.array([name.encode()], object), categorize=False)
        rows, places = _places(column)
        values = hash_array(_canonical(column.flatten()), categorize=False)
        np.add.at(hashes, rows, hash_array(values + hash_array(seed + places)))
        empty = column.is_valid().to_numpy(zero_copy_only=False) & (np.diff(column.offsets.to_numpy()) == 0)
        hashes[empty] += seed
    mixed: np.ndarray = hash_array(hashes)
    return mixed


def _places(column: pa.LargeListArray) -> tuple[np.ndarray, np.ndarray]:
    """For each value in a column of lists, its row and its index in the row's list."""
    rows = pc.list_parent_indices(column).to_numpy()
    offsets = column.offsets.to_numpy()
    return rows, (np.arange(len(rows)) - (offsets[rows] - offsets[0])).astype(np.uint64)


def _canonical(values: pa.Array) -> np.ndarray:
    """Values as a NumPy array; equal floats get equal bits."""
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind != "f":
        return array
    array = array + np.float32(0)  # -0.0 becomes 0.0
    array[np.isnan(array)] = np.nan
    return array


def _as_tfx_records(batch: pa.RecordBatch) -> list[bytes]:
    """The rows as TFX's CsvExampleGen would serialize them: a missing value is an empty list there."""
    columns = [c if pa.types.is_null(c.type) else c.fill_null(pa.scalar([], c.type)) for c in batch.columns]
    return examples.encode_tf_examples(pa.RecordBatch.from_arrays(columns, names=batch.schema.names))


class PatternSplits:
    """Splits by file: each split has a glob relative to the input path; files that match none are not read."""

    def __init__(self, root: Path, files: list[Path], patterns: Mapping[str, str]) -> None:
        self.names = list(patterns)
        if not root.is_dir():
            raise UserError(f"split_patterns needs a folder, but {root} is a file", fix="set input_path to its folder")
        self._number: dict[Path, int] = {}
        for number, (name, pattern) in enumerate(patterns.items()):
            matched = set(root.glob(pattern)) & set(files)
            if not matched:
                raise DataError(f"the split {name!r}: no file in {root} matches {pattern!r}", fix="fix the pattern")
            for file in matched & self._number.keys():
                other = self.names[self._number[file]]
                raise UserError(f"{file} is in the splits {other!r} and {name!r}", fix="make the patterns disjoint")
            self._number.update(dict.fromkeys(matched, number))
        self.files = sorted(self._number)

    def assign(self, file: Path, batch: pa.RecordBatch) -> np.ndarray:
        """The number of each row's split."""
        numbers: np.ndarray = np.full(batch.num_rows, self._number[file])
        return numbers


class ColumnSplits:
    """Splits by a column: each split has keys, or a range of times or numbers, `from` inclusive and `to` exclusive.

    Times are ISO 8601, and UTC unless they have a time zone. In a column of numbers they mean seconds since 1970; in a
    column of strings, the strings are parsed as times too. Rows without a value or outside all bounds are in no split.
    """

    def __init__(self, files: list[Path], column: str, bounds: Mapping[str, Any]) -> None:
        self.names, self.files = list(bounds), files
        self._column = column
        self._keys = {name: keys for name, keys in bounds.items() if isinstance(keys, list)}
        self._ranges = {name: _range(name, limits) for name, limits in bounds.items() if name not in self._keys}
        if self._keys and self._ranges:
            raise UserError("split_bounds mixes keys and ranges", fix="use a list for every split, or ranges only")
        _require_disjoint_keys(self._keys)
        _require_disjoint_ranges(self._ranges)

    def assign(self, file: Path, batch: pa.RecordBatch) -> np.ndarray:
        """The number of each row's split."""
        numbers: np.ndarray = np.full(batch.num_rows, NO_SPLIT)
        where, values = self._values(file, batch)
        for number, name in enumerate(self.names):
            chosen = self._has_key(values, name) if self._keys else self._in_range(file, values, name)
            numbers[where[chosen]] = number
        return numbers

    def _values(self, file: Path, batch: pa.RecordBatch) -> tuple[np.ndarray, pa.Array]:
        if self._column not in batch.schema.names:
            there = ", ".join(batch.schema.names)
            raise UserError(f"split_column {self._column!r} is not a column of {file}", fix=f"its columns are {there}")
        column = batch.column(self._column)
        if pa.types.is_null(column.type):
            return np.array([], int), pa.array([], pa.int64())
        if (pc.max(pc.list_value_length(column)).as_py() or 0) > 1:
            raise DataError(f"{file}, column {self._column!r}: a row has several values", fix="split by another column")
        return pc.list_parent_indices(column).to_numpy(), column.flatten()

    def _has_key(self, values: pa.Array, name: str) -> np.ndarray:
        try:
            keys = pa.array(self._keys[name]).cast(values.type)
        except pa.ArrowInvalid as error:
            raise UserError(
                f"split_bounds[{name!r}] does not fit the column {self._column!r}: {error}",
                fix=f"use keys of the type {values.type}",
            ) from error
        chosen: np.ndarray = pc.is_in(values, keys).to_numpy(zero_copy_only=False)
        return chosen

    def _in_range(self, file: Path, values: pa.Array, name: str) -> np.ndarray:
        low, high = self._ranges[name]
        are_strings = pa.types.is_large_binary(values.type)
        numbers = self._seconds(file, values) if are_strings else values.to_numpy()
        chosen: np.ndarray = (low <= numbers) & (numbers < high)
        return chosen

    def _seconds(self, file: Path, values: pa.Array) -> np.ndarray:
        encoded = values.dictionary_encode()
        try:
            seconds = [_seconds(text.decode()) for text in encoded.dictionary.to_pylist()]
        except ValueError as error:
            raise DataError(
                f"{file}, column {self._column!r}: {error}",
                fix="write the times as 2014-05-16 or 2014-05-16T19:45:00Z",
            ) from error
        taken: np.ndarray = np.array(seconds)[encoded.indices.to_numpy()]
        return taken


def _range(name: str, limits: Any) -> tuple[float, float]:
    if not isinstance(limits, dict) or not limits or limits.keys() - {"from", "to"}:
        raise UserError(f"split_bounds[{name!r}] is {limits!r}", fix='use {"from": ..., "to": ...}, or a list of keys')
    low, high = (_bound(name, limits.get(end, default)) for end, default in (("from", -math.inf), ("to", math.inf)))
    if low >= high:
        raise UserError(f"split_bounds[{name!r}]: from is not before to", fix="from is inclusive, to is exclusive")
    return low, high


def _bound(name: str, limit: Any) -> float:
    try:
        # Compiled pipelines store every number as a double; converting integers back makes comparisons exact.
        number = _seconds(limit) if isinstance(limit, str) else limit
        return int(number) if math.isfinite(number) and number == int(number) else float(number)
    except (ValueError, TypeError) as error:
        raise UserError(f"split_bounds[{name!r}]: {error}", fix="use a number or an ISO 8601 time") from error


def _seconds(text: str) -> float:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _require_disjoint_keys(keys: Mapping[str, Sequence[Any]]) -> None:
    for (name, some), (other, others) in itertools.combinations(keys.items(), 2):
        if shared := [key for key in some if key in others]:
            raise UserError(
                f"split_bounds has the key {shared[0]!r} in {name!r} and in {other!r}",
                fix="assign each key to one split only",
            )


def _require_disjoint_ranges(ranges: Mapping[str, tuple[float, float]]) -> None:
    ordered = sorted(ranges.items(), key=lambda item: item[1])
    for (name, (_, high)), (other, (low, _)) in itertools.pairwise(ordered):
        if low < high:
            raise UserError(f"split_bounds: the ranges of {name!r} and {other!r} overlap", fix="make them disjoint")
