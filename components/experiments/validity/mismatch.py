"""Sample-ratio mismatch: whether arms got the units that their weights promise, at every look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, xlogy

from components.contract.errors import DataError, UserError
from components.experiments.numbers import counted

_PRIOR = 1000.0
"""How many units the mixture around the weights is worth: mismatches of some percent are found soonest."""


@dataclass(frozen=True)
class Stretch:
    """A time in which the weights did not change, such as a step of a canary.

    Attributes:
        counts: The units assigned to each arm in it.
        weights: The weight of each arm.
    """

    counts: Mapping[str, float]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Mismatch:
    """Whether the counts fit the weights.

    Attributes:
        evidence: The e-value; its mean is 1 at all looks if the weights are kept.
        p_value: The always-valid p-value: keep the least one.
        expected: How many units each arm would have had.
        found: How many it had.
    """

    evidence: float
    p_value: float
    expected: dict[str, float]
    found: dict[str, float]


def mismatch(stretches: Sequence[Stretch]) -> Mismatch:
    """Tests all stretches together, valid at any number of looks.

    The Dirichlet-multinomial mixture of Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS
    2022). Stop an experiment whose p-value is below 0.001: units are lost or counted twice in one arm, and nothing that
    it says of the metrics can be believed. Count what was assigned at random: users if keys are sticky, not requests.

    Raises:
        DataError: A count is negative or not a number, or an arm without weight has units.
        UserError: No arm of a stretch has a weight.
    """
    log = 0.0
    expected: dict[str, float] = {}
    found: dict[str, float] = {}
    for stretch in stretches:
        names = [name for name, weight in stretch.weights.items() if weight > 0]
        shares, counts = _of(stretch, names)
        log += _log_evidence(shares, counts)
        for name, share, count in zip(names, shares, counts, strict=True):
            expected[name] = expected.get(name, 0.0) + float(share * counts.sum())
            found[name] = found.get(name, 0.0) + float(count)
    evidence = float(np.exp(min(log, 700.0)))
    return Mismatch(evidence, min(1.0, 1 / evidence) if evidence else 1.0, expected, found)


def _of(stretch: Stretch, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    if not names:
        raise UserError("no arm has a weight above 0", fix="give the weights that the arms had")
    without = {name: count for name, count in stretch.counts.items() if count and name not in names}
    if without:
        raise DataError(f"arms without a weight have units: {without}", fix="give the weights that the arms had then")
    weights = counted([stretch.weights[name] for name in names], "the weights")
    counts = counted([stretch.counts.get(name, 0.0) for name in names], "the units of the arms")
    return weights / weights.sum(), counts


def _log_evidence(shares: np.ndarray, counts: np.ndarray) -> float:
    prior = _PRIOR * shares
    mixed = gammaln(_PRIOR) - gammaln(_PRIOR + counts.sum()) + (gammaln(prior + counts) - gammaln(prior)).sum()
    return float(mixed - xlogy(counts, shares).sum())
