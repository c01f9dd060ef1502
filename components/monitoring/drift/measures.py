"""The measures of drift between two summaries of a column.

L-infinity and Jensen-Shannon are TFDV's: L-infinity is of categories only, and values that are not a number count as
if the two sets of rows had none of them in common. Infinite numbers count in the first and last bin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from components.monitoring.drift import distances
from components.monitoring.summaries import Summary
from components.monitoring.tables import MEASURES

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def measures(reference: Summary, window: Summary) -> dict[str, float | None]:
    """The measures by name; None for those that do not apply.

    Args:
        reference: The training data, or the window before.
        window: The window, counted in the same bins.
    """
    if not (reference.values and window.values):
        return dict.fromkeys(MEASURES)
    found = _of_numbers(reference, window) if reference.bins.kind == "number" else _of_categories(reference, window)
    return {name: _plain(found.get(name)) for name in MEASURES}


def _plain(value: NDArray[np.float64] | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _of_numbers(reference: Summary, window: Summary) -> dict[str, NDArray[np.float64]]:
    p, q = reference.counts.astype(np.float64), window.counts.astype(np.float64)
    nans = np.array([reference.nans, 0.0]), np.array([0.0, window.nans])
    groups = distances.psi_groups(p)
    deviation = np.sqrt(reference.variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = distances.wasserstein(p, q, places(reference, window)) / deviation
    return {
        "jensen_shannon": distances.jensen_shannon(np.append(p, nans[0]), np.append(q, nans[1])),
        "psi": distances.psi(np.add.reduceat(p, groups), np.add.reduceat(q, groups)),
        "ks": distances.ks(p, q),
        "wasserstein": apart,
    }


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


def _of_categories(reference: Summary, window: Summary) -> dict[str, NDArray[np.float64]]:
    named, rest = counted(reference, window)
    p: NDArray[np.float64] = np.append(named[0], rest[0])
    q: NDArray[np.float64] = np.append(named[1], rest[1])
    return {
        # No category of the rest is as frequent as one with a name.
        "l_infinity": np.abs(named[0] / p.sum() - named[1] / q.sum()).max(initial=0.0),
        "jensen_shannon": distances.jensen_shannon(p, q),
        "psi": distances.psi(_first(p), _first(q)),
        "chi_square": distances.chi_square(p, q),
    }


def counted(reference: Summary, window: Summary) -> tuple[Pair, tuple[float, float]]:
    """The counts by category, and those of the categories that neither names."""
    names = list({**reference.unseen, **window.unseen})
    pair = tuple(_named(each, names) for each in (reference, window))
    rest = tuple(float(each.unseen_count - sum(each.unseen.values())) for each in (reference, window))
    return (pair[0], pair[1]), (rest[0], rest[1])


def _named(summary: Summary, names: list[str]) -> NDArray[np.float64]:
    unseen = [summary.unseen.get(name, 0) for name in names]
    return np.concatenate([summary.counts, np.array(unseen, np.float64)])


def _first(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The most frequent categories, and all others as one."""
    return np.append(counts[: distances.PSI_CATEGORIES], counts[distances.PSI_CATEGORIES :].sum())
