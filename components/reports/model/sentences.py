"""Words for sentences."""

from __future__ import annotations

from collections.abc import Sequence


def listed(words: Sequence[str]) -> str:
    """`a`; `a and b`; `a, b and c`."""
    *first, last = words or [""]
    return f"{', '.join(first)} and {last}" if first else last


def several(count: int, noun: str) -> str:
    """`1 metric`; `8 metrics`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
