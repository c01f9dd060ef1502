"""The best that any test can do: the power of the test of one known change, at the level that a family leaves it."""

from __future__ import annotations

import numpy as np
from scipy import stats

_REFERENCES = 15
_TAIL = 1e-9


def level(columns: int, family: float = 0.05) -> float:
    """The level of one of several independent tests, one a column, that together have the family's."""
    return float(-np.expm1(np.log1p(-family) / columns))


def of_shift(shift: float, rows: int, reference_rows: int, columns: int) -> float:
    """The power of the two-sided z-test for a shift of a normal column, in its standard deviations."""
    z = stats.norm.isf(level(columns) / 2)
    moved = shift / np.sqrt(1 / rows + 1 / reference_rows)
    return float(stats.norm.sf(z - moved) + stats.norm.cdf(-z - moved))


def of_share(before: float, after: float, rows: int, reference_rows: int, columns: int) -> float:
    """The power of Fisher's exact test for a share that grows, randomised, so that it has all of its level.

    It is the most powerful of all unbiased tests of two shares.
    """
    half = level(columns) / 2
    then = np.unique(stats.binom.ppf((np.arange(_REFERENCES) + 0.5) / _REFERENCES, reference_rows, before))
    low, high = stats.binom.ppf((_TAIL, 1 - _TAIL), rows, after)
    now = np.arange(low, high + 1)
    edges = np.concatenate([[0.0], stats.binom.cdf(then, reference_rows, before)])
    found = [_rejected(now, each, half, rows=rows, reference_rows=reference_rows) for each in then]
    powers = np.array(found) @ stats.binom.pmf(now, rows, after)
    return float(np.average(powers, weights=np.diff(edges)))


def _rejected(now: np.ndarray, then: float, half: float, *, rows: int, reference_rows: int) -> np.ndarray:
    """How probably the test rejects for each count of a window, given that of the reference."""
    given = rows + reference_rows, now + then, rows
    above, at = stats.hypergeom.sf(now, *given), stats.hypergeom.pmf(now, *given)
    return np.clip((half - above) / np.maximum(at, 1e-300), 0.0, 1.0)
