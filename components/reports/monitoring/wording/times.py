"""Times on an axis: seconds since 1970 in UTC, with ticks at round times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from components.reports.axes import Range

_STEPS = (1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 10_800, 21_600, 43_200)
_DAY = 86_400
_DAYS = (1, 2, 3, 5, 7, 14, 28, 56, 91, 182, 364)


def ticks(limits: Range, count: int = 6) -> list[tuple[float, str]]:
    """About `count` round times in a range, with their labels; a day's first tick names the day."""
    step = _step(limits[1] - limits[0], count)
    first = math.ceil(limits[0] / step)
    times = [float(index * step) for index in range(first, math.floor(limits[1] / step) + 1)]
    return list(zip(times, labels(times, step), strict=True))


def _step(seconds: float, count: int) -> int:
    known = (*_STEPS, *(days * _DAY for days in _DAYS))
    return next((step for step in known if seconds / step <= count), _DAYS[-1] * _DAY * max(1, int(seconds // 2e8)))


def labels(times: Sequence[float], step: float) -> list[str]:
    """The times as text: the time of day, or the day where it changes."""
    moments = [moment(each) for each in times]
    if step >= _DAY:
        return [f"{each:%b} {each.day}" if each.year == moments[0].year else f"{each:%Y-%m-%d}" for each in moments]
    shape = "%H:%M:%S" if step < 60 else "%H:%M"
    return [
        f"{each:%b} {each.day}" if each.hour == each.minute == each.second == 0 else f"{each:{shape}}"
        for each in moments
    ]


def moment(seconds: float) -> datetime:
    """Seconds as a time."""
    return datetime.fromtimestamp(seconds, UTC)


def short(when: datetime) -> str:
    """2026-11-27 20:58, with seconds if there are any."""
    return f"{when:%Y-%m-%d %H:%M:%S}" if when.second else f"{when:%Y-%m-%d %H:%M}"


def iso(when: datetime) -> str:
    """A time for an address: 2026-11-27T20:58:00Z."""
    return f"{when:%Y-%m-%dT%H:%M:%S}Z"


def lasting(seconds: float) -> str:
    """The length of a window: 10 s, 5 min, 1 h, 1 day."""
    for size, unit in ((_DAY, "day"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{seconds:g} s"
