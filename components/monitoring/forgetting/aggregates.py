"""Where the monitor's own tables name a value: lists of values in profiles, alarms' sentences and pictures, slices."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from components.inference.columns import INPUT
from components.inference.privacy.keys import Keys
from components.monitoring.forgetting.keys import Key, candidates
from components.monitoring.store import Store, quoted

_Row = dict[str, Any]
FORGOTTEN = "(forgotten)"
"""What stands in place of a value."""


def named(keys: Sequence[Key], ring: Keys | None) -> dict[str, set[str]]:
    """The forms of the values by column, as the monitor names columns."""
    found: dict[str, set[str]] = {}
    for column, value in (pair for key in keys for pair in key.values):
        found.setdefault(column.removeprefix(INPUT), set()).update(candidates(value, ring))
    return found


def slices(store: Store, table: str, values: dict[str, set[str]]) -> set[str]:
    """The slices in a table that are of one of the values, such as `customer:Jane`."""
    known = store.read(table, columns=["slice"]).column("slice").unique().to_pylist()
    parts = {f"{column}:{value}" for column, found in values.items() for value in found}
    return {each for each in known if each and any(_contains(each, part) for part in parts)}


Changes = Iterator[tuple[pa.Table, str]]
"""Rows without a value, and the condition of the rows that they replace."""


def profiles(store: Store, values: dict[str, set[str]]) -> Changes:
    """The rows of the profile that name a value, window by window."""
    for column, start, rows, new in _changed(store, "profile", values, "window_start", _without_values):
        yield (
            pa.Table.from_pylist(new, rows),
            f"\"column\" = {quoted(column)} AND window_start = '{start.isoformat()}'",
        )


def alarms(store: Store, values: dict[str, set[str]]) -> Changes:
    """The alarms that name a value."""
    for _, alarm, rows, new in _changed(store, "alarms", values, "alarm", _without_text):
        yield pa.Table.from_pylist(new, rows), f"alarm = {quoted(alarm)}"


def _changed(
    store: Store, table: str, values: dict[str, set[str]], unit: str, change: Callable[[_Row, set[str]], _Row]
) -> Iterator[tuple[str, Any, pa.Schema, list[_Row]]]:
    """By column and unit: the rows of the unit, if one of them changes."""
    for column, forms in values.items():
        rows = store.read(table, [("column", "=", column)])
        units: dict[Any, list[_Row]] = {}
        for row in rows.to_pylist():
            units.setdefault(row[unit], []).append(row)
        for key, old in units.items():
            new = [change(row, forms) for row in old]
            if new != old:
                yield column, key, rows.schema, new


def _without_values(row: _Row, forms: Collection[str]) -> _Row:
    lists = {name: row[name] for name in ("top_values", "unseen_values") if row[name]}
    new = {
        name: [{**each, "value": FORGOTTEN} if each["value"] in forms else each for each in found]
        for name, found in lists.items()
    }
    return {**row, **new}


def _without_text(row: _Row, forms: Iterable[str]) -> _Row:
    for form in forms:
        # A picture is JSON, which may write a letter as \u00e4.
        for text in {form, json.dumps(form)[1:-1]}:
            row = {**row, **{name: _replaced(row[name], text) for name in ("sentence", "picture")}}
    return row


def _replaced(text: str | None, value: str) -> str | None:
    return text and re.sub(rf"(?<![\w.]){re.escape(value)}(?![\w%])", FORGOTTEN, text)


def _contains(text: str, part: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
