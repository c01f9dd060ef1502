"""Counts the numbers of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.monitoring.profile.counting.distinct import Distinct, number_hashes
from components.monitoring.profile.counting.moments import Moments
from components.monitoring.profile.prepared import Prepared
from components.monitoring.summaries import Bins

_CHUNK = 1 << 16
"""Numbers that are sorted at once: they stay in the processor's cache."""


class Numbers:
    """Counts numbers in bins.

    To sort the numbers and look the edges up in them takes a third of the time of the opposite.
    """

    def __init__(self, bins: Bins) -> None:
        self.counts: NDArray[np.int64] = np.zeros(bins.size, np.int64)
        self.moments = Moments()
        self.nans = 0
        self.infinities = 0
        self._edges = bins.edges
        self._distinct = Distinct()
        self._edges_of: dict[np.dtype, NDArray] = {}

    def fields(self) -> dict[str, Any]:
        """The fields of the summary."""
        return {
            "counts": self.counts.copy(),
            "nans": self.nans,
            "infinities": self.infinities,
            "distinct": self._distinct.number,
            **self.moments.fields(),
        }

    def add(self, column: Prepared) -> None:
        """Counts the values of some rows."""
        for start in range(0, len(column.values), _CHUNK):
            self._add(np.sort(column.values[start : start + _CHUNK]))

    def _add(self, ordered: NDArray) -> None:
        first, last, end = 0, len(ordered), len(ordered)
        if ordered.dtype.kind == "f":
            first, last, end = _finite(ordered)
        below = np.searchsorted(ordered[:end], self._edges_as(ordered.dtype), side="right")
        self.counts += np.diff(below, prepend=0, append=end)
        self.nans += len(ordered) - end
        self.infinities += end - (last - first)
        if last > first:
            finite = ordered[first:last]
            self.moments.add(finite)
            self._distinct.add(number_hashes(finite[np.append(True, finite[1:] != finite[:-1])]))

    def _edges_as(self, kind: np.dtype) -> NDArray:
        """The edges in the numbers' own type, rounded down, which changes no number's bin."""
        if kind not in self._edges_of:
            self._edges_of[kind] = rounded_down(self._edges, kind)
        return self._edges_of[kind]


def _finite(ordered: NDArray) -> tuple[int, int, int]:
    """The start and end of the finite numbers, and the start of those that are not a number."""
    infinity = ordered.dtype.type(np.inf)
    first = int(np.searchsorted(ordered, -infinity, side="right"))
    last, end = (int(np.searchsorted(ordered, infinity, side=side)) for side in ("left", "right"))
    return first, last, end


def rounded_down(edges: NDArray[np.float64], kind: np.dtype) -> NDArray:
    """The greatest number of a type that is not above each edge."""
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            near = edges.astype(kind)
        return np.where(near > edges, np.nextafter(near, kind.type(-np.inf)), near)
    # The only number that could change its bin is the least of all, below an edge that is less than that.
    limits = np.iinfo(kind)
    whole = np.floor(edges)
    found = np.clip(whole, float(limits.min), np.nextafter(float(limits.max), 0.0)).astype(kind)
    found[whole >= float(limits.max)] = limits.max
    return found
