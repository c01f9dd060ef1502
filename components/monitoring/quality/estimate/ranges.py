"""Whether rows are like those that an estimate has learned from: inside the ranges of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.inference.columns import INPUT, OUTPUT, is_output

Ranges = Mapping[str, tuple[float, float]]
"""The least and the greatest value of each column with one number a row, inputs without their prefix."""

MOST, _LEAST_ROWS = 0.05, 3
"""An estimate is not to be trusted if more of its rows, and at least so many, are beyond the range of a column."""


@dataclass(frozen=True)
class Beyond:
    """How many rows an estimate has that its calibration knows nothing of.

    Attributes:
        column: The column with the most such rows; empty if no column has any.
        share: Their share of all rows.
        is_trusted: Whether the estimate is to be trusted.
    """

    column: str = ""
    share: float = 0.0
    is_trusted: bool = True


def ranges(rows: pa.Table) -> dict[str, tuple[float, float]]:
    """The ranges of columns with numbers."""
    found: dict[str, tuple[float, float]] = {}
    for name in rows.column_names:
        if (values := _numbers(rows, name)) is not None and (finite := values[np.isfinite(values)]).size:
            found[_plain(name)] = float(finite.min()), float(finite.max())
    return found


def outside(known: Ranges, rows: pa.Table) -> dict[str, NDArray[np.bool_]]:
    """By column, which rows are beyond its range; a missing value is not."""
    found: dict[str, NDArray[np.bool_]] = {}
    for name in rows.column_names:
        if _plain(name) in known and (values := _numbers(rows, name)) is not None:
            low, high = known[_plain(name)]
            found[_plain(name)] = (values < low) | (values > high)
    return found


def beyond(found: Mapping[str, NDArray[np.bool_]], rows: NDArray[np.int64]) -> Beyond:
    """How far some rows are beyond the ranges."""
    counts = {name: int(flags[rows].sum()) for name, flags in found.items()}
    column = max(counts, key=lambda name: counts[name], default="")
    if not column or not counts[column]:
        return Beyond()
    share = counts[column] / len(rows)
    return Beyond(column, share, share <= MOST or counts[column] < _LEAST_ROWS)


def _plain(name: str) -> str:
    return name if is_output(name) else name.removeprefix(INPUT)


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64] | None:
    """A column with one number a row, missing ones as NaN; None for others."""
    kind = rows.schema.field(name).type
    if not name.startswith((INPUT, OUTPUT)) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    values: NDArray[np.float64] = pc.cast(rows[name], pa.float64(), safe=False).to_numpy()
    return values
