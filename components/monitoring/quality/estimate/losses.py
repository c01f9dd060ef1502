"""Direct loss estimation (DLE): how wrong a prediction of a number is, from the inputs and the prediction itself.

A model of the loss is learned on rows with labels: a sum of steps, one function for each input and one for the
prediction, fitted in turns (cyclic boosting). NannyML has described direct loss estimation, with boosted trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.monitoring.quality.terms import Numbers

_BINS = 50
_ROUNDS = 60
_RATE = 0.2
_PRIOR = 20.0
"""Rows' worth of trust in no effect: bins with few rows say little."""


@dataclass(frozen=True)
class _Step:
    """An input's bins: quantiles of numbers, or the most frequent values."""

    edges: Numbers | None
    values: NDArray
    size: int

    def codes(self, values: NDArray) -> NDArray[np.int64]:
        if self.edges is not None:
            numbers = values.astype(np.float64)
            found = np.searchsorted(self.edges, numbers)
            return np.where(np.isnan(numbers), self.size - 1, found).astype(np.int64)
        texts = values.astype(str)
        place = np.minimum(np.searchsorted(self.values, texts), len(self.values) - 1)
        return np.where(self.values[place] == texts, place, self.size - 1).astype(np.int64)


@dataclass(frozen=True)
class LossModel:
    """The expected loss of rows.

    Attributes:
        base: The mean loss.
        steps: The bins of each input.
        effects: By input, what each bin adds.
    """

    base: float
    steps: Mapping[str, _Step]
    effects: Mapping[str, Numbers]

    def __call__(self, features: Mapping[str, NDArray], rows: int) -> Numbers:
        """The expected loss of each row."""
        found = np.full(rows, self.base)
        for name, step in self.steps.items():
            if name in features:
                found += self.effects[name][step.codes(features[name])]
        return np.maximum(found, 0.0)


def fit(features: Mapping[str, NDArray], loss: Numbers) -> LossModel:
    """Learns the loss of rows from their features."""
    steps = {name: _step(values) for name, values in features.items()}
    codes = {name: step.codes(features[name]) for name, step in steps.items()}
    effects = {name: np.zeros(step.size) for name, step in steps.items()}
    base = float(loss.mean())
    rest = loss - base
    for _ in range(_ROUNDS):
        for name, own in codes.items():
            counts = np.bincount(own, minlength=steps[name].size)
            change = _RATE * np.bincount(own, rest, steps[name].size) / (counts + _PRIOR)
            effects[name] += change
            rest = rest - change[own]
    return LossModel(base + float(rest.mean()), steps, effects)


def _step(values: NDArray) -> _Step:
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
        known = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
        return _Step(edges, np.empty(0), len(edges) + 2)
    texts, counts = np.unique(values.astype(str), return_counts=True)
    most = np.sort(texts[np.argsort(-counts, kind="stable")[:_BINS]])
    return _Step(None, most, len(most) + 1)
