"""What an alarm says: what moved, by how much, since when, where, and how the model's answers moved with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from components.monitoring.alarms.alarm import Key
from components.monitoring.alarms.wording.words import number, pair, share, shortened, time
from components.monitoring.decision import DEVIATIONS, Decision
from components.monitoring.profile.quantiles import quantiles
from components.monitoring.summaries import Summary

ALL = "*"
"""The column of the measure over all columns together."""

_TESTS = {"values": "drift", "missing": "missing", "unseen": "unseen", "types": "types"}
_OUTPUT = "output_"
BY_RANK = " by rank"
"""The effect of numbers is a shift of ranks on a normal scale: not that of the mean, which one value can move."""

_CHANCE = 0.5
"""The AUC of a classifier that cannot tell rows apart."""


def kind(decision: Decision) -> str:
    """The kind of alarm that a test is for."""
    return _TESTS.get(decision.test, "drift")


def what_moved(decision: Decision, window: Summary | None, training: Summary | None) -> str:
    """What moved, and by how much, in the units of the column."""
    if decision.column == ALL:
        auc = f"AUC {_CHANCE + decision.effect:.2f} ({_CHANCE} is chance)"
        return f"the columns together differ from the training data: a classifier tells the rows apart with {auc}"
    if window is None or training is None:
        return f"{_subject(decision.column)} differs from the training data ({_effect(decision)})"
    return f"{_subject(decision.column)}{_moved(decision, window, training)}"


def sentence(model: str, key: Key, what: str, since: datetime, importance: float | None) -> str:
    """The alarm in one sentence."""
    return "".join(_parts(model, key, what, since, importance))


def _parts(model: str, key: Key, what: str, since: datetime, importance: float | None) -> Iterator[str]:
    yield model if key.version is None else f"{model} version {key.version}"
    yield f": {what}, since {time(since)}"
    if key.slice:
        yield f", where {key.slice}"
    if importance and math.isfinite(importance) and not key.column.startswith(_OUTPUT):
        yield f"; {_answers(importance)}"


def _answers(importance: float) -> str:
    if abs(importance) < 0.005:
        return "the model's answers hardly move with it"
    return f"the model's answers move by {number(abs(importance))} standard deviations with it"


def _subject(column: str) -> str:
    is_output = column.startswith(_OUTPUT)
    return f"the model's answers ({column.removeprefix(_OUTPUT)})" if is_output else column


def _moved(decision: Decision, window: Summary, training: Summary) -> str:
    if decision.test == "missing":
        now, before = share(_part(window.missing, window.rows)), share(_part(training.missing, training.rows))
        return f" is missing in {now} of rows, was {before}"
    if decision.test == "unseen":
        return f": {_unseen(window)}"
    if decision.test == "types":
        return _types(window, training)
    moved = _numbers if window.bins.kind == "number" else _categories
    return f": {moved(decision, window, training)}"


def _unseen(window: Summary) -> str:
    """The most frequent value that the training data never had, and how many others there are."""
    total = share(_part(window.unseen_count, window.rows))
    if not window.unseen:
        return f"{total} of rows have values never seen in training"
    value, count = max(window.unseen.items(), key=lambda each: each[1])
    first = f"`{shortened(value)}` is {share(_part(count, window.rows))} of rows, never seen in training"
    others = len(window.unseen) - 1
    return f"{first} (with {others} other new value{'s'[: others > 1]}: {total})" if others else first


def _types(window: Summary, training: Summary) -> str:
    type_rows = _part(window.type_errors, window.rows), _part(training.type_errors, training.rows)
    shape_rows = _part(window.shape_errors, window.rows), _part(training.shape_errors, training.rows)
    is_type = type_rows[0] - type_rows[1] >= shape_rows[0] - shape_rows[1]
    now, before = type_rows if is_type else shape_rows
    what = "another type" if is_type else "another number of values"
    return f" has {what} than in training in {share(now)} of rows, was {share(before)}"


def _numbers(decision: Decision, window: Summary, training: Summary) -> str:
    """The median or the mean, whichever moved as the effect says; else where the distributions differ most."""
    if not window.counts.sum():
        return "no row has a value"
    if decision.effect_unit.startswith("share"):
        return _gap(window, training)
    by = _effect(decision) if training.variance else "it was always the same"
    return f"{_centre(decision.effect, window, training) or _gap(window, training)} ({by})"


def _centre(effect: float, window: Summary, training: Summary) -> str:
    """The first of median and mean that moved in the direction of the effect; empty if neither did."""
    now, before = (quantiles(each, [0.5]) for each in (window, training))
    moved = {"median": (*before, *now), "mean": (training.mean, window.mean)}
    found = (f"{name} {pair(*ends)}" for name, ends in moved.items() if len(ends) == 2 and _goes(effect, *ends))
    return next(found, "")


def _goes(effect: float, before: float, now: float) -> bool:
    return (now - before) * effect > 0


def _gap(window: Summary, training: Summary) -> str:
    now, before = _above(window), _above(training)
    if not len(now):
        return "its values differ from the training data's"
    widest = _most(now - before)
    edge = number(float(window.bins.edges[widest]))
    return f"{share(float(now[widest]))} of values are above {edge}, was {share(float(before[widest]))}"


def _above(summary: Summary) -> NDArray[np.float64]:
    """By edge, the share of values above it."""
    total = max(int(summary.counts.sum()), 1)
    found: NDArray[np.float64] = 1 - np.cumsum(summary.counts)[:-1] / total
    return found


def _categories(decision: Decision, window: Summary, training: Summary) -> str:
    """The value whose share moved most."""
    now, before = _shares(window), _shares(training)
    if not len(now):
        return f"its values differ from the training data's ({_effect(decision)})"
    most = _most(now - before)
    value = shortened(window.bins.values[most])
    return f"`{value}` is {share(float(now[most]))} of values, was {share(float(before[most]))}"


def _most(moved: NDArray[np.float64]) -> int:
    """The largest change; of two of the same size, the one upwards."""
    return int(np.argmax(np.abs(moved) + 1e-9 * (moved > 0)))


def _shares(summary: Summary) -> NDArray[np.float64]:
    found: NDArray[np.float64] = summary.counts / max(int(summary.counts.sum()) + summary.unseen_count, 1)
    return found


def _effect(decision: Decision) -> str:
    if decision.effect_unit.startswith("share"):
        return f"{share(abs(decision.effect))} of rows"
    return f"{decision.effect:+.2f} {decision.effect_unit}{BY_RANK if decision.effect_unit == DEVIATIONS else ''}"


def _part(count: int, rows: int) -> float:
    return count / rows if rows else 0.0
