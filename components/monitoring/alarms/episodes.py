"""Finds in a key's windows when something began, how sure it is, and when it was over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import Signal

_EXPONENT = 0.1
_LEAST_P, _MOST_EVIDENCE = 1e-300, 1e300
_NEUTRAL = _EXPONENT ** (1 / (1 - _EXPONENT))
"""The p-value that leaves the evidence as it is."""


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
    now: float = 1.0
    signal: Signal | None = None
    quiet: int = 0
    quiet_rows: int = 0
    is_over: bool = False


def grown(evidence: float, p: float) -> float:
    """The evidence after one more window: an e-detector that bets on small p-values."""
    factor: float = _EXPONENT * max(p, _LEAST_P) ** (_EXPONENT - 1)
    return min(max(evidence, 1.0) * factor, _MOST_EVIDENCE)


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
    now = grown(current.now, signal.p_adjusted)
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
    """Without a signal, even a small p-value adds no evidence: the effect is too small to matter."""
    p = max(view.signal.p_adjusted, _NEUTRAL) if view.signal else 1.0
    quiet, rows = current.quiet + 1, current.quiet_rows + view.rows
    # A few rows at night say nothing: what is over must not have been seen in as many rows as it was seen in.
    is_over = quiet >= settings.close_after and rows >= current.rows
    return replace(current, now=grown(current.now, p), quiet=quiet, quiet_rows=rows, is_over=is_over)
