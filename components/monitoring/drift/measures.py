"""The measures of drift between two summaries of a column.

L-infinity and Jensen-Shannon are TFDV's: L-infinity is of categories only, and values that are not a number count as
if the two sets of rows had none of them in common. Infinite numbers count in the first and last bin. For PSI and
Jensen-Shannon, the bins of numbers are joined to groups that have about equally many of the reference's values.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.monitoring.drift import distances
from components.monitoring.summaries import Summary
from components.monitoring.tables import MEASURES

Array: TypeAlias = NDArray[np.float64]


def measures(reference: Summary, window: Summary) -> dict[str, float | None]:
    """The measures by name; None for those that do not apply.

    Args:
        reference: The training data, or the window before.
        window: The window, counted in the same bins.
    """
    if not (reference.values and window.values):
        return dict.fromkeys(MEASURES)
    if reference.bins.kind == "number":
        p, q = reference.counts.astype(np.float64), window.counts.astype(np.float64)
        nans = float(reference.nans), float(window.nans)
        scaled = places(reference, window) / (np.sqrt(reference.variance) or np.nan)
        found = of_numbers(p, q, distances.groups(p), scaled, nans)
    else:
        found = of_categories(*counted(reference, window))
    return {name: _plain(found.get(name)) for name in MEASURES}


def _plain(value: NDArray[np.float64] | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def of_numbers(
    reference: Array, window: Array, groups: NDArray[np.int64], places: Array, nans: tuple[float, float] = (0.0, 0.0)
) -> dict[str, Array]:
    """The measures of numbers, of several pairs at once if the counts have axes before the last one.

    Args:
        reference: Counts by bin, (..., bins).
        window: The same.
        groups: See `distances.groups`.
        places: Where the numbers of each bin are, in standard deviations.
        nans: The values of both that are not a number.
    """
    p, q = np.add.reduceat(reference, groups, axis=-1), np.add.reduceat(window, groups, axis=-1)
    return {
        "jensen_shannon": distances.jensen_shannon(_with(p, nans[0], 0.0), _with(q, 0.0, nans[1])),
        "psi": distances.psi(p, q),
        "ks": distances.ks(reference, window),
        "wasserstein": distances.wasserstein(reference, window, places),
    }


def _with(counts: Array, *more: float) -> Array:
    """The counts with further bins."""
    return np.concatenate([counts, np.broadcast_to(more, (*counts.shape[:-1], len(more)))], axis=-1)


def places(reference: Summary, window: Summary) -> NDArray[np.float64]:
    """Where the numbers of each bin are taken to be: at its upper edge, unless all are below.

    In the bins outside the range of the reference they are in the middle between the edges, or between an edge and the
    least or greatest number.
    """
    low, high = min(reference.low, window.low), max(reference.high, window.high)
    edges = reference.bins.edges
    ends = np.clip(np.concatenate([[min(low, *edges[:1])], edges, [max(high, *edges[-1:])]]), low, high)
    upper, middle = ends[1:], (ends[:-1] + ends[1:]) / 2
    inside = (upper >= reference.low) & (upper <= reference.high)
    found: NDArray[np.float64] = np.where(inside, upper, middle)
    return found


def of_categories(reference: Array, window: Array) -> dict[str, Array]:
    """The measures of categories, of several pairs at once if the counts have axes before the last one.

    Args:
        reference: Counts by category, (..., categories); the last one is all that have no name.
        window: The same.
    """
    p, q = distances.shares(reference), distances.shares(window)
    return {
        # No category of those without a name is as frequent as one with a name.
        "l_infinity": np.abs(p - q)[..., :-1].max(-1, initial=0.0),
        "jensen_shannon": distances.jensen_shannon(reference, window),
        "psi": distances.psi(_first(reference), _first(window)),
        "chi_square": distances.chi_square(reference, window),
    }


def counted(reference: Summary, window: Summary) -> tuple[Array, Array]:
    """The counts by category; the last one is all that neither names."""
    names = list({**reference.unseen, **window.unseen})
    return _named(reference, names), _named(window, names)


def _named(summary: Summary, names: list[str]) -> Array:
    unseen = [summary.unseen.get(name, 0) for name in names]
    rest = summary.unseen_count - sum(summary.unseen.values())
    return np.concatenate([summary.counts, np.array([*unseen, rest], np.float64)])


def _first(counts: Array) -> Array:
    """The most frequent categories, and all others as one."""
    most = distances.PSI_CATEGORIES
    return np.concatenate([counts[..., :most], counts[..., most:].sum(-1, keepdims=True)], axis=-1)
