"""Schedules as in a crontab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from components.contract.errors import UserError
from taxiway.loop.triggers.limits import DAYS

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {name: number for number, name in enumerate(_MONTHS, 1)},
    {name: (number + 1) % 7 for number, name in enumerate(DAYS)},
)
_PART = re.compile(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/(\d+))?")
_FIX = "write five fields: '0 3 * * 1' is every Monday at 3:00"
_LONGEST = 4 * 366
"""Days: the 29th of February comes once in four years."""


@dataclass(frozen=True)
class Schedule:
    """A schedule.

    Attributes:
        fields: The minutes, hours, days of the month, months and days of the week (Sunday is 0) on which it comes.
        either: Whether one of both kinds of days is enough, as in a crontab that restricts both.
    """

    fields: tuple[frozenset[int], ...]
    either: bool

    def last(self, now: datetime, zone: tzinfo) -> datetime | None:
        """The last time of the schedule up to now, in UTC; None if there was none in four years.

        A time that the change to summer time leaves out comes as much later; one that comes twice counts once.
        """
        today = now.astimezone(zone).date()
        for back in range(_LONGEST):
            day = today - timedelta(days=back)
            for found in self._times(day, zone) if self._has(day) else ():
                if found <= now:
                    return found
        return None

    def _has(self, day: date) -> bool:
        _, _, days, months, weekdays = self.fields
        in_month, in_week = day.day in days, (day.weekday() + 1) % 7 in weekdays
        return day.month in months and (in_month or in_week if self.either else in_month and in_week)

    def _times(self, day: date, zone: tzinfo) -> Iterator[datetime]:
        """The times of a day in UTC, the latest first."""
        for hour in sorted(self.fields[1], reverse=True):
            for minute in sorted(self.fields[0], reverse=True):
                yield datetime.combine(day, time(hour, minute), zone).astimezone(UTC)


def parsed(text: str, where: str) -> Schedule:
    """Parses the five fields of a crontab.

    Raises:
        UserError: They are none, or never come.
    """
    texts = text.lower().split()
    if len(texts) != len(_RANGES):
        raise UserError(f"{where} is {text!r}", fix=_FIX)
    fields = tuple(_numbers(each, number, f"{where} is {text!r}") for number, each in enumerate(texts))
    # Sunday is 0 and 7.
    fields = (*fields[:4], frozenset(number % 7 for number in fields[4]))
    found = Schedule(fields, not texts[2].startswith("*") and not texts[4].startswith("*"))
    if found.last(datetime(2028, 12, 31, tzinfo=UTC), UTC) is None:
        raise UserError(f"{where} is {text!r}, which never comes", fix="correct the day or the month")
    return found


def _numbers(text: str, field: int, what: str) -> frozenset[int]:
    found = [_part(each, field, what) for each in text.split(",")]
    return frozenset(number for each in found for number in each)


def _part(text: str, field: int, what: str) -> range:
    found, (low, high) = _PART.fullmatch(text), _RANGES[field]
    if not found:
        raise UserError(f"{what}: {text!r} is no part of a schedule", fix=_FIX)
    first, last, step = found.groups()
    begin = low if first == "*" else _number(first, field, what)
    # 5/15 means from 5 on, every 15.
    end = _number(last, field, what) if last else high if first == "*" or step else begin
    if not low <= begin <= end <= high or step == "0":
        raise UserError(f"{what}: {text!r} is not from {low} to {high}", fix=_FIX)
    return range(begin, end + 1, int(step or 1))


def _number(text: str, field: int, what: str) -> int:
    number = _NAMES[field].get(text[:3], None) if text[:1].isalpha() else int(text)
    if number is None:
        raise UserError(f"{what}: {text!r} is no name", fix=_FIX)
    return number
