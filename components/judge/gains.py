"""The gain on all rows, by a paired bootstrap of rows, and on every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.columns import Source
from components.evaluator.rows import Rows
from components.evaluator.slices import Members
from components.judge import bootstrap
from components.judge.verdict import Gain
from components.monitoring.quality import terms
from components.monitoring.quality.evaluate import slice_text, sliced
from components.monitoring.quality.influences import agrees, only
from components.monitoring.quality.spread import Spread, difference, spread
from components.monitoring.quality.terms import Numbers, Terms
from components.reports.readers import directions

Values = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By slice as text, by metric, and by model: `challenger` and `champion`."""

_REPLICATES = 200
"""Resamples of a metric without a formula: the evaluator's own code measures each, which takes time."""


@dataclass(frozen=True)
class Models:
    """TFMA's keys of a metric."""

    challenger: Any
    champion: Any | None


@dataclass(frozen=True)
class Metric:
    """The metric that decides.

    Attributes:
        name: Its name in the evaluation.
        config: The EvalConfig.
        keys: TFMA's keys of it.
        class_name: Its class.
        settings: The class's settings.
    """

    name: str
    config: Any
    keys: Models
    class_name: str
    settings: Mapping[str, Any]

    @property
    def sign(self) -> float:
        """1 if more is better, else -1."""
        return -1.0 if directions.less_is_better(self.keys.challenger.name) else 1.0


@dataclass(frozen=True)
class _Formula:
    """What every row adds to the metric of each model, and its weight."""

    challenger: Terms
    champion: Terms
    weight: Numbers

    def spreads(self, own: NDArray[np.int64]) -> tuple[Spread | None, Spread | None]:
        """The influences of some rows on both models' metrics over these."""
        units = np.arange(len(own))
        one, other = (
            spread(Terms(each.above[own], each.below[own], each.shape), self.weight[own], units, units)
            for each in (self.challenger, self.champion)
        )
        return one, other


def number(value: Any) -> float | None:
    """A metric's value as a finite number; None if it is none."""
    if isinstance(value, bool | int | float | np.number) or (isinstance(value, np.ndarray) and value.size == 1):
        found = float(np.asarray(value).ravel()[0]) if np.asarray(value).dtype.kind in "biuf" else float("nan")
        return found if np.isfinite(found) else None
    return None


@dataclass(frozen=True)
class Sliced:
    """Rows and their slices.

    Attributes:
        rows: The batches.
        members: The slices of each batch's rows.
        keys: The slices' keys by number.
    """

    rows: list[Rows]
    members: list[Members]
    keys: Sequence[Any]

    def by_slice(self) -> dict[str, NDArray[np.int64]]:
        """The numbers of the rows of every slice; of all rows with an empty name."""
        starts = np.cumsum([0, *(each.batch.num_rows for each in self.rows)])
        places = np.concatenate([each.rows + start for each, start in zip(self.members, starts[:-1], strict=True)])
        numbers = np.concatenate([each.slices for each in self.members])
        found = {slice_text(key): places[numbers == number] for number, key in enumerate(self.keys)}
        return {**found, "": np.arange(starts[-1])}


def of(metric: Metric, found: Sliced, values: Values, level: float) -> tuple[Gain, list[Gain]]:
    """The gain on all rows; and those on the slices, the smallest first.

    Args:
        metric: The metric.
        found: The rows.
        values: The metrics by slice.
        level: How many of 100 intervals may miss the true gain, divided by 100.
    """
    by_slice = found.by_slice()
    overall = _gain("", len(by_slice[""]), metric, values)
    if overall.value is None:
        return overall, []
    formula = _formula(metric, found.rows, overall)
    whole = _with_interval(overall, metric, found.rows, formula, level)
    return whole, _of_slices(metric, formula, by_slice, values, level)


def _gain(name: str, rows: int, metric: Metric, values: Values) -> Gain:
    found = values.get(name, {}).get(metric.name, {})
    one, other = found.get("challenger"), found.get("champion")
    value = None if one is None or other is None else metric.sign * (one - other)
    return Gain(name, rows, one, other, value)


def _formula(metric: Metric, rows: list[Rows], overall: Gain) -> _Formula | None:
    """What rows add, if a formula gives for both models what the evaluator gave."""
    if metric.keys.challenger.aggregation_type is not None:
        return None
    found = [_terms(metric, key, rows) for key in (metric.keys.challenger, metric.keys.champion)]
    (one, weight), (other, _) = found
    if one is None or other is None:
        return None
    made = _Formula(one, other, weight)
    values = (overall.challenger, overall.champion)
    spreads = made.spreads(np.arange(len(weight)))
    agree = all(s is not None and v is not None and agrees(s, v) for s, v in zip(spreads, values, strict=True))
    return made if agree else None


def _terms(metric: Metric, key: Any, rows: list[Rows]) -> tuple[Terms | None, Numbers]:
    source = Source(metric.config, key.model_name, key.output_name, key.sub_key, bool(key.example_weighted))
    parts = [source.columns(each) for each in rows]
    label, prediction, weight = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "prediction", "weight")
    )
    return terms.of(metric.class_name, label, prediction, metric.settings), weight[:, 0].astype(np.float64)


def _with_interval(overall: Gain, metric: Metric, rows: list[Rows], formula: _Formula | None, level: float) -> Gain:
    assert overall.value is not None
    if formula is None:
        low, high = bootstrap.around(overall.value, _replicated(metric, rows), level) or (None, None)
        return replace(overall, low=low, high=high, telling=float(overall.rows))
    one, other = formula.spreads(np.arange(overall.rows))
    assert one and other
    # The evaluator's area under a curve has a finite number of thresholds.
    offset = overall.value - metric.sign * (one.value - other.value)
    found = bootstrap.differences(formula.challenger, formula.champion, formula.weight)
    low, high = bootstrap.interval(metric.sign * found + offset, level) or (None, None)
    return replace(overall, low=low, high=high, telling=bootstrap.telling(one.influence, other.influence))


def _of_slices(
    metric: Metric,
    formula: _Formula | None,
    by_slice: Mapping[str, NDArray[np.int64]],
    values: Values,
    level: float,
) -> list[Gain]:
    """The gains on the slices, the smallest first, with intervals that hold for all of them together."""
    found = [_gain(name, len(own), metric, values) for name, own in by_slice.items() if name]
    found = [each for each in found if each.value is not None]
    made = [_of_slice(each, metric, formula, by_slice[each.name], level / len(found)) for each in found]
    return sorted(made, key=lambda each: (each.value or 0.0, each.name))


def _of_slice(gain: Gain, metric: Metric, formula: _Formula | None, own: NDArray[np.int64], level: float) -> Gain:
    one, other = formula.spreads(own) if formula else (None, None)
    if one is None or other is None:
        return gain
    ends = difference(one, other, level)
    if ends.low is None or ends.high is None:
        return gain
    low, high = sorted((metric.sign * ends.low, metric.sign * ends.high))
    return replace(gain, low=low, high=high, telling=bootstrap.telling(one.influence, other.influence))


def _replicated(metric: Metric, rows: list[Rows]) -> Numbers:
    """The metric's differences in resamples that the evaluator's own code measures."""
    config = only(metric.config, {metric.keys.challenger.name})
    total = sum(each.batch.num_rows for each in rows)
    found = []
    for drawn in bootstrap.resamples(total, _REPLICATES):
        results = sliced(config, rows, _Resampled(drawn))
        ordered = sorted(results, key=lambda key: key[0][1])
        found += [_difference(metric, results[key]) for key in ordered]
    return metric.sign * np.array(found)


def _difference(metric: Metric, metrics: Mapping[Any, Any]) -> float:
    one, other = (number(metrics.get(key)) for key in (metric.keys.challenger, metric.keys.champion))
    return float("nan") if one is None or other is None else one - other


class _Resampled:
    """A slicer whose slices are resamples: a row that is drawn twice is in a slice twice."""

    def __init__(self, drawn: Numbers) -> None:
        self._drawn = drawn.astype(np.int64)
        self._start = 0

    @property
    def keys(self) -> list[Any]:
        """The keys of the resamples, by number."""
        return [(("resample", number),) for number in range(len(self._drawn))]

    def members(self, rows: Rows) -> Members:
        """The resamples of a batch's rows."""
        # Where metrics are evaluated one by one, the batches come again.
        self._start %= self._drawn.shape[1]
        own = self._drawn[:, self._start : self._start + rows.batch.num_rows]
        self._start += rows.batch.num_rows
        numbers, places = np.nonzero(own)
        often = own[numbers, places]
        return Members(np.repeat(places, often), np.repeat(numbers, often))
