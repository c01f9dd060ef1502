"""Where the parts of monitoring lead to: pages of a server, or nowhere in a report that is a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from components.reports.markup import Content, tag


@dataclass(frozen=True)
class Links:
    """Addresses of pages; None or empty where there is none.

    Attributes:
        column: Of a column.
        window: Of the window that starts then.
        alarm: Of an alarm.
        during: Of the same page for a range of time.
    """

    column: Callable[[str], str] = lambda column: ""
    window: Callable[[datetime], str] = lambda start: ""
    alarm: Callable[[str], str] = lambda alarm: ""
    during: Callable[[datetime, datetime], str] = lambda since, until: ""


NOWHERE = Links()


def link(words: Content, place: str) -> Content:
    """Words that lead somewhere, if there is a place."""
    return tag("a", words, href=place) if place else words
