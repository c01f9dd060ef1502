"""Numbers, shares and times as people write them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime


def number(value: float) -> str:
    """A number with three digits that count: 5.1, 1,230, 0.00042; the float next to 0, which ends a bin, is 0."""
    if abs(value) < sys.float_info.min:
        return "0"
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:.10f}".rstrip("0").rstrip(".")


def pair(before: float, after: float) -> str:
    """Two numbers with the digits that it takes to tell them apart."""
    first, second = number(before), number(after)
    return f"{first} -> {second}" if first != second or before == after else f"{before:.6g} -> {after:.6g}"


def share(value: float) -> str:
    """A share of rows: 6.0 %, 0.1 %, 0.004 %."""
    percent = 100 * value
    if percent == 0 or percent >= 99.95:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.095 else f"{percent:.1g} %"


def time(moment: datetime) -> str:
    """A time in UTC, to the minute, or to the second if it is no whole minute."""
    shape = "%H:%M:%S" if moment.second else "%H:%M"
    return f"{moment.astimezone(UTC):%Y-%m-%d {shape}} UTC"


def shortened(text: str, longest: int = 40) -> str:
    """A value of a category, on one line and not endless."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
