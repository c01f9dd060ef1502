"""Times and lengths of time as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from components.contract.errors import UserError

_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str, where: str, fix: str = "write a number and s, m, h or d, such as 3d") -> timedelta:
    """Parses a length of time, such as 30s, 5m, 3h or 2d.

    Raises:
        UserError: It is none, with this fix.
    """
    found = _DURATION.fullmatch(text)
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})  # type: ignore[index]
    except (TypeError, OverflowError, ValueError) as error:
        raise UserError(f"{where} is {text!r}", fix=fix) from error


def moment(text: str, where: str, example: str = "2026-02-01T08:00") -> datetime:
    """Parses a time; without a zone it is UTC.

    Raises:
        UserError: It is none; the fix shows an example.
    """
    try:
        return zoned(text)
    except ValueError as error:
        raise UserError(f"{where} is {text!r}", fix=f"write a time such as {example}") from error


def zoned(text: str) -> datetime:
    """The same for callers with their own message; raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
