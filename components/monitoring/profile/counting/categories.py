"""Counts the categories of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.monitoring.profile.counting.distinct import Distinct, text_hashes
from components.monitoring.profile.counting.frequent import Frequent
from components.monitoring.profile.counting.moments import Moments
from components.monitoring.profile.prepared import Prepared
from components.monitoring.summaries import Bins

SHOWN = 100
"""Unseen values that a summary names."""

_CAPACITY = 20_000


class Categories:
    """Counts categories: known ones exactly, the others in constant memory.

    Attributes:
        counts: Values by bin.
        moments: Of the values' lengths in bytes.
        unseen: The other values.
        unseen_count: Their number.
    """

    def __init__(self, bins: Bins, capacity: int = _CAPACITY) -> None:
        self.counts: NDArray[np.int64] = np.zeros(bins.size, np.int64)
        self.moments = Moments()
        self.unseen = Frequent(capacity)
        self.unseen_count = 0
        self._distinct = Distinct()

    def fields(self) -> dict[str, Any]:
        """The fields of the summary. Of values outside the bins, `distinct` is an estimate."""
        return {
            "counts": self.counts.copy(),
            "unseen": self.unseen.top(SHOWN),
            "unseen_count": self.unseen_count,
            "distinct": int(np.count_nonzero(self.counts)) + self._distinct.number,
            "singletons": int(np.count_nonzero(self.counts == 1)) + self.unseen.singletons,
            "mean": self.moments.mean,
            "variance": self.moments.variance,
        }

    def add(self, column: Prepared) -> None:
        """Counts the values of some rows."""
        entries = column.entries
        if entries is None or not len(column.values):
            return
        counts = np.bincount(column.values, minlength=len(entries.raw))
        known = entries.bins >= 0
        if len(self.counts):
            np.add.at(self.counts, entries.bins[known], counts[known])
        self.moments.add(entries.sizes[counts > 0], counts[counts > 0])
        rest = np.flatnonzero(~known & (counts > 0))
        if len(rest):
            self._add_unseen(entries.texts.take(pa.array(rest)).to_pylist(), counts[rest].tolist())

    def _add_unseen(self, values: list[str], counts: list[int]) -> None:
        self.unseen.add(values, counts)
        self.unseen_count += sum(counts)
        self._distinct.add(text_hashes(values))
