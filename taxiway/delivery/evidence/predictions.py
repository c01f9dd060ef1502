"""The guardrail of drift: how far the predictions of both versions are apart in a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.experiments.canary import distances
from components.experiments.numbers import Array
from taxiway.delivery.rollout import FAILURE, INCONCLUSIVE, SUCCESS, Reading
from taxiway.delivery.settings import Drift

_BINS = 64


@dataclass(frozen=True)
class Predictions:
    """Counts of predictions.

    Attributes:
        step: The step that they are of.
        edges: The bounds of the bins of numbers, or the categories; empty before the first prediction.
        champion: The champion's counts by bin; the last bin has the numbers above, or the unknown categories.
        challenger: The challenger's.
    """

    step: int = 0
    edges: Sequence[Any] = ()
    champion: Sequence[int] = ()
    challenger: Sequence[int] = ()


def of_json(given: Mapping[str, Any]) -> Predictions:
    """From the JSON of a rollout."""
    return Predictions(**given)


def in_step(known: Predictions, step: int, *, is_last: bool) -> Predictions:
    """The counts of a step; the last one, in which the champion has no requests, keeps those of the step before."""
    if known.step == step or is_last:
        return known
    return replace(known, step=step, champion=[0] * len(known.champion), challenger=[0] * len(known.challenger))


def counted(known: Predictions, champion: Array, challenger: Array) -> Predictions:
    """The counts with more predictions, which are numbers or strings."""
    if not known.edges:
        if not (champion.size or challenger.size):
            return known
        edges = _edges(champion if champion.size else challenger)
        known = replace(known, edges=edges, champion=[0] * (len(edges) + 1), challenger=[0] * (len(edges) + 1))
    theirs, own = (_binned(values, known.edges) for values in (champion, challenger))
    return replace(
        known,
        champion=(np.asarray(known.champion) + theirs).tolist(),
        challenger=(np.asarray(known.challenger) + own).tolist(),
    )


def _edges(values: Array) -> list[Any]:
    if values.dtype.kind in "fiub":
        finite = values[np.isfinite(values)].astype(float)
        return list(np.unique(np.quantile(finite, np.linspace(0, 1, _BINS))).tolist()) if finite.size else [0.0]
    names, counts = np.unique(values.astype(str), return_counts=True)
    return list(names[np.argsort(-counts)][:_BINS].tolist())


def _binned(values: Array, edges: Sequence[Any]) -> Array:
    if values.size == 0:
        return np.zeros(len(edges) + 1, int)
    if isinstance(edges[0], str):
        places = {name: number for number, name in enumerate(edges)}
        return np.bincount([places.get(str(each), len(edges)) for each in values], minlength=len(edges) + 1)
    numbers = np.nan_to_num(values.astype(float), nan=np.inf)
    return np.bincount(np.searchsorted(np.asarray(edges), numbers), minlength=len(edges) + 1)


def reading(known: Predictions, settings: Drift, level: float) -> Reading:
    """What the guardrail says; the level is that of one step."""
    both = (int(sum(known.champion)), int(sum(known.challenger)))
    if not min(both):
        return Reading("drift", INCONCLUSIVE, "drift: there are no predictions of both versions", requests=both)
    theirs, own = np.asarray(known.champion), np.asarray(known.challenger)
    found, least = distances.kolmogorov(theirs, own), distances.at_least(theirs, own, level)
    return Reading(
        guardrail="drift",
        verdict=FAILURE if least > settings.tolerance else SUCCESS,
        sentence=f"drift: the predictions are {found:.2f} apart, surely {least:.2f}; {settings.tolerance:g} is allowed",
        champion=0.0,
        challenger=found,
        requests=both,
    )
