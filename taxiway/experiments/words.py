"""Figures and verdicts as people say them, the same in the terminal and on the page."""

from __future__ import annotations

import math
from datetime import timedelta

from taxiway.experiments.compare import BETTER, BROKEN, HOLDS, UNDECIDED, WORSE, Found
from taxiway.experiments.settings import OFFLINE, PROPORTION, RANK, Experiment, Metric

STATES = {
    BETTER: "better",
    WORSE: "worse",
    HOLDS: "not worse",
    BROKEN: "worse than allowed",
    UNDECIDED: "not known yet",
}


def metric_of(experiment: Experiment, name: str) -> Metric:
    """A metric by its name."""
    return next(metric for metric in experiment.metrics if metric.name == name)


def is_percent(metric: Metric) -> bool:
    """Whether it is a share, which people read in percent."""
    return metric.computed in (PROPORTION, RANK) or metric.kind in (*OFFLINE[1:3], "click-through")


def value(metric: Metric, number: float) -> str:
    """An arm's figure in the metric's units."""
    if not math.isfinite(number):
        return "unknown"
    if is_percent(metric):
        return f"{_digits(100 * number)} %"
    return f"{_digits(number)}{f' {metric.unit}' if metric.unit else ''}"


def change(metric: Metric, number: float) -> str:
    """A difference in the metric's units; of shares, in percentage points."""
    if not math.isfinite(number):
        return "unknown"
    if is_percent(metric):
        return f"{_signed(100 * number)} points"
    return f"{_signed(number)}{f' {metric.unit}' if metric.unit else ''}"


def interval(metric: Metric, found: Found) -> str:
    """The ends of the interval."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return "nothing known yet"
    low = change(metric, found.low).removesuffix(" points").removesuffix(f" {metric.unit}" if metric.unit else "\0")
    return f"{low} to {change(metric, found.high)}"


def relative(found: Found) -> str:
    """The difference as a part of the control."""
    return f"{_signed(100 * found.relative)} %" if math.isfinite(found.relative) else ""


def line(metric: Metric, found: Found) -> str:
    """A difference in one line."""
    part = f", {relative(found)}" if relative(found) else ""
    return (
        f"{found.metric}: {value(metric, found.control)} -> {value(metric, found.treatment)}, "
        f"{change(metric, found.difference)} ({interval(metric, found)}){part}: {STATES[found.state]}"
    )


def lasting(length: timedelta) -> str:
    """A length of time in its largest unit."""
    seconds = length.total_seconds()
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size, 1)
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def _digits(number: float) -> str:
    if number == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{min(decimals, 8)}f}"


def _signed(number: float) -> str:
    return f"{'+' if number >= 0 else '-'}{_digits(abs(number))}"
