"""What is printed beside shares of windows."""

from __future__ import annotations

from scipy import stats

_OUTSIDE = 0.025


def interval(found: float, windows: float) -> str:
    """The 95 % interval of Clopper and Pearson for a share of windows."""
    low = stats.beta.ppf(_OUTSIDE, found, windows - found + 1) if found else 0.0
    high = stats.beta.isf(_OUTSIDE, found + 1, windows - found) if found < windows else 1.0
    return f"{100 * low:.1f} to {100 * high:.1f} %"
