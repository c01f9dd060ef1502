"""Distributions beside each other: training, a window, the window before it; and the picture of an alarm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from components.monitoring.profile import bars
from components.monitoring.profile.bars import Array, Bin
from components.reports import axes, charts
from components.reports.charts import Distribution, Frame
from components.reports.figures import number, percent
from components.reports.parts import paragraph

LARGE = Frame(560, 230, left=10, right=10, top=8, bottom=22)
SMALL = Frame(184, 64, left=6, right=6, top=4, bottom=16)
_VALUES, _FEW = 12, 3
_LEAST = 0.0005
"""A smaller share beyond the axis is not told."""

Profile = Mapping[str, Any]
"""A row of the profile's table."""


def beside(profiles: Mapping[str, Profile | None], title: str, frame: Frame = LARGE) -> Markup:
    """The distributions of a column by what they are of, such as training and window."""
    known = {name: profile for name, profile in profiles.items() if profile}
    if any(profile.get("histogram") for profile in known.values()):
        return _numbers({name: _buckets(profile) for name, profile in profiles.items()}, title, frame)
    if any(profile.get("top_values") for profile in known.values()):
        return _values({name: _shares(profile) for name, profile in known.items()}, title, frame)
    return paragraph("There are no values to draw.", quiet=True)


def _buckets(profile: Profile | None) -> list[Bin]:
    found = (profile or {}).get("histogram") or []
    return [(each["low"], each["high"], each["count"]) for each in found]


def _shares(profile: Profile) -> dict[str, float]:
    """The shares of the most frequent values; those never seen in training are marked."""
    total = max((profile["rows"] or 0) - (profile["missing"] or 0), 1)
    seen = {each["value"]: each["count"] / total for each in profile["top_values"] or []}
    return seen | {f"{each['value']} (new)": each["count"] / total for each in profile["unseen_values"] or []}


def _numbers(buckets: Mapping[str, list[Bin]], title: str, frame: Frame) -> Markup:
    edges = bars.borders(list(buckets.values()))
    shares = {name: bars.shares(found, edges) for name, found in buckets.items()}
    return _drawn(shares, edges, title, frame, _beyond(buckets, edges))


def _drawn(shares: Mapping[str, list[float]], edges: Array, title: str, frame: Frame, note: str = "") -> Markup:
    """Bars of the same width, whatever they hold: the axis may be logarithmic."""
    drawn = [
        Distribution(name, [(place, place + 1, share) for place, share in enumerate(found)] if any(found) else [])
        for name, found in shares.items()
    ]
    scale = "logarithmic axis" if bars.is_logarithmic(edges) else ""
    words = "; ".join(filter(None, (scale, note)))
    ticks = _ticks(edges)
    return charts.histogram(drawn, title=title, frame=frame, has_caption=frame is LARGE, ticks=ticks, note=words)


def _ticks(edges: Array) -> list[tuple[float, str]]:
    """Round values with their places among the bars."""
    low, high = float(edges[0]), float(edges[-1])
    values = _powers(low, high) if bars.is_logarithmic(edges) else axes.ticks((low, high))
    if len(values) < _FEW:
        values = [float(f"{each:.5g}") for each in (low, float(np.median(edges)), high)]
    places = np.interp(values, edges, np.arange(len(edges)))
    return list(zip(places.tolist(), axes.labels(values), strict=True))


def _powers(low: float, high: float) -> list[float]:
    """Zero and the powers of ten in a range."""
    powers = [sign * 10.0**power for sign in (-1, 1) for power in range(-6, 16)]
    return [each for each in sorted([0.0, *powers]) if low <= each <= high]


def _beyond(buckets: Mapping[str, list[Bin]], edges: Array) -> str:
    """What the outer bars have beside their own values."""
    found = {name: bars.beyond(bins, edges) for name, bins in buckets.items() if bins}
    parts = []
    for side, words in enumerate((f"below {number(edges[0], 3)}", f"above {number(edges[-1], 3)}")):
        if any(each[side] >= _LEAST for each in found.values()):
            parts.append(f"{words}: {', '.join(f'{percent(each[side])} of {name}' for name, each in found.items())}")
    return f"the outer bars have the values beyond, {'; '.join(parts)}" if parts else ""


def _values(shares: Mapping[str, Mapping[str, float]], title: str, frame: Frame) -> Markup:
    most = {value: max(each.get(value, 0.0) for each in shares.values()) for each in shares.values() for value in each}
    ranked = sorted(most, key=lambda value: -most[value])[: _VALUES if frame is LARGE else _FEW]
    rows = [(value, [each.get(value, 0.0) for each in shares.values()]) for value in ranked]
    others = len(most) - len(ranked)
    picture = charts.shares(rows, list(shares), title=title, note=f"and {others} more" if others > 0 else None)
    legend = charts.legend([(name, False) for name in shares])
    return charts.figure(title, picture, legend) if frame is LARGE else picture


def of_alarm(picture: str, before: str = "training", now: str = "window") -> Markup | None:
    """The picture of an alarm, as components/monitoring/alarms writes it; None if there is none that can be drawn."""
    try:
        content = json.loads(picture)
        drawers = {"numbers": _bins, "values": _named, "shares": _share}
        return drawers[content["kind"]](content, (before, now))
    except (ValueError, KeyError, TypeError):
        return None


def _bins(content: Mapping[str, Any], names: Sequence[str]) -> Markup:
    found = {name: [each[key] for each in content["bins"]] for name, key in zip(names, ("before", "now"), strict=True)}
    edges = np.array([content["bins"][0]["low"], *(each["high"] for each in content["bins"])], float)
    return _drawn(found, edges, f"{content['column']}, as shares", LARGE, "the outer bars have all values beyond")


def _named(content: Mapping[str, Any], names: Sequence[str]) -> Markup:
    new = " (new)"
    rows = [
        (f"{each['value']}{new if each.get('is_new') else ''}", [each["before"], each["now"]])
        for each in content["values"]
    ]
    rest = content.get("rest") or {}
    rows += [("all others", [rest["before"], rest["now"]])] if rest.get("before") or rest.get("now") else []
    title = f"{content['column']}, as shares"
    legend = charts.legend([(name, False) for name in names])
    return charts.figure(title, charts.shares(rows, names, title=title), legend)


def _share(content: Mapping[str, Any], names: Sequence[str]) -> Markup:
    title = f"{content['column']}: {content['label']}, as shares of rows"
    rows = [(content["label"], [content["before"], content["now"]])]
    legend = charts.legend([(name, False) for name in names])
    return charts.figure(title, charts.shares(rows, names, title=title), legend)
