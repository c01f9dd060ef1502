"""The measures of drift of many windows at once; each is what the measure of a single window is."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Array: TypeAlias = NDArray[np.float64]
_LEAST = 1e-4
"""A share of nothing counts as this in PSI, which would be infinite."""


def of_all(window: Array, reference: Array) -> dict[str, Array]:
    """The measures between shares by value; (windows, values) both."""
    now, then = _shares(window), _shares(reference)
    middle = (now + then) / 2
    some, others = np.maximum(now, _LEAST), np.maximum(then, _LEAST)
    noise = 1 / np.maximum(window.sum(-1), 1) + 1 / np.maximum(reference.sum(-1), 1)
    pooled = _shares(window + reference)
    squares = np.divide((now - then) ** 2, pooled, out=np.zeros_like(pooled), where=pooled > 0)
    return {
        "l_infinity": np.abs(now - then).max(-1),
        "jensen_shannon": (rel_entr(now, middle) + rel_entr(then, middle)).sum(-1) / 2 / np.log(2),
        "psi": ((some - others) * np.log(some / others)).sum(-1),
        "chi_square": squares.sum(-1) / noise,
    }


def of_numbers(window: Array, reference: Array, middles: Array) -> dict[str, Array]:
    """The measures between cumulative shares.

    Args:
        window: (windows, bins).
        reference: The same.
        middles: The value that stands for each bin, in standard deviations of the training data.
    """
    apart = np.abs(_shares(window).cumsum(-1) - _shares(reference).cumsum(-1))
    return {"ks": apart.max(-1), "wasserstein": (apart[..., :-1] * np.diff(middles)).sum(-1)}


def _shares(counts: Array) -> Array:
    return np.asarray(counts / np.maximum(counts.sum(-1, keepdims=True), 1))
