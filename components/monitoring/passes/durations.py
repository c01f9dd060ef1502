"""Lengths of windows and the like: 30s, 5m, 1h, 7d."""

from __future__ import annotations

from datetime import timedelta

from components.contract import times
from components.contract.errors import UserError

_MOST = timedelta(days=366)
_FIX = "write a number and s, m, h or d, such as 1h, up to 366d"


def duration(text: str, where: str) -> timedelta:
    """Parses a length of time.

    Raises:
        UserError: It is not a number from 1 with a unit, or more than a year.
    """
    length = times.duration(text, where, _FIX)
    if text.startswith("0") or length > _MOST:
        raise UserError(f"{where} is {text!r}", fix=_FIX)
    return length
