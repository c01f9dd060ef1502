"""Words for sentences."""

from __future__ import annotations

from collections.abc import Sequence


def listed(words: Sequence[str]) -> str:
    """`a`; `a and b`; `a, b and c`."""
    *first, last = words or [""]
    return f"{', '.join(first)} and {last}" if first else last
