"""The picture of an alarm: two distributions, small enough to keep with it and to send.

{"kind": "numbers", "column": ..., "bins": [{"low", "high", "before", "now"}, ...]}: at most 40 bins of equal width; the
first and the last also have all that lies beyond them.
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

import numpy as np
from numpy.typing import NDArray

from components.monitoring.alarms.wording.words import shortened
from components.monitoring.summaries import Summary

BINS, VALUES = 40, 12
"""The most bins and values in a picture."""


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
    low, high = _range(window, training)
    edges = np.linspace(low, high, BINS + 1)
    before, now = (_spread(each, edges, low, high) for each in (training, window))
    return bars(window.name, edges.tolist(), before.tolist(), now.tolist())


def _range(window: Summary, training: Summary) -> tuple[float, float]:
    """Where nearly all values of both lie: a single value far out would leave one bar."""
    ends = [_ends(each) for each in (training, window) if each.counts.sum()]
    low, high = min((each[0] for each in ends), default=0.0), max((each[1] for each in ends), default=1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _ends(summary: Summary) -> tuple[float, float]:
    """The ends of the bins with the hundredth and the ninety-ninth part of the values."""
    parts = np.cumsum(summary.counts) / summary.counts.sum()
    lows, highs = _bounds(summary)
    first, last = int(np.searchsorted(parts, 0.01)), min(int(np.searchsorted(parts, 0.99)), len(parts) - 1)
    return float(lows[first]), float(highs[last])


def _bounds(summary: Summary) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower and the upper end of each bin; outer bins end at the least and the greatest value."""
    edges = summary.bins.edges
    lows = np.concatenate([[min(summary.low, *edges[:1])], edges])
    return lows, np.concatenate([edges, [max(summary.high, *edges[-1:])]])


def _spread(summary: Summary, edges: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """The shares by bins of equal width: a column's bin is spread evenly over those that it covers."""
    lows, highs = _bounds(summary)
    lows, highs = np.clip(lows, low, high), np.clip(highs, low, high)
    steps = np.concatenate([[0], np.cumsum(summary.counts)]) / max(int(summary.counts.sum()), 1)
    # A bin without width, such as one whose only value is its edge, is a step.
    places = np.concatenate([lows[:1], highs]) + np.arange(len(highs) + 1) * (high - low) * 1e-12
    below = np.interp(edges, places, steps)
    below[0], below[-1] = 0.0, steps[-1]
    found: NDArray[np.float64] = np.diff(below)
    return found


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
