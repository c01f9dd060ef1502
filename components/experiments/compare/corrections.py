"""Corrections for several metrics and arms: the more one tests, the more is found by chance."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import numpy as np

from components.contract.errors import UserError
from components.experiments.numbers import Array, finite

Key = TypeVar("Key", bound=Hashable)


def bonferroni(p_values: Any) -> Array:
    """The p-values times their number: any dependence, and the level of intervals is divided alike."""
    given = _checked(p_values)
    return np.minimum(given * given.size, 1.0)


def holm(p_values: Any) -> Array:
    """Holm's step-down (1979): the probability of any false finding, under any dependence; never worse than Bonferroni.

    Args:
        p_values: The p-values, (tests,).

    Returns:
        The adjusted p-values in the same order; at most the level where a test has found something.
    """
    given = _checked(p_values)
    order = np.argsort(given, kind="stable")
    raised = np.maximum.accumulate(given[order] * np.arange(given.size, 0, -1))
    return _restored(np.minimum(raised, 1.0), order)


def benjamini_hochberg(p_values: Any) -> Array:
    """Benjamini and Hochberg's step-up (1995): the share of false findings among all, for independent tests.

    For many exploratory metrics; decisions by a few metrics take `holm`.
    """
    given = _checked(p_values)
    order = np.argsort(given, kind="stable")
    factors = given.size / np.arange(1, given.size + 1)
    lowered = np.minimum.accumulate((given[order] * factors)[::-1])[::-1]
    return _restored(np.minimum(lowered, 1.0), order)


METHODS: dict[str, Callable[[Any], Array]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
    "bonferroni": bonferroni,
}
"""The corrections by name."""


def corrected(p_values: Mapping[Key, float], method: str = "holm") -> dict[Key, float]:
    """The adjusted p-value of each test, such as of each pair of metric and arm.

    Raises:
        UserError: There is no such method.
    """
    if method not in METHODS:
        raise UserError(f"there is no correction {method!r}", fix=f"use one of {', '.join(METHODS)}")
    return dict(zip(p_values, METHODS[method](list(p_values.values())).tolist(), strict=True))


def _checked(p_values: Any) -> Array:
    given = finite(p_values, "p-values").ravel()
    if ((given < 0) | (given > 1)).any():
        raise UserError("a p-value is not between 0 and 1", fix="give p-values, not statistics")
    return given


def _restored(values: Array, order: Array) -> Array:
    found = np.empty_like(values)
    found[order] = values
    return found
