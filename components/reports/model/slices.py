"""The slices of an evaluation: a picture of the metric that matters, and a table of all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from components.reports.dots import Dot, dots
from components.reports.figures import counted, number, signed
from components.reports.markup import Content
from components.reports.model.sentences import listed
from components.reports.parts import fold, heading, paragraph, side_by_side, stack
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers.evaluations import Metric, Slice

_PREFERRED = ("auc", "binary_accuracy", "accuracy", "sparse_categorical_accuracy", "categorical_accuracy")
_MOST_DOTS = 24
_MOST_ROWS = 500
_MOST_METRICS = 12
_MOST_WAYS = 6  # ways of slicing; each has a picture for each metric
_FEW = 100  # rows of a slice; fewer say little


def part(slices: Sequence[Slice], preferred: str, directions: Mapping[str, bool]) -> Content:
    """Slices beside all rows; nothing if the rows are not sliced.

    Args:
        slices: As `readers.evaluations.read` has them.
        preferred: The metric to draw, if the slices have it: one with a threshold.
        directions: For metrics whose threshold says so: whether more is better.
    """
    whole = next((each for each in slices if not each.key), None)
    sliced = [each for each in slices if each.key]
    if whole is None or not sliced:
        return None
    names = [name for name, metric in whole.candidate.items() if not _is_count(metric)]
    if not names:
        return None
    chosen = preferred_of(whole, names, preferred)
    others = [stack(*_pictures(whole, sliced, name)) for name in _shown(names, chosen)[1:]]
    return stack(
        heading("Slices"),
        paragraph(_words(whole, sliced, chosen)),
        *_pictures(whole, sliced, chosen),
        fold(f"Pictures of {counted(len(others), 'more metric')}", *others) if others else None,
        _table(whole, sliced, names, chosen),
    )


def key_text(key: Sequence[tuple[str, str]]) -> str:
    """A slice's columns and values."""
    return ", ".join(f"{column}: {value}" for column, value in key)


def _is_count(metric: Metric) -> bool:
    return metric.base.endswith("example_count")


def preferred_of(whole: Slice, names: Sequence[str], preferred: str = "") -> str:
    """The metric that matters most: the preferred one, one of the usual ones, or the first."""
    bases = {whole.candidate[name].base: name for name in reversed(names)}
    return next((bases[base] for base in (preferred, *_PREFERRED) if base in bases), names[0])


def _shown(names: Sequence[str], chosen: str) -> list[str]:
    """The chosen metric and the first of the others."""
    return [chosen, *(name for name in names if name != chosen)][:_MOST_METRICS]


def _distance(each: Slice, whole: Slice, name: str) -> float | None:
    """How far a slice's metric is from that of all rows; None if one of them is not known."""
    if name not in each.candidate:
        return None
    distance = each.candidate[name].value - whole.candidate[name].value
    return distance if math.isfinite(distance) else None


def _words(whole: Slice, sliced: Sequence[Slice], chosen: str) -> str:
    far = [(abs(distance), each) for each in sliced if (distance := _distance(each, whole, chosen)) is not None]
    solid = [pair for pair in far if (pair[1].size or _FEW) >= _FEW] or far
    if not solid:
        return f"There are {counted(len(sliced), 'slice')}."
    _, each = max(solid, key=lambda pair: pair[0])
    value, all_rows = each.candidate[chosen].value, whole.candidate[chosen].value
    among = f"Of the {len(sliced)} slices" if len(solid) == len(sliced) else f"Of the slices with at least {_FEW} rows"
    figures = f"its {chosen} is {number(value)}, theirs {number(all_rows)}"
    return f"{among}, {each.name} is the farthest from all rows: {figures}."


def _pictures(whole: Slice, sliced: Sequence[Slice], name: str) -> Iterator[Markup]:
    """A picture for each way of slicing."""
    groups: dict[tuple[str, ...], list[Slice]] = {}
    for each in sliced:
        groups.setdefault(tuple(column for column, _ in each.key), []).append(each)
    several_each = {columns: group for columns, group in groups.items() if len(group) > 1}
    made = [_picture(columns, group, whole, name) for columns, group in list(several_each.items())[:_MOST_WAYS]]
    singles = [each for group in groups.values() if len(group) == 1 for each in group]
    made += [_picture((), singles, whole, name)] if singles else []
    yield side_by_side(*filter(None, made))
    if left := [" and ".join(columns) for columns in list(several_each)[_MOST_WAYS:]]:
        yield paragraph(f"Only in the table: slices by {listed(left)}.", quiet=True)


def _picture(columns: Sequence[str], group: Sequence[Slice], whole: Slice, name: str) -> Content:
    known = [each for each in group if _distance(each, whole, name) is not None]
    if not known:
        return None
    ordered, order = _ordered(known, whole, name)
    left = len(ordered) - _MOST_DOTS
    note = f"The line is at {number(whole.candidate[name].value)}, the {name} of all rows. {order}"
    note += f" {counted(left, 'more slice')} in the table." if left > 0 else ""
    title = f"{name} by {' and '.join(columns)}" if columns else f"{name} of slices"
    rows = [_dot(each, name, is_alone=not columns) for each in ordered[:_MOST_DOTS]]
    return dots(rows, title=title, reference=whole.candidate[name].value, note=note)


def _ordered(group: Sequence[Slice], whole: Slice, name: str) -> tuple[list[Slice], str]:
    """By the slices' numbers if they have one each, else the farthest first."""
    try:
        return sorted(group, key=lambda each: [float(value) for _, value in each.key]), ""
    except ValueError:
        return sorted(group, key=lambda each: -abs(_distance(each, whole, name) or 0)), "The farthest are first."


def _dot(each: Slice, name: str, *, is_alone: bool) -> Dot:
    label = each.name if is_alone else ", ".join(value for _, value in each.key)
    rows = f"{number(each.size)} row{'' if each.size == 1 else 's'}" if each.size is not None else ""
    return Dot(label or "(empty)", each.candidate[name].value, each.candidate[name].interval, rows)


def _table(whole: Slice, sliced: Sequence[Slice], names: Sequence[str], chosen: str) -> Markup:
    """All slices, the largest first."""
    ordered = sorted(sliced, key=lambda each: -(each.size or 0))
    shown = _shown(names, chosen)
    far = Column(f"{chosen} − all rows", is_number=True, hint=f"Sort by this for the farthest slices: its {chosen}")
    compared = any(each.changes or each.baseline for each in sliced)
    columns = [Column("slice"), Column("rows", is_number=True), far]
    columns += [Column(f"{chosen} − baseline", is_number=True)] if compared else []
    columns += [Column(name, is_number=True) for name in shown]
    rows = [_row(each, whole, shown, compared) for each in [whole, *ordered[:_MOST_ROWS]]]
    left = len(ordered) - _MOST_ROWS
    left_out = (
        paragraph(f"The table leaves out the {counted(left, 'smallest slice')}.", quiet=True) if left > 0 else None
    )
    return stack(table("All slices, the largest first", columns, rows), left_out)


def _row(each: Slice, whole: Slice, shown: Sequence[str], compared: bool) -> list[Content]:
    distance = _distance(each, whole, shown[0]) if each.key else None
    far = Cell(signed(distance), abs(distance)) if distance is not None else Cell("–", -1)
    beside = [_change(each, shown[0])] if compared else []
    return [each.name, _count(each.size), far, *beside, *(_metric(each.candidate.get(name)) for name in shown)]


def _count(size: float | None) -> Content:
    return None if size is None else Cell(number(size), size)


def _change(each: Slice, name: str) -> Content:
    if name in each.changes:
        return Cell(signed(each.changes[name].value), each.changes[name].value)
    if name in each.candidate and name in each.baseline:
        change = each.candidate[name].value - each.baseline[name].value
        return Cell(signed(change), change)
    return None


def _metric(metric: Metric | None) -> Content:
    if metric is None:
        return None
    ends = f" ({number(metric.interval[0])} to {number(metric.interval[1])})" if metric.interval else ""
    return Cell(f"{number(metric.value)}{ends}", metric.value if math.isfinite(metric.value) else "")
