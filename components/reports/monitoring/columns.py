"""The columns of a model, ranked by how far their changes move the answers, each with a line over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from numpy.typing import NDArray

from components.monitoring.tables import TRAINING
from components.reports import charts
from components.reports.figures import NOTHING, counted, percent
from components.reports.markup import Content
from components.reports.monitoring.links import link
from components.reports.monitoring.scope import numbers, read, seconds
from components.reports.monitoring.watched import Watched
from components.reports.monitoring.wording import times
from components.reports.monitoring.wording.names import ALL, column_name, short_effect
from components.reports.parts import badge, paragraph
from components.reports.tables import Cell, Column, table

_POINTS = 60
"""The most points of a small line."""


@dataclass(frozen=True)
class Ranked:
    """A column over the windows of a scope.

    Attributes:
        column: Its name.
        effect: The effect in the last window.
        unit: Its unit.
        importance: The greatest importance.
        signals: The share of windows with a signal.
        last_signal: The start of the last such window.
        effects: The effects over time, thinned.
    """

    column: str
    effect: float | None
    unit: str | None
    importance: float
    signals: float
    last_signal: datetime | None
    effects: Sequence[float]


def ranked(watched: Watched) -> list[Ranked]:
    """The columns, those whose changes move the answers most first; then by effect."""
    columns = ["window_start", "column", "effect", "effect_unit", "importance", "signal"]
    where = watched.scope.filters(("against", "=", TRAINING), ("test", "=", "values"), ("column", "!=", ALL))
    rows = read(watched.store, "drift", where, columns)
    found = [_ranked(str(column), each) for column, each in _split(rows)]
    return sorted(found, key=lambda each: (-(each.signals > 0), -each.importance, -_largest(each), each.column))


def _split(rows: pa.Table) -> list[tuple[object, pa.Table]]:
    """The rows by column: sorted once, and not searched once per column."""
    ordered = rows.sort_by([("column", "ascending"), ("window_start", "ascending")])
    counts = pc.value_counts(ordered["column"]).to_pylist()
    starts = np.cumsum([0, *(each["counts"] for each in counts)])
    return [
        (each["values"], ordered.slice(start, each["counts"])) for each, start in zip(counts, starts[:-1], strict=True)
    ]


def _furthest(rows: pa.Table) -> pa.Table:
    """Of several versions in a window, the row of the one that has moved most."""
    starts, effects = seconds(rows), np.nan_to_num(np.abs(numbers(rows, "effect")))
    signal = rows["signal"].fill_null(False).to_numpy(zero_copy_only=False)
    order = np.lexsort((effects, signal, starts))
    return rows.take(order[np.append(np.diff(starts[order]) > 0, True)])


def _ranked(column: str, rows: pa.Table) -> Ranked:
    rows = _furthest(rows)
    effects, signal = numbers(rows, "effect"), rows["signal"].fill_null(False).to_numpy(zero_copy_only=False)
    importance = np.abs(numbers(rows, "importance"))
    last = seconds(rows)[signal.astype(bool)]
    return Ranked(
        column,
        effect=None if np.isnan(effects[-1]) else float(effects[-1]),
        unit=rows["effect_unit"][-1].as_py(),
        importance=0.0 if np.isnan(importance).all() else float(np.nanmax(importance)),
        signals=float(signal.mean()),
        last_signal=times.moment(float(last[-1])) if len(last) else None,
        effects=thinned(effects),
    )


def thinned(values: NDArray[np.float64]) -> list[float]:
    """Of many values, the one furthest from zero of each stretch."""
    size = -(-len(values) // _POINTS)
    parts = [values[start : start + size] for start in range(0, len(values), max(size, 1))]
    return [float(part[np.argmax(np.nan_to_num(np.abs(part)))]) for part in parts]


def _largest(each: Ranked) -> float:
    return abs(each.effect or 0.0)


def listing(watched: Watched, found: Sequence[Ranked]) -> Markup:
    """A table of columns with small lines."""
    if not found:
        return paragraph("No column was compared with the training data in this time.")
    hint = "how far the change moved the model's answers at most, in their standard deviations"
    columns: list[str | Column] = [
        "Column",
        "Effect over time",
        Column("Now", True),
        Column("Moved answers", True, hint),
    ]
    columns += [Column("Windows with a signal", True), "Last signal"]
    return table(counted(len(found), "column"), columns, [_row(watched, each) for each in found], hide_caption=True)


def _row(watched: Watched, each: Ranked) -> list[Cell | Content]:
    name = column_name(each.column)
    line = charts.sparkline(each.effects, title=f"Effect of {name} over time", width=150, height=28)
    share = percent(each.signals)
    return [
        Cell(link(name, watched.links.column(each.column)), name),
        Cell(line, _largest(each)),
        Cell(short_effect(each.effect, each.unit), _largest(each)),
        Cell(f"{each.importance:.2f} sd" if each.importance else NOTHING, each.importance),
        Cell(badge(share, "bad") if each.signals else share, each.signals),
        times.short(each.last_signal) if each.last_signal else None,
    ]
