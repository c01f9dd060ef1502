"""How far slices are apart: for each way of slicing and each metric, the two between which it differs most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.reports.figures import number, signed
from components.reports.markup import Content
from components.reports.parts import heading, paragraph, stack
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers.evaluations import Metric, Slice

_LEAST = 100
"""Rows of a slice; fewer say little of a group."""
_MOST = 100
_NORMAL = 1.96
_SHARES = ("binary_accuracy", "accuracy", "categorical_accuracy", "sparse_categorical_accuracy")
"""Metrics that are shares of the rows, whose error follows from their number."""


@dataclass(frozen=True)
class _Pair:
    """The slices with the highest and the lowest value of a metric."""

    columns: str
    metric: str
    high: Slice
    low: Slice

    @property
    def difference(self) -> float:
        return self._of(self.high).value - self._of(self.low).value

    @property
    def error(self) -> float | None:
        """Half of the difference's interval of 95 %; None if the values have none."""
        errors = [_error(self._of(each), each.size) for each in (self.high, self.low)]
        return None if None in errors else math.hypot(*(error or 0.0 for error in errors))

    def _of(self, each: Slice) -> Metric:
        return each.candidate[self.metric]


def part(slices: Sequence[Slice]) -> Content:
    """The largest differences; nothing if no two slices of the same columns are large enough."""
    pairs = sorted(_pairs(slices), key=lambda pair: (pair.columns, pair.metric))[:_MOST]
    if not pairs:
        return None
    columns = [Column(name) for name in ("sliced by", "metric", "highest in", "lowest in")]
    columns += [Column(name, is_number=True) for name in ("highest", "lowest", "difference")]
    columns += [Column("95 % interval of the difference"), Column("verdict")]
    words = (
        f"For every column that the rows are sliced by, the two slices of at least {_LEAST} rows between which a "
        "metric differs most. If the interval leaves out zero, the difference is unlikely to be chance; but with many "
        "metrics and slices, some will be."
    )
    return stack(
        heading("Fairness: differences between slices"),
        paragraph(words, quiet=True),
        table("Differences between slices", columns, list(map(_row, pairs)), hide_caption=True),
    )


def _pairs(slices: Sequence[Slice]) -> Iterator[_Pair]:
    ways: dict[str, list[Slice]] = {}
    for each in slices:
        if each.key and not each.is_difference and (each.size or 0) >= _LEAST:
            ways.setdefault(", ".join(column for column, _ in each.key), []).append(each)
    for columns, group in ways.items():
        for name in dict.fromkeys(name for each in group for name in each.candidate):
            having = [each for each in group if name in each.candidate and _is_judged(each.candidate[name])]
            if len(having) > 1:
                ordered = sorted(having, key=lambda each: each.candidate[name].value)
                yield _Pair(columns, name, ordered[-1], ordered[0])


def _is_judged(metric: Metric) -> bool:
    return math.isfinite(metric.value) and not metric.base.endswith("example_count")


def _error(metric: Metric, rows: float | None) -> float | None:
    if metric.interval:
        return (metric.interval[1] - metric.interval[0]) / 2
    if metric.base in _SHARES and rows and 0 <= metric.value <= 1:
        return _NORMAL * math.sqrt(metric.value * (1 - metric.value) / rows)
    return None


def _row(pair: _Pair) -> list[Cell | Content]:
    high, low = (each.candidate[pair.metric].value for each in (pair.high, pair.low))
    return [
        pair.columns,
        pair.metric,
        _values(pair.high),
        _values(pair.low),
        high,
        low,
        Cell(signed(pair.difference), pair.difference),
        *_judged(pair),
    ]


def _judged(pair: _Pair) -> list[Cell | Content]:
    if pair.error is None:
        return [None, None]
    low, high = pair.difference - pair.error, pair.difference + pair.error
    verdict = Cell("differ", 1, "warn") if low > 0 else Cell("may be chance", 0)
    return [f"{number(low)} to {number(high)}", verdict]


def _values(each: Slice) -> str:
    return ", ".join(value for _, value in each.key)
