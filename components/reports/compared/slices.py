"""The slices of several evaluations side by side: the metric of every slice in each run, and what differs most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.reports.figures import counted, number, signed
from components.reports.markup import Content
from components.reports.model.slices import preferred_of
from components.reports.page import Section
from components.reports.parts import fold, notice, paragraph, stack
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers.evaluations import Key, Slice

TITLE = "Slices compared"
_MOST_ROWS = 300
_MOST_METRICS = 6

Slices = Mapping["Key", "Slice"]


def section(named: Sequence[tuple[str, Artifact]]) -> Section | None:
    """Every metric of every slice, the slices that differ most first."""
    found = {name: tried(f"The slices of {name}", lambda each=each: _slices(each)) for name, each in named}  # type: ignore[misc]
    known: dict[str, Slices] = {name: each for name, each in found.items() if not isinstance(each, Unreadable)}
    unread = [notice(each.sentence, "warn") for each in found.values() if isinstance(each, Unreadable)]
    metrics = _metrics(known)
    if not metrics or not any(key for each in known.values() for key in each):
        return Section("slices-compared", TITLE, stack(*unread)) if unread else None
    first, *others = metrics[:_MOST_METRICS]
    folded = [_table(known, metric) for metric in others]
    more = fold(f"The same for {counted(len(folded), 'more metric')}", *folded) if folded else None
    shown = _table(known, first)
    is_equal = all(_spread(known, key, first) <= 0 for key in _keys(known))
    body = stack(*unread, fold("All slices", shown) if is_equal else shown, more)
    return Section("slices-compared", TITLE, body, _words(known, first))


def _slices(evaluation: Artifact) -> Slices:
    from components.reports.readers import evaluations

    return {each.key: each for each in evaluations.read(evaluation.path)}


def _metrics(known: Mapping[str, Slices]) -> list[str]:
    """The metrics that any run has, the one that matters most first; without counts."""
    whole = [slices[()] for slices in known.values() if () in slices]
    names = dict.fromkeys(name for each in whole for name in each.candidate if not name.endswith("example_count"))
    chosen = preferred_of(whole[0], list(names)) if whole and names else ""
    return [*([chosen] if chosen else []), *(name for name in names if name != chosen)]


def _value(slices: Slices, key: Key, metric: str) -> float | None:
    found = slices[key].candidate.get(metric) if key in slices else None
    return found.value if found and math.isfinite(found.value) else None


def _spread(known: Mapping[str, Slices], key: Key, metric: str) -> float:
    values = [value for slices in known.values() if (value := _value(slices, key, metric)) is not None]
    return max(values) - min(values) if len(values) > 1 else -1.0


def _keys(known: Mapping[str, Slices]) -> list[Key]:
    return list(dict.fromkeys(key for slices in known.values() for key in slices))


def _words(known: Mapping[str, Slices], metric: str) -> str:
    sliced = [key for key in _keys(known) if key]
    far = max(sliced, key=lambda key: _spread(known, key, metric))
    spread = _spread(known, far, metric)
    if spread <= 0:
        return f"{counted(len(sliced), 'slice')}; the {metric} is the same everywhere."
    name = _name(known, far)
    return f"Of {counted(len(sliced), 'slice')}, {name} differs most: by {number(spread)} in {metric}."


def _name(known: Mapping[str, Slices], key: Key) -> str:
    return next(slices[key].name for slices in known.values() if key in slices)


def _table(known: Mapping[str, Slices], metric: str) -> Markup:
    keys = sorted(_keys(known), key=lambda key: (bool(key), -_spread(known, key, metric)))
    last = "Difference" if len(known) == 2 else "Spread"
    columns = [Column("Slice"), Column("Rows", is_number=True), *(Column(name, is_number=True) for name in known)]
    rows = [_row(known, key, metric) for key in keys[:_MOST_ROWS]]
    left = len(keys) - len(rows)
    note = paragraph(f"{counted(left, 'more slice')} with smaller differences.", quiet=True) if left > 0 else None
    return stack(table(f"{metric} by slice", [*columns, Column(last, is_number=True)], rows), note)


def _row(known: Mapping[str, Slices], key: Key, metric: str) -> list[Cell | Content]:
    values = [_value(slices, key, metric) for slices in known.values()]
    size = next((slices[key].size for slices in known.values() if key in slices), None)
    if len(values) == 2:
        one, two = values
        difference = two - one if one is not None and two is not None else None
        last = Cell(None if difference is None else signed(difference), sort=None if difference is None else difference)
    else:
        spread = _spread(known, key, metric)
        last = Cell(number(spread) if spread >= 0 else None, sort=spread)
    return [_name(known, key), None if size is None else Cell(number(size), size), *map(_cell, values), last]


def _cell(value: float | None) -> Cell:
    return Cell(number(value), sort="" if value is None else value)
