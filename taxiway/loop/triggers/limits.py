"""What keeps a trigger from starting a cycle: its cool-down, its budget, and quiet hours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from components.contract.errors import UserError
from components.contract.times import duration

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
_QUIET = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?)?\s*(?:(\d\d:\d\d)-(\d\d:\d\d))?")
_FIX = "write '22:00-06:00', 'sat-sun' or 'mon-fri 08:00-18:00'"


@dataclass(frozen=True)
class Limits:
    """The limits of a trigger.

    Attributes:
        cool_down: How long after the end of the model's last cycle it waits.
        budget_per_day: The most cycles in 24 hours; None for any number.
        quiet_hours: When it waits: '22:00-06:00', 'sat-sun' or 'mon-fri 08:00-18:00'.
    """

    cool_down: str = "1h"
    budget_per_day: int | None = None
    quiet_hours: list[str] = field(default_factory=list)

    def check(self, where: str) -> None:
        """Raises a UserError if one is wrong."""
        duration(self.cool_down, f"{where}.cool_down")
        if self.budget_per_day is not None and self.budget_per_day < 0:
            raise UserError(f"{where}.budget_per_day is {self.budget_per_day}", fix="write a number of at least 0")
        for text in self.quiet_hours:
            quiet(text, f"{where}.quiet_hours")


@dataclass(frozen=True)
class Quiet:
    """Quiet hours.

    Attributes:
        days: The days on which they begin, Monday is 0.
        begin: When they begin on these days.
        end: When they end, perhaps on the next day; midnight is the end of the day.
    """

    days: frozenset[int]
    begin: time
    end: time

    def covers(self, local: datetime) -> bool:
        """Whether a local time is in them."""
        clock = local.time()
        today, yesterday = local.weekday() in self.days, (local - _DAY).weekday() in self.days
        if self.begin < self.end:
            return today and self.begin <= clock < self.end
        # They last over midnight, or a whole day.
        return (today and clock >= self.begin) or (yesterday and clock < self.end)


def quiet(text: str, where: str) -> Quiet:
    """Parses quiet hours.

    Raises:
        UserError: They are none.
    """
    found = _QUIET.fullmatch(text.strip().lower())
    if not found or not text.strip():
        raise UserError(f"{where} has {text!r}", fix=_FIX)
    try:
        first, last = (DAYS.index(day) if day else None for day in (found[1], found[2] or found[1]))
        begin, end = (_clock(each or "00:00") for each in (found[3], found[4]))
    except ValueError as error:
        raise UserError(f"{where} has {text!r}", fix=_FIX) from error
    return Quiet(_days(first, last), begin, end)


def _clock(text: str) -> time:
    return time.fromisoformat("00:00" if text == "24:00" else text)


def _days(first: int | None, last: int | None) -> frozenset[int]:
    if first is None or last is None:
        return frozenset(range(7))
    return frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))


def zone(name: str) -> ZoneInfo:
    """A time zone."""
    return ZoneInfo(name)


def checked_zone(name: str, where: str) -> ZoneInfo:
    """A time zone.

    Raises:
        UserError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UserError(f"{where} is {name!r}", fix="write one such as Europe/Vienna or UTC") from error
