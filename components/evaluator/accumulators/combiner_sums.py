"""TFMA's combiners whose state consists of sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from components.evaluator.accumulators.sums import Sums, Terms
from components.evaluator.columns import Source
from components.evaluator.rows import Rows
from components.evaluator.slices import Members

Metrics = dict[Any, Any]
"""By TFMA's keys."""


@dataclass(frozen=True)
class Kind:
    """How a combiner's sums are computed and returned to TFMA.

    Attributes:
        terms: What the rows of a batch add.
        fill: TFMA's accumulator from a slice's cells and sums.
        refuses: The setting of a combiner that columns do not support; empty if there is none.
    """

    terms: Callable[[Any, Source, Rows], Terms]
    fill: Callable[[Any, NDArray[Any], NDArray[Any]], Any]
    refuses: Callable[[Any], str] = lambda combiner: ""


class CombinerSums:
    """Replaces one of TFMA's combiners whose state is sums."""

    def __init__(self, combiner: Any, source: Source, kind: Kind) -> None:
        self._combiner = combiner
        self._source = source
        self._kind = kind
        self._sums = Sums()

    def add(self, rows: Rows, members: Members) -> None:
        """Adds a batch."""
        self._sums.add(members, self._kind.terms(self._combiner, self._source, rows))

    def metrics(self) -> dict[int, Metrics]:
        """What TFMA's combiner gives for each slice."""
        return {
            number: self._combiner.extract_output(self._kind.fill(self._combiner, cells, sums))
            for number, cells, sums in self._sums.by_slice()
        }


def fill_attributes(*names: str) -> Callable[[Any, NDArray[Any], NDArray[Any]], Any]:
    """A function that writes the totals into the attributes of TFMA's accumulator."""

    def fill(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
        accumulator = combiner.create_accumulator()
        for name, total in zip(names, sums[0].tolist(), strict=True):
            # Adds to the initial 0, so that an attribute that TFMA has renamed raises AttributeError.
            setattr(accumulator, name, getattr(accumulator, name) + total)
        return accumulator

    return fill
