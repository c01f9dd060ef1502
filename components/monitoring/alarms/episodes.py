"""Finds in a key's windows when something began, how sure it is, and when it was over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import NEAR, Signal
from components.monitoring.calibration.evidence import update

_NOTHING = 1.0
"""The p-value of a key that was looked at and of which nothing was kept."""


@dataclass(frozen=True)
class View:
    """A window as a key sees it; `signal` is None if nothing was found."""

    start: datetime
    end: datetime
    rows: int
    signal: Signal | None


@dataclass(frozen=True)
class Episode:
    """From the first signal until enough windows had none.

    Attributes:
        since: The start of the first window with a signal.
        last: The end of the last one.
        rows: The rows of the last one.
        evidence: The highest evidence so far.
        now: The evidence now.
        signal: The last signal; None if it is known from before only.
        quiet: Windows without a signal since then.
        quiet_rows: Their rows.
        is_over: Whether it has ended.
    """

    since: datetime
    last: datetime
    rows: int
    evidence: float = 0.0
    now: float = 0.0
    signal: Signal | None = None
    quiet: int = 0
    quiet_rows: int = 0
    is_over: bool = False


def grown(evidence: float, signal: Signal) -> float:
    """The evidence after one more window, by what calibration/evidence.py counts."""
    if signal.p_value is None:
        return update(evidence, signal.p_adjusted)
    return update(evidence, signal.p_value, shared=signal.shared, tests=signal.tests)


def episodes(views: Iterable[View], settings: AlarmSettings, begun: Episode | None = None) -> list[Episode]:
    """The episodes in a key's windows, the first one perhaps begun before; only the last one may not be over."""
    found: list[Episode] = []
    current = begun
    for view in views:
        current = _after(current, view, settings)
        if current and current.is_over:
            found.append(current)
            current = None
    return [*found, current] if current else found


def _after(current: Episode | None, view: View, settings: AlarmSettings) -> Episode | None:
    if view.signal and view.signal.signal:
        return _seen(current or Episode(view.start, view.end, view.rows), view, view.signal)
    return _unseen(current, view, settings) if current else None


def _seen(current: Episode, view: View, signal: Signal) -> Episode:
    now = grown(current.now, signal)
    return replace(
        current,
        last=max(view.end, current.last),
        rows=view.rows,
        evidence=max(now, current.evidence),
        now=now,
        signal=signal,
        quiet=0,
        quiet_rows=0,
    )


def _unseen(current: Episode, view: View, settings: AlarmSettings) -> Episode:
    """What comes near a signal keeps an episode going, unless it is too small to matter, whatever its p-value."""
    found = view.signal
    is_small = found is not None and found.p_adjusted <= settings.level
    now = current.now if is_small else grown(current.now, found) if found else update(current.now, _NOTHING)
    if found and found.p_value is not None and found.p_value <= NEAR and not is_small:
        return replace(current, now=now, evidence=max(now, current.evidence))
    quiet, rows = current.quiet + 1, current.quiet_rows + view.rows
    # A few rows at night say nothing: what is over must not have been seen in as many rows as it was seen in.
    is_over = quiet >= settings.close_after and rows >= current.rows
    return replace(current, now=now, quiet=quiet, quiet_rows=rows, is_over=is_over)
