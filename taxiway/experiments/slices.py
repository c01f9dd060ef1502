"""The difference by slice: whether slices contradict the whole, and whether the effect differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.contract.errors import TaxiwayError
from components.experiments.compare.comparison import welch
from components.experiments.validity.slices import by_slice
from taxiway.experiments.compare import Found, compared
from taxiway.experiments.data import sums
from taxiway.experiments.data.units import Units
from taxiway.experiments.settings import RANK

_MOST = 12
_LEAST = 20
"""The least units of a slice in each arm; smaller ones are put together."""
OTHERS = "others"
STRETCH = "weights"
"""The slices that are the stretches between changes of the weights."""


@dataclass(frozen=True)
class Sliced:
    """A metric of an arm by the slices of a column.

    Attributes:
        name: The column.
        metric: The metric.
        arm: The treatment.
        found: The difference in each slice, by the slice's name, the largest first.
        difference: Over all units.
        within: The mean of the slices' differences.
        paradox: Whether the two contradict each other.
        heterogeneous: The p-value that the effect is the same in all slices (Cochran's Q); NaN with one slice.
    """

    name: str
    metric: str
    arm: str
    found: dict[str, Found]
    difference: float
    within: float
    paradox: bool
    heterogeneous: float


def all_slices(units: Units, steps: Sequence[tuple[float, dict[str, float]]]) -> list[Sliced]:
    """Every metric by every column of the settings, and by the stretches of weights if they changed."""
    named = [(name, f"slice{index}") for index, name in enumerate(units.experiment.slices)]
    if len(steps) > 1:
        named.append((STRETCH, sums.stretch(units, steps)))
    return [
        sliced
        for name, expression in named
        for index, metric in enumerate(units.experiment.metrics)
        if metric.computed != RANK
        for sliced in _of(units, index, name, expression)
    ]


def _of(units: Units, index: int, name: str, expression: str) -> list[Sliced]:
    experiment, metric = units.experiment, units.experiment.metrics[index]
    table = sums.by_slice(units, index, expression)
    arms = list(experiment.arms)
    found = []
    for arm in experiment.treatments:
        pairs = _pairs(units, index, table, (arms.index(experiment.control), arms.index(arm)))
        if pairs and (sliced := _sliced(pairs, name, metric.name, arm)):
            each = {key: compared(experiment, metric, arm, pair) for key, pair in pairs.items()}
            found.append(Sliced(found=each, **sliced))
    return found


def _pairs(units: Units, index: int, table: sums.Table, numbers: tuple[int, int]) -> dict[str, sums.Pair]:
    """The arms of each slice, the largest first; small ones are put together, so that none is left out."""
    metric = units.experiment.metrics[index]
    joints = {group: [sums.at(table, place)[number] for number in numbers] for place, group in enumerate(table.groups)}
    order = sorted(joints, key=lambda group: -sum(float(each.n) for each in joints[group]))
    large = [group for group in order[:_MOST] if min(float(each.n) for each in joints[group]) >= _LEAST]
    rest = [joints[group] for group in order if group not in large]
    kept = {group: joints[group] for group in large}
    if rest:
        together = rest[0]
        for each in rest[1:]:
            together = [a + b for a, b in zip(together, each, strict=True)]
        kept[OTHERS] = together
    return {group: sums.pair(units, metric, *pair) for group, pair in kept.items()}


def _sliced(pairs: dict[str, sums.Pair], name: str, metric: str, arm: str) -> dict:
    """The keywords of `Sliced`; empty if a slice has too few units."""
    usable = {key: (pair.control, pair.treatment) for key, pair in pairs.items()}
    usable = {key: pair for key, pair in usable.items() if min(float(each.n) for each in pair) >= 2}
    try:
        found = by_slice(usable)
    except TaxiwayError:  # no slice has enough units
        return {}
    return {
        "name": name,
        "metric": metric,
        "arm": arm,
        "difference": found.difference,
        "within": found.within,
        "paradox": found.paradox and len(usable) > 1,
        "heterogeneous": _heterogeneous(pairs),
    }


def _heterogeneous(pairs: dict[str, sums.Pair]) -> float:
    """Cochran's Q (Biometrics 1954): slices' differences around their mean, in standard errors."""
    from scipy.stats import chi2

    usable = [pair for pair in pairs.values() if min(float(pair.control.n), float(pair.treatment.n)) >= 2]
    errors = np.array([float(welch(pair.control, pair.treatment)[0]) for pair in usable])
    found = np.array([float(pair.treatment.mean) - float(pair.control.mean) for pair in usable])
    known = errors > 0
    if known.sum() < 2:
        return float("nan")
    weights = 1 / errors[known] ** 2
    mean = (weights @ found[known]) / weights.sum()
    return float(chi2.sf(weights @ (found[known] - mean) ** 2, known.sum() - 1))
