"""Counts the most frequent of any number of values in constant memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Frequent:
    """Counts values: exactly up to `capacity` different ones; beyond, rare ones are forgotten from time to time.

    A count is never too high. It is too low by what was forgotten of the value, each time less than others had.

    Attributes:
        capacity: Different values that are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._counts: dict[str, int] = {}

    def add(self, values: Iterable[str], counts: Iterable[int]) -> None:
        """Counts values."""
        held = self._counts
        for value, count in zip(values, counts, strict=True):
            held[value] = held.get(value, 0) + count
        if len(held) > 2 * self.capacity:
            self._prune()

    def _prune(self) -> None:
        counts = np.fromiter(self._counts.values(), np.int64, len(self._counts))
        kept = np.sort(np.argsort(-counts, kind="stable")[: self.capacity])
        values = list(self._counts)
        self._counts = {values[number]: int(counts[number]) for number in kept}

    def __len__(self) -> int:
        return len(self._counts)

    def top(self, number: int) -> dict[str, int]:
        """The most frequent values with their counts, in descending order, ties by value."""
        ordered = sorted(self._counts.items(), key=lambda each: (-each[1], each[0]))
        return dict(ordered[:number])

    @property
    def singletons(self) -> int:
        """The number of values counted once."""
        return sum(count == 1 for count in self._counts.values())
