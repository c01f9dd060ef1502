"""The groups in which columns are tested: at most 64 or so a column, and few rows in none of them.

Numbers: neighbouring bins, each group about 1/64 of the training data. Categories: those with at least 1/64 of the
training data are a group each; the others are spread over the remaining groups by a hash. Were they grouped by how
frequent they are, those that chance made rare in the training data would be together, and would seem to have become
more frequent in every window.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.monitoring.summaries import Summary

Array: TypeAlias = NDArray[np.float64]
_GROUPS = 64
WIDTH = 2 * _GROUPS
"""The most groups that a column can have."""


@dataclass(frozen=True)
class Grouping:
    """How a column's bins are put in groups.

    Attributes:
        group: The group of each bin, (bins.size,).
        tail: The share of each group in the values that training has once, (WIDTH,); sums to 1.
        once: The number of values that training has once, or that its bins leave out.
        twice: The number of values that training has twice.
        expected: The share of a window's values that are expected to be unseen: these, of all (Good-Turing).
    """

    group: NDArray[np.intp]
    tail: Array
    once: float
    twice: float
    expected: float


def grouping(column: Summary) -> Grouping:
    """The groups of a column."""
    counts = column.counts.astype(float)
    if column.bins.kind == "number":
        return Grouping(_of_numbers(counts), np.zeros(WIDTH), 0.0, 0.0, 0.0)
    group = _of_categories(column, counts)
    singles = np.bincount(group, counts == 1, minlength=WIDTH)
    tail = singles if singles.any() else np.bincount([group.max(initial=-1) + 1], minlength=WIDTH).astype(float)
    once = float(singles.sum() + column.unseen_count)
    return Grouping(group, tail / tail.sum(), once, float((counts == 2).sum()), once / max(column.values, 1))


def _of_numbers(counts: Array) -> NDArray[np.intp]:
    middle = (counts.cumsum() - counts / 2) / max(counts.sum(), 1.0)
    return np.unique(np.floor(middle * _GROUPS), return_inverse=True)[1].reshape(-1)


def _of_categories(column: Summary, counts: Array) -> NDArray[np.intp]:
    total = max(counts.sum(), 1.0)
    alone = counts * _GROUPS >= total
    group = alone.cumsum() - 1
    buckets = max(1, min(_GROUPS // 2, int(counts[~alone].sum() * _GROUPS / total)))
    hashes = [zlib.crc32(column.bins.values[index].encode()) % buckets for index in np.flatnonzero(~alone)]
    group[~alone] = int(alone.sum()) + np.array(hashes, dtype=np.intp)
    return group


@dataclass(frozen=True)
class Counts:
    """Columns in groups.

    Attributes:
        values: (columns, WIDTH).
        rows: (columns,), as the others.
        missing: Rows without a value or with one that is not a number.
        wrong: Rows with another type or shape.
        unseen: Values that the bins leave out.
        seen: All values.
    """

    values: Array
    rows: Array
    missing: Array
    wrong: Array
    unseen: Array
    seen: Array


def count(groupings: Mapping[str, Grouping], columns: Mapping[str, Summary], *, training: bool) -> Counts:
    """Columns in groups.

    Args:
        groupings: The groups by column.
        columns: The summaries; those without groups are left out.
        training: Whether the window is compared with training. Then unseen values count in the tail only as far as they
            are expected: what is more than that has a test of its own.
    """
    names = [name for name in groupings if name in columns]
    found = [columns[name] for name in names]
    values = np.stack([_grouped(groupings[name], columns[name]) for name in names]) if names else np.zeros((0, WIDTH))
    rows = _floats(column.rows for column in found)
    unseen = _floats(column.unseen_count for column in found)
    seen = values.sum(-1) + unseen
    tails = np.stack([groupings[name].tail for name in names]) if names else np.zeros((0, WIDTH))
    expected = _floats(groupings[name].expected for name in names) if training else np.ones(len(names))
    values = values + tails * np.minimum(unseen, seen * expected)[:, None]
    # Several values in one row are one observation: they depend on each other.
    scale = np.minimum(1.0, rows / np.maximum(seen, 1.0))
    return Counts(
        values=values * scale[:, None],
        rows=rows,
        missing=np.minimum(_floats(column.missing + column.nans for column in found), rows),
        wrong=np.minimum(_floats(column.type_errors + column.shape_errors for column in found), rows),
        unseen=unseen * scale,
        seen=seen * scale,
    )


def _grouped(groups: Grouping, column: Summary) -> Array:
    return np.bincount(groups.group, column.counts, minlength=WIDTH)


def _floats(values: Iterable[float]) -> Array:
    return np.fromiter(values, dtype=float)
