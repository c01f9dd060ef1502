"""What is done to a column: an action takes an Arrow array of values and returns another of the same length.

A value that an action cannot take, such as a string that has to be rounded, becomes null: what cannot be protected is
not written.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.inference.privacy.keys import Keys

_TIMES = {"hour": (3600, 13), "day": (86400, 10)}
"""Seconds, and the characters of an ISO 8601 string."""
_ALMOST = 1e-9
_TIME = r"^\d{4}-\d{2}-\d{2}"


class Action(Protocol):
    """What is done to a column's values."""

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """The values after the action."""


@dataclass(frozen=True)
class Keep:
    """Writes the values as they are, whatever the schema's mark says."""

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        return values


@dataclass(frozen=True)
class Drop:
    """Writes no value."""

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        return pa.nulls(len(values), values.type)


@dataclass(frozen=True)
class Cut:
    """Keeps the first characters of strings, or rounds numbers down to a multiple.

    Attributes:
        to: The number of characters, or the step.
    """

    to: float

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        return _prefix(values, int(self.to)) if _is_text(values.type) else _floored(values, self.to)


@dataclass(frozen=True)
class Step:
    """Rounds numbers down to a multiple of a step."""

    step: float

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        return _floored(values, self.step)


@dataclass(frozen=True)
class Digits:
    """Rounds numbers, such as coordinates, to some decimals."""

    digits: int

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        if not _is_number(values.type):
            return _nulls(values)
        return _numbers(np.round(_floats(values), self.digits), values)


@dataclass(frozen=True)
class Intervals:
    """Replaces numbers by the interval that they are in, as a string: `<18`, `18-30`, `>=30`."""

    edges: tuple[float, ...]

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        if not _is_number(values.type):
            return pa.nulls(len(values), pa.string())
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        index = np.searchsorted(np.array(self.edges), numbers, side="right")
        return pa.array(self.names).take(pa.array(index, mask=np.isnan(numbers)))

    @property
    def names(self) -> list[str]:
        """The intervals."""
        edges = [f"{edge:g}" for edge in self.edges]
        inner = [f"{low}-{high}" for low, high in itertools.pairwise(edges)]
        return [f"<{edges[0]}", *inner, f">={edges[-1]}"]


@dataclass(frozen=True)
class Time:
    """Rounds times down to the hour or day, in UTC: timestamps, Unix times, or strings in ISO 8601.

    A Unix time is in seconds, or by its size in milli-, micro- or nanoseconds.
    """

    unit: str

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        if pa.types.is_temporal(values.type):
            return pc.floor_temporal(values, unit=self.unit)
        seconds, characters = _TIMES[self.unit]
        if _is_text(values.type):
            short = _prefix(values, characters)
            is_time = pc.match_substring_regex(_as_string(short), _TIME)
            return pc.if_else(is_time, short, pa.scalar(None, short.type))
        return _by_size(values, seconds) if _is_number(values.type) else _nulls(values)


@dataclass(frozen=True)
class Prefix:
    """Keeps the first characters of strings, such as those of a postcode."""

    characters: int

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        return _prefix(values, self.characters) if _is_text(values.type) else _nulls(values)


@dataclass(frozen=True)
class Mapped:
    """Replaces values by others of a mapping.

    Attributes:
        mapping: The new value by the old one.
        other: What replaces values that are not in the mapping; null if it is None.
    """

    mapping: Mapping[str, str]
    other: str | None = None

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        coded = _text(values).dictionary_encode()
        new = [None if old is None else self.mapping.get(old, self.other) for old in coded.dictionary.to_pylist()]
        return pa.array(new, pa.string()).take(coded.indices)


@dataclass(frozen=True)
class Hash:
    """Replaces values by their keyed hash."""

    def __call__(self, values: pa.Array, keys: Keys | None) -> pa.Array:
        """See `Action`."""
        if keys is None:
            return pa.nulls(len(values), pa.string())
        coded = _bytes(values).dictionary_encode()
        new = [None if old is None else keys.hashed(old) for old in coded.dictionary.to_pylist()]
        return pa.array(new, pa.string()).take(coded.indices)


def applied(action: Action, column: pa.Array, keys: Keys | None) -> pa.Array:
    """An action applied to every value of a column, in lists of any depth as well."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return applied(action, column.cast(kind.value_type), keys)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return action(column, keys) if _is_plain(kind) else pa.nulls(len(column), pa.string())
    inner = applied(action, column.flatten(), keys)
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    mask = column.is_null() if column.null_count else None
    made = pa.LargeListArray.from_arrays(offsets, inner, mask=mask)
    return made if pa.types.is_large_list(kind) else made.cast(pa.list_(inner.type))


def text(value: object) -> str:
    """A value as the text that is hashed: the same for 7 and "7", and for 7.5 and "7.5"."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    is_whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
    return str(int(value)) if is_whole else str(value)  # type: ignore[call-overload]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_binary(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(_is_text(kind) or _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind))


def _nulls(values: pa.Array) -> pa.Array:
    return pa.nulls(len(values), values.type)


def _prefix(values: pa.Array, characters: int) -> pa.Array:
    if not _is_binary(values.type):
        return pc.utf8_slice_codeunits(values, 0, characters)
    try:
        return pc.utf8_slice_codeunits(values.cast(pa.large_string()), 0, characters).cast(values.type)
    except pa.ArrowInvalid:  # some are not UTF-8
        cut = [None if each is None else text(each)[:characters] for each in values.to_pylist()]
        return pa.array([each and each.encode("utf-8", "surrogateescape") for each in cut], values.type)


def _floored(values: pa.Array, step: float) -> pa.Array:
    if not _is_number(values.type):
        return _nulls(values)
    if pa.types.is_integer(values.type) and step == int(step):
        return _floored_integers(values, int(step))
    # 0.3 / 0.1 is 2.9999999999999996, and 3 x 0.1 is 0.30000000000000004, but 3 / 10 is 0.3.
    steps = np.floor(_floats(values) / step + _ALMOST)
    parts = round(1 / step)
    is_part = parts > 0 and abs(parts * step - 1) < _ALMOST
    return _numbers(steps / parts if is_part else steps * step, values)


def _floats(values: pa.Array) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _numbers(made: NDArray[Any], values: pa.Array) -> pa.Array:
    """Numbers that were made of values, with their type and nulls."""
    missing = values.is_null().to_numpy(zero_copy_only=False)
    return pa.array(np.where(missing, 0, made), mask=missing).cast(values.type, safe=False)


def _floored_integers(values: pa.Array, step: int) -> pa.Array:
    whole = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    return _numbers(whole // step * step, values)


def _by_size(values: pa.Array, seconds: int) -> pa.Array:
    numbers = _floats(values)
    size = np.abs(np.nan_to_num(numbers))
    steps = np.select([size < 1e11, size < 1e14, size < 1e17], [1, 10**3, 10**6], 10**9) * seconds
    if pa.types.is_floating(values.type):
        return _numbers(np.floor(numbers / steps) * steps, values)
    whole = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return _numbers(whole // steps * steps, values)


def _as_string(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.nulls(len(values), pa.large_string())


def _text(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return values
    # Bytes that are no UTF-8 stay what they are in no mapping.
    new = [None if each is None else text(each).encode(errors="replace") for each in values.to_pylist()]
    return pa.array(new, pa.large_binary()).cast(pa.large_string())


def _bytes(values: pa.Array) -> pa.Array:
    if _is_text(values.type):
        return values.cast(pa.large_binary())
    coded = values.dictionary_encode()
    new = [None if each is None else text(each).encode() for each in coded.dictionary.to_pylist()]
    return pa.array(new, pa.large_binary()).take(coded.indices)
