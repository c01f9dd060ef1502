"""Runs as parallel coordinates: which parameters and metrics have an axis, and which metric they lead to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from components.reports.compared.parallel import Line, parallel
from components.reports.readers.directions import less_is_better, says_nothing
from taxiway.reports import changes

_MOST_PARAMETERS = 6
_MOST_METRICS = 3
_USUAL = ("auc", "accuracy", "binary_accuracy", "loss")


@dataclass(frozen=True)
class Point:
    """A run: its name, its parameters and its metrics."""

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]


def axes_of(points: Sequence[Point], wanted: Sequence[str] = ()) -> list[str]:
    """The axes: those that are wanted, else the parameters and then the metrics that differ, the main metric last."""
    known = [*_names(point.parameters for point in points), *_names(point.metrics for point in points)]
    if chosen := [name for name in dict.fromkeys(wanted) if name in known]:
        return chosen
    return [*differing(point.parameters for point in points)[:_MOST_PARAMETERS], *_metrics(points)]


def _metrics(points: Sequence[Point]) -> list[str]:
    found = [name for name in differing(point.metrics for point in points) if not says_nothing(name)]
    main = main_metric(points)
    return [*[name for name in found if name != main][: _MOST_METRICS - 1], main] if main else []


def main_metric(points: Iterable[Point]) -> str:
    """The metric that runs are most often judged by; empty if there are none."""
    return next(iter(ranked(_names(point.metrics for point in points))), "")


def ranked(names: Iterable[str]) -> list[str]:
    """Metrics, those that runs are most often judged by first, counts and means last."""
    usual = {name: place for place, name in enumerate(_USUAL)}
    return sorted(names, key=lambda name: (usual.get(name, len(usual)), says_nothing(name)))


def differing(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names whose values are not the same everywhere."""
    listed = list(found)
    first, counts, different = dict[str, Any](), Counter[str](), set[str]()
    for each in listed:
        counts.update(each.keys())
        different |= {name for name, value in each.items() if _differs(value, first.setdefault(name, value))}
    return [name for name in first if name in different or counts[name] < len(listed)]


def _differs(value: Any, first: Any) -> bool:
    # NaN is not equal to itself.
    return bool(value != first and not (value != value and first != first))


def _names(found: Iterable[Mapping[str, Any]]) -> list[str]:
    merged: dict[str, Any] = {}
    for each in found:
        merged.update(each)
    return list(merged)


def picture(points: Sequence[Point], wanted: Sequence[str] = ()) -> Markup:
    """The picture; nothing if fewer than two things differ."""
    names = axes_of(points, wanted)
    lines = [Line(point.name, {name: _value(point, name) for name in names}) for point in points]
    title = "Each line is a run, from its parameters to its metrics"
    return parallel(lines, names, title=title, less_is_better=bool(names) and less_is_better(names[-1]))


def _value(point: Point, name: str) -> float | str | bool | None:
    value = point.parameters.get(name, point.metrics.get(name))
    if value is None or isinstance(value, bool | str):
        return value
    return value if isinstance(value, int | float) and math.isfinite(value) else changes.text(value)
