"""Sections of which one may fail: what is wrong with its files must not cost the reader the rest of the page."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable

from components.reports.page import Section
from components.reports.parts import notice

Warn = Callable[[str], object]


def made(id_: str, title: str, make: Callable[[], Section | None], warn: Warn = lambda reason: None) -> Section | None:
    """The section that a function makes; if it fails, one that says so, and `warn` is told.

    Args:
        id_: The section's anchor if it fails.
        title: Its heading if it fails.
        make: Makes it, or None if there is nothing to show.
        warn: Is told why it cannot be shown.
    """
    try:
        return make()
    except Exception as error:
        # What is shown was written by others: anything may be wrong with it.
        reason = f"{type(error).__name__}: {error}"
        warn(f"{title} cannot be shown: {reason}")
        return Section(id_, title, notice(reason, "warn", "This section cannot be shown."))


def with_unique_ids(sections: Iterable[Section]) -> list[Section]:
    """The sections, of which several may have had the same anchor."""
    seen: Counter[str] = Counter()
    found = []
    for section in sections:
        seen[section.id] += 1
        count = seen[section.id]
        found.append(dataclasses.replace(section, id=f"{section.id}-{count}") if count > 1 else section)
    return found
