"""Slices that contradict the whole: Simpson's paradox, and slices whose share depends on the arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.contract.errors import UserError
from components.experiments.arms import Arm, require
from components.experiments.compare.categories import chi_square
from components.experiments.compare.comparison import quantile, welch

_CLEAR = 0.01


@dataclass(frozen=True)
class Slices:
    """What slices say of a difference.

    Attributes:
        difference: Treatment minus control over all units.
        within: The mean of the slices' differences, weighted by the slices' units in both arms (post-stratification).
        low: The lower end of its interval.
        high: The upper end.
        mix: The p-value that slices have the same share in both arms; NaN with a single slice.
        paradox: Whether all units and the slices within say opposite things, and not by chance.
        against: The slices whose difference has the other sign than all units', by how much they count.
    """

    difference: float
    within: float
    low: float
    high: float
    mix: float
    paradox: bool
    against: tuple[str, ...]


def by_slice(slices: Mapping[str, tuple[Arm, Arm]], level: float = 0.05) -> Slices:
    """Compares arms within slices, such as countries or days, and warns where the mix of slices explains a difference.

    Simpson (Journal of the Royal Statistical Society B, 1951). It happens where weights changed while traffic did, as
    in a ramp-up over a weekend: compare `within` then.

    Args:
        slices: Control and treatment of each slice; none may be left out.
        level: One minus the interval's coverage.

    Raises:
        UserError: There are no slices.
        DataError: A slice has less than two units in an arm.
    """
    if not slices:
        raise UserError("there are no slices", fix="give control and treatment of one slice or more")
    for name, pair in slices.items():
        require(pair[0], f"the control of slice {name!r}")
        require(pair[1], f"the treatment of slice {name!r}")
    units = np.array([float(control.n) + float(treatment.n) for control, treatment in slices.values()])
    found = np.array([float(treatment.mean) - float(control.mean) for control, treatment in slices.values()])
    errors = np.array([float(welch(*pair)[0]) for pair in slices.values()])
    shares = units / units.sum()
    within, half = float(shares @ found), float(quantile(level, np.inf) * np.sqrt((shares**2) @ errors**2))
    whole = _whole(slices)
    mix = _mix(slices)
    opposite = [index for index in np.argsort(-shares) if found[index] * whole < 0]
    clear = whole * within < 0 and (abs(within) > half or mix < _CLEAR)
    names = list(slices)
    return Slices(
        difference=whole,
        within=within,
        low=within - half,
        high=within + half,
        mix=mix,
        paradox=bool(clear),
        against=tuple(names[index] for index in opposite),
    )


def _whole(slices: Mapping[str, tuple[Arm, Arm]]) -> float:
    sums = [[float(arm.total) for arm in pair] for pair in slices.values()]
    units = [[float(arm.n) for arm in pair] for pair in slices.values()]
    control, treatment = np.sum(sums, 0) / np.sum(units, 0)
    return float(treatment - control)


def _mix(slices: Mapping[str, tuple[Arm, Arm]]) -> float:
    if len(slices) < 2:
        return float("nan")
    return chi_square([[float(arm.n) for arm in pair] for pair in slices.values()]).p_value
