"""The picture of an alarm: two distributions, small enough to keep with it and to send.

{"kind": "numbers", "column": ..., "bins": [{"low", "high", "before", "now"}, ...]}: at most 40 bins, of equal width or,
if the axis is logarithmic, of equal width on that; the first and the last also have all that lies beyond them.
{"kind": "values", "column": ..., "values": [{"value", "before", "now"}, ...], "rest": {"before", "now"}}: the 12 most
frequent values; `is_new` if training never had one.
{"kind": "shares", "column": ..., "label": ..., "before": ..., "now": ...}: one share.
All figures are shares of 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from components.monitoring.alarms.wording.words import shortened
from components.monitoring.profile.bars import Bin, borders
from components.monitoring.profile.bars import shares as shares_of
from components.monitoring.profile.quantiles import histogram
from components.monitoring.summaries import Summary

VALUES = 12
"""The most values in a picture."""

_FINE = 400
"""The bins that bars are made of."""


def picture(test: str, window: Summary, training: Summary) -> str:
    """The column in the training data and in the window, as JSON."""
    if test == "missing":
        return shares(
            window.name, "missing", _part(training.missing, training.rows), _part(window.missing, window.rows)
        )
    if test == "types":
        errors = [each.type_errors + each.shape_errors for each in (training, window)]
        return shares(window.name, "errors", _part(errors[0], training.rows), _part(errors[1], window.rows))
    return _numbers(window, training) if window.bins.kind == "number" else _values(window, training)


def shares(column: str, label: str, before: float, now: float) -> str:
    """One share, before and now."""
    return _json({"kind": "shares", "column": column, "label": label, "before": before, "now": now})


def bars(column: str, edges: Sequence[float], before: Sequence[float], now: Sequence[float]) -> str:
    """Numbers by bin: one more edge than bins."""
    names = ("low", "high", "before", "now")
    rows = zip(edges[:-1], edges[1:], before, now, strict=True)
    return _json({"kind": "numbers", "column": column, "bins": [dict(zip(names, row, strict=True)) for row in rows]})


def _json(content: Any) -> str:
    return json.dumps(_rounded(content), separators=(",", ":"), ensure_ascii=False)


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    if isinstance(content, float):
        # The end of a bin may be the float next to 0.
        return float(f"{content:.4g}") if abs(content) >= sys.float_info.min else 0.0
    return content


def _numbers(window: Summary, training: Summary) -> str:
    found = [_bins(each) for each in (training, window)]
    edges = borders(found)
    return bars(window.name, edges.tolist(), *(shares_of(each, edges) for each in found))


def _bins(summary: Summary) -> list[Bin]:
    return [(each["low"], each["high"], each["count"]) for each in histogram(summary, _FINE)]


def _values(window: Summary, training: Summary) -> str:
    shares_before, shares_now = _shares(training), _shares(window)
    names = {*shares_before, *shares_now}
    most = sorted(names, key=lambda name: (-max(shares_before.get(name, 0), shares_now.get(name, 0)), name))[:VALUES]
    new = [name for name in window.unseen if name in most]
    values = [_value(name, shares_before, shares_now, name in new) for name in most]
    rest = {name: max(0.0, 1 - sum(each[name] for each in values)) for name in ("before", "now")}
    return _json({"kind": "values", "column": window.name, "values": values, "rest": rest})


def _value(name: str, before: dict[str, float], now: dict[str, float], is_new: bool) -> dict[str, Any]:
    found = {"value": shortened(name), "before": before.get(name, 0.0), "now": now.get(name, 0.0)}
    return {**found, "is_new": True} if is_new else found


def _shares(summary: Summary) -> dict[str, float]:
    total = max(int(summary.counts.sum()) + summary.unseen_count, 1)
    seen = zip(summary.bins.values, summary.counts.tolist(), strict=True)
    return {name: count / total for name, count in [*seen, *summary.unseen.items()] if count}


def _part(count: int, rows: int) -> float:
    return count / rows if rows else 0.0
