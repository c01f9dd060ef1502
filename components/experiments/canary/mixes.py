"""Means and quantiles of both versions over the same mix of seconds.

A busy second hits both versions; and the challenger's share grows while the hours of the day go by. So the champion's
requests of a second count as much as the challenger's requests in it: direct standardization.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.experiments.arms import Arm
from components.experiments.numbers import Array


@dataclass(frozen=True)
class Mix:
    """Counts by bin of both versions.

    Attributes:
        champion: The champion's, with the challenger's mix of seconds.
        challenger: The challenger's.
    """

    champion: Sequence[float]
    challenger: Sequence[float]


def mixed(mix: Mix, champion: Array, challenger: Array) -> Mix:
    """The mix with the counts of another second."""
    theirs, own = np.asarray(champion, dtype=float), np.asarray(challenger, dtype=float)
    if not (theirs.sum() and own.sum()):
        return mix
    scaled = theirs * (own.sum() / theirs.sum())
    return Mix((np.asarray(mix.champion) + scaled).tolist(), (np.asarray(mix.challenger) + own).tolist())


def geometric_mean(counts: Sequence[float], bounds: Sequence[float]) -> float:
    """The geometric mean of values that were counted between bounds; the last bin has none above it."""
    edges = np.log([bounds[0] / 2, *bounds, bounds[-1] * 2])
    found = np.asarray(counts, dtype=float)
    return float(np.exp(found @ ((edges[1:] + edges[:-1]) / 2) / max(found.sum(), 1e-300)))


def quantile(counts: Sequence[float], bounds: Sequence[float], share: float) -> float:
    """A quantile of values that were counted between bounds, interpolated on a logarithmic scale."""
    edges = np.log([bounds[0] / 2, *bounds, bounds[-1] * 2])
    reached = np.concatenate([[0.0], np.cumsum(counts)])
    return float(np.exp(np.interp(share * reached[-1], reached, edges)))


@dataclass(frozen=True)
class Means:
    """The sums of an outcome, over strata of time.

    Attributes:
        n: The challenger's requests, in strata in which both have some.
        own: The sum of its outcomes.
        theirs: The sum of the champion's means, each times the challenger's requests.
        spread: The sum of n² / m over the strata, for m requests of the champion.
        champion: The champion's requests.
        squares: The champion's squared differences from the means of the strata.
        own_squares: The challenger's.
    """

    n: float = 0.0
    own: float = 0.0
    theirs: float = 0.0
    spread: float = 0.0
    champion: float = 0.0
    squares: float = 0.0
    own_squares: float = 0.0


def averaged(means: Means, champion: Array, challenger: Array) -> Means:
    """The sums with the outcomes of another stratum."""
    theirs, own = np.asarray(champion, dtype=float), np.asarray(challenger, dtype=float)
    if not (theirs.size and own.size):
        return means
    # With both versions in it, the mean of a stratum leaves one degree of freedom less.
    middle = np.concatenate([theirs, own]).mean()
    lost = (theirs.size + own.size) / max(theirs.size + own.size - 1, 1)
    return Means(
        n=means.n + own.size,
        own=means.own + float(own.sum()),
        theirs=means.theirs + float(theirs.mean()) * own.size,
        spread=means.spread + own.size**2 / theirs.size,
        champion=means.champion + theirs.size,
        squares=means.squares + float(((theirs - middle) ** 2).sum()) * lost,
        own_squares=means.own_squares + float(((own - middle) ** 2).sum()) * lost,
    )


def arms(means: Means) -> tuple[Arm, Arm]:
    """The champion and the challenger as arms; the champion's units are those that its mean is worth."""
    n = max(means.n, 1e-300)
    worth = means.n**2 / max(means.spread, 1e-300)
    return (
        Arm(worth, means.theirs / n, means.squares / max(means.champion, 1e-300) * worth),
        Arm(means.n, means.own / n, means.own_squares),
    )
