"""The trigger on quality: a metric is too bad in several windows in a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from components.contract.errors import UserError
from taxiway.loop.triggers.seen import Seen, View
from taxiway.loop.triggers.settings import QualityTrigger

_COLUMNS = ("window_start", "window_end", "version", "metric", "value")

Row = dict[str, Any]


def look(view: View, what: QualityTrigger) -> Seen:
    """How good the last windows were."""
    rows = [row for row in _rows(view, what) if row["value"] is not None]
    if not rows:
        return Seen(view.trigger, f"there is no {what.metric} yet")
    versions = sorted({row["version"] for row in rows}, key=lambda version: version or 0)
    streaks = [_streak([row for row in rows if row["version"] == version], what) for version in versions]
    bad = [streak for streak in streaks if len(streak) >= what.windows and not _is_covered(view, streak[0])]
    if not bad:
        return Seen(view.trigger, f"{_values(rows[-what.windows :], what)}: not {_bound(what)} in {_windows(what)}")
    streak = max(bad, key=lambda each: each[-1]["window_end"])
    since: datetime = streak[0]["window_start"]
    reason = f"{_values(streak[-what.windows :], what)}: {_bound(what)} since {since:%Y-%m-%d %H:%M} UTC"
    found = view.found(
        f"{what.metric}/{what.slice}/{since.isoformat()}",
        reason,
        streak[-1]["window_end"],
        since,
        metric=what.metric,
        value=streak[-1]["value"],
    )
    return Seen(view.trigger, reason, found)


def _rows(view: View, what: QualityTrigger) -> list[Row]:
    """The rows of the slice, by window.

    Raises:
        UserError: There are others, but none of this metric.
    """
    table = view.tables.read("quality", [("basis", "=", what.basis), ("slice", "=", what.slice)], _COLUMNS)
    rows = table.sort_by("window_start").to_pylist() if table.num_rows else []
    known = sorted({row["metric"] for row in rows})
    if known and what.metric not in known:
        raise UserError(f"the monitor computes no {what.metric!r}", fix=f"use one of {', '.join(known)}")
    return [row for row in rows if row["metric"] == what.metric]


def _streak(rows: Sequence[Row], what: QualityTrigger) -> list[Row]:
    """The last windows of a version if they are bad, the earliest first."""
    return list(takewhile(lambda row: _is_bad(row["value"], what), reversed(rows)))[::-1]


def _is_bad(value: float, what: QualityTrigger) -> bool:
    return value < what.below if what.below is not None else what.above is not None and value > what.above


def _is_covered(view: View, first: Row) -> bool:
    """Whether a cycle of this trigger has trained on data of the first bad window: labels that come later may change
    where it began.
    """
    ends = (each.trigger.facts["window_end"] for each in view.cycles if each.trigger.name == view.trigger.name)
    return any(first["window_start"].isoformat() < end for end in ends)


def _values(rows: Sequence[Row], what: QualityTrigger) -> str:
    where = f" in {what.slice}" if what.slice else ""
    values = ", ".join(f"{row['value']:.4g}" for row in rows)
    return f"{what.metric}{where} {values}"


def _bound(what: QualityTrigger) -> str:
    return f"below {what.below:g}" if what.below is not None else f"above {what.above:g}"


def _windows(what: QualityTrigger) -> str:
    return f"{what.windows} windows in a row" if what.windows > 1 else "the last window"
