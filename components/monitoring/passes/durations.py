"""Lengths of time as people write them: 30s, 5m, 1h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta

from components.contract.errors import UserError

_TEXT = re.compile(r"([1-9]\d*)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MOST = timedelta(days=366)


def duration(text: str, where: str) -> timedelta:
    """Parses a length of time.

    Raises:
        UserError: It is not a number with a unit, or more than a year.
    """
    found = _TEXT.fullmatch(text)
    if not found or (length := timedelta(**{_UNITS[found[2]]: min(int(found[1]), 10**8)})) > _MOST:
        raise UserError(f"{where} is {text!r}", fix="write a number and s, m, h or d, such as 1h, up to 366d")
    return length
