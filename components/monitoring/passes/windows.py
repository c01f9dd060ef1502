"""Windows: times of equal length, counted from 1970 in UTC, so that an hour or a day begins where people expect it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from components.monitoring.window import Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_SILENT = 100
"""Windows without rows that are looked at in a row; whoever switches a monitor on after a year starts at the end."""


def window(model: str, time: datetime, length: str, every: timedelta) -> Window:
    """The window that a time is in."""
    start = EPOCH + (time - EPOCH) // every * every
    return Window(model, start, start + every, length)


def touched(ranges: Iterable[tuple[datetime, datetime]], every: timedelta) -> Iterator[datetime]:
    """The starts of the windows that times from one up to but not including another are in."""
    seen = set[datetime]()
    for start, end in ranges:
        at = EPOCH + (start - EPOCH) // every * every
        while at < end:
            if at not in seen:
                seen.add(at)
                yield at
            at += every


def silent(last: datetime | None, until: datetime, every: timedelta) -> list[datetime]:
    """The starts of windows after the last one that are over at a time; the latest if there are many."""
    if last is None:
        return []
    at = max(last + every, EPOCH + (until - EPOCH) // every * every - MOST_SILENT * every)
    found = []
    while at + every <= until:
        found.append(at)
        at += every
    return found
