"""How far two distributions are apart at least: a bound that holds at every look."""

from __future__ import annotations

import numpy as np

from components.experiments.numbers import Array


def radius(n: float, level: float) -> float:
    """How far the empirical distribution of n values is from the true one at most, for all n at once.

    Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification"
    (Bernoulli 2022), theorem 2: a Dvoretzky-Kiefer-Wolfowitz inequality that is uniform in time.
    """
    if n < 1:
        return 1.0
    return float(min(1.0, 0.85 * np.sqrt((np.log(np.log(np.e * n)) + 0.8 * np.log(1612 / level)) / n)))


def kolmogorov(first: Array, second: Array) -> float:
    """The distance of two distributions that were counted in the same ordered bins; 0 if one is empty."""
    p, q = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if not (p.sum() and q.sum()):
        return 0.0
    return float(np.abs(p.cumsum() / p.sum() - q.cumsum() / q.sum()).max())


def at_least(first: Array, second: Array, level: float) -> float:
    """The least distance of the true distributions; bins can only bring them nearer."""
    n, m = float(np.sum(first)), float(np.sum(second))
    return max(0.0, kolmogorov(first, second) - radius(n, level / 2) - radius(m, level / 2))
