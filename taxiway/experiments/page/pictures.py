"""The pictures of the page: intervals over time, by metric and by slice."""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup

from components.reports import axes
from components.reports.charts import Frame
from components.reports.dots import Dot, dots
from components.reports.monitoring.timeline import Line, Marks, timeline
from components.reports.parts import side_by_side
from taxiway.experiments import words
from taxiway.experiments.compare import Course, Found
from taxiway.experiments.look import Look
from taxiway.experiments.settings import Metric
from taxiway.experiments.slices import STRETCH, Sliced

_FRAME = Frame(480, 230, left=62, right=12, top=26, bottom=28)
_MOST_LOOKS = 8
_SETTLED = 0.15
"""The part of the time whose wide intervals do not decide about the picture's height."""


def over_time(look: Look) -> Markup:
    """How each interval narrowed; the looks are marked."""
    return side_by_side(*(_course(look, each) for each in look.courses))


def _course(look: Look, course: Course) -> Markup:
    metric = words.metric_of(look.experiment, course.metric)
    scale = 100.0 if words.is_percent(metric) else 1.0
    low, high, middle = (scale * np.asarray(part) for part in (course.low, course.high, course.difference))
    margin = _margin(metric, course, scale)
    up = _height(low, high, np.asarray([0.0, *(each.values[0] for each in margin)]))
    known = np.isfinite(low) & np.isfinite(high)
    line = Line(
        course.arm if len(look.experiment.treatments) > 1 else "difference",
        course.times,
        np.where(known, middle, np.nan).tolist(),
        np.where(known, np.clip(low, *up), np.nan).tolist(),
        np.where(known, np.clip(high, *up), np.nan).tolist(),
    )
    zero = Line("no difference", course.times, [0.0] * len(course.times), color=6, is_dashed=True)
    return timeline(
        [line, zero, *margin],
        Marks((course.times[0], max(course.times[-1], course.times[0] + 1)), 0.0, versions=_marked(look)),
        title=f"{course.metric}: difference",
        y_range=up,
        note=f"{course.arm} minus {look.experiment.control}{_unit(metric)}",
        frame=_FRAME,
    )


def _margin(metric: Metric, course: Course, scale: float) -> list[Line]:
    if metric.margin is None:
        return []
    at = -metric.sign * metric.margin * scale
    return [Line("allowed", course.times, [at] * len(course.times), color=1, is_dashed=True)]


def _unit(metric: Metric) -> str:
    unit = "percentage points" if words.is_percent(metric) else metric.unit
    return f", in {unit}" if unit else ""


def _height(low: np.ndarray, high: np.ndarray, shown: np.ndarray) -> tuple[float, float]:
    """The values that are shown: the interval once it has settled, and twice what it is at the end at most."""
    first = int(_SETTLED * len(low))
    kept = [each[first:] for each in (low, high)]
    finite = np.concatenate([each[np.isfinite(each)] for each in kept])
    if not finite.size:
        return axes.rounded(axes.extent(shown.tolist()), 4)
    last = [float(each[np.isfinite(each)][-1]) for each in kept if np.isfinite(each).any()]
    width = max(last) - min(last)
    ends = max(float(finite.min()), min(last) - width), min(float(finite.max()), max(last) + width)
    return axes.rounded(axes.extent([*ends, *shown.tolist()]), 4)


def _marked(look: Look) -> list[tuple[float, str]]:
    """The latest looks, by their number."""
    seen = [(each["until"].timestamp(), f"look {number}") for number, each in enumerate(look.before, 1)]
    found = list[tuple[float, str]]()
    for when, name in seen[-_MOST_LOOKS:]:
        if not found or when - found[-1][0] > 0.1 * max((look.until - look.experiment.start).total_seconds(), 1.0):
            found.append((when, name))
    return found


def by_metric(look: Look) -> Markup | None:
    """Every difference as a part of the control, to see them beside each other."""
    rows = [_relative(look, each) for each in look.found if math.isfinite(each.relative) and math.isfinite(each.low)]
    if not rows:
        return None
    return dots(rows, title="Differences in percent of the control", reference=0.0, note="the bar is the interval")


def _relative(look: Look, found: Found) -> Dot:
    part = 100 / abs(found.control)
    name = f"{found.metric}, {found.arm}" if len(look.experiment.treatments) > 1 else found.metric
    ends = round(part * found.low, 2), round(part * found.high, 2)
    return Dot(name, round(100 * found.relative, 2), ends)


def slices(look: Look) -> Markup:
    """Every metric by slice."""
    return side_by_side(*(_sliced(look, each) for each in look.sliced))


def _sliced(look: Look, sliced: Sliced) -> Markup:
    metric = words.metric_of(look.experiment, sliced.metric)
    scale = 100.0 if words.is_percent(metric) else 1.0
    rows = [_slice(sliced, name, each, scale) for name, each in sliced.found.items()]
    arm = f", {sliced.arm}" if len(look.experiment.treatments) > 1 else ""
    by = "stretch of weights" if sliced.name == STRETCH else sliced.name
    return dots(rows, title=f"{sliced.metric} by {by}{arm}", reference=0.0, note=_note(metric, sliced))


def _slice(sliced: Sliced, name: str, each: Found, scale: float) -> Dot:
    shown = f"stretch {int(name) + 1}" if sliced.name == STRETCH and name.isdigit() else name
    ends = _rounded(scale * each.low), _rounded(scale * each.high)
    interval = ends if all(map(math.isfinite, ends)) else None
    return Dot(shown, _rounded(scale * each.difference), interval, f"{each.n_control + each.n_treatment:,} units")


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _note(metric: Metric, sliced: Sliced) -> str:
    if not math.isfinite(sliced.heterogeneous):
        return _unit(metric).removeprefix(", ")
    differs = "the effect differs" if sliced.heterogeneous < 0.01 else "the effect may well be the same in all slices"
    return f"{differs} (p = {sliced.heterogeneous:.2g}){_unit(metric)}"
