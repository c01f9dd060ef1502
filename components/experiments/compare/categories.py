"""Several arms or several outcomes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.contract.errors import DataError
from components.experiments.numbers import counted


@dataclass(frozen=True)
class Independence:
    """Whether outcomes depend on the arm.

    Attributes:
        statistic: Chi-square.
        degrees: Its degrees of freedom.
        p_value: The probability of so large a statistic if they do not.
        cramers_v: How strongly they do, from 0 to 1.
        fewest_expected: The least expected count; below 5 the p-value is rough.
    """

    statistic: float
    degrees: int
    p_value: float
    cramers_v: float
    fewest_expected: float


def chi_square(table: Any) -> Independence:
    """Pearson's chi-square test of independence, without a continuity correction.

    Args:
        table: Counts of units, (arms, outcomes), such as [[converted, not], [converted, not]].

    Raises:
        DataError: It is not a table of counts, or an arm or outcome has none.
    """
    from scipy.stats import chi2_contingency

    counts = counted(table, "the counts of units")
    if counts.ndim != 2 or min(counts.shape) < 2:
        raise DataError(f"a table of counts has the shape {counts.shape}", fix="give two or more arms and outcomes")
    if not (counts.sum(0).all() and counts.sum(1).all()):
        raise DataError("an arm or an outcome has no units", fix="leave it out of the table")
    found = chi2_contingency(counts, correction=False)
    strength = found.statistic / counts.sum() / (min(counts.shape) - 1)
    return Independence(
        statistic=float(found.statistic),
        degrees=int(found.dof),
        p_value=float(found.pvalue),
        cramers_v=float(np.sqrt(strength)),
        fewest_expected=float(found.expected_freq.min()),
    )
