"""What reports show of examples: where they are from, and how many rows of which columns each split has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from components.contract.artifacts import Artifact, Examples, split_names, split_path
from components.reports.artifacts import Sections
from components.reports.figures import counted, number, percent, short_digest, size
from components.reports.markup import Content
from components.reports.page import Section
from components.reports.parts import badge, code, facts, fold, stack
from components.reports.ran import Ran
from components.reports.readers import records
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Cell, Column, table

_FEW = 8


def _examples(examples: Artifact, _: Ran) -> Section | None:
    if records.own(examples).get("stage", "example_gen") != "example_gen":
        return None  # other stages show what they made of examples
    names = split_names(examples)
    known = _rows(examples)
    rows = {name: known[name] for name in names if name in known}
    columns = tried("The columns", lambda: _columns(examples, names))
    found = [] if isinstance(columns, Unreadable) else columns
    shown = [_splits(examples, names, rows), _table_of_columns(found) if found else None]
    words = f"{counted(sum(rows.values()), 'row')} in {counted(len(names), 'split')}" if rows else ""
    wide = f"{counted(len(found), 'column')}" if found else ""
    summary = ", ".join(filter(None, [words or counted(len(names), "split"), wide]))
    return Section("examples", "Examples", stack(facts(_facts(examples)), *shown), f"{summary}.")


def _rows(examples: Artifact) -> dict[str, int]:
    """The number of rows by split; empty if the stage did not count them."""
    found = tried("", lambda: json.loads(examples.metadata.get("rows") or "{}"))
    return {} if isinstance(found, Unreadable) else {str(name): int(count) for name, count in found.items()}


def _facts(examples: Artifact) -> Iterator[tuple[Content, Content]]:
    data: dict[str, Any] = records.own(examples).get("data") or {}
    if data.get("path"):
        yield "Data", code(str(data["path"]))
        version = data.get("dvc_hash") or short_digest(str(data.get("content", "")))
        yield "Version", stack(code(version), None if data.get("versioned") else badge("no version", "warn"))
    for name, label in (("payload_format", "Format"), ("span", "Span"), ("rows_outside_splits", "Rows in no split")):
        if name in examples.metadata:
            value = examples.metadata[name]
            yield label, number(value) if isinstance(value, float) else value


def _splits(examples: Artifact, names: list[str], rows: dict[str, int]) -> Content:
    total = sum(rows.values())
    columns: list[str | Column] = ["Split", Column("Files", True), Column("Size", True)]
    columns += [Column("Rows", True), Column("Share", True)] if rows else []
    lines = []
    for name in names:
        sizes = [file.stat().st_size for file in sorted(split_path(examples, name).glob("*")) if file.is_file()]
        count = rows.get(name)
        share = percent(count / total if count is not None and total else None)
        lines.append([name, len(sizes), Cell(size(sum(sizes)), sum(sizes)), *([count, share] if rows else [])])
    return table("Splits", columns, lines)


def _columns(examples: Artifact, names: list[str]) -> list[tuple[str, str]]:
    """The columns of the first file with their types; none of tf.Examples, which have no common columns."""
    import pyarrow.parquet as pq

    files = (file for name in names for file in sorted(split_path(examples, name).glob("*.parquet")))
    first = next(files, None)
    return [(field.name, str(field.type)) for field in pq.read_schema(first)] if first else []


def _table_of_columns(columns: list[tuple[str, str]]) -> Content:
    shown = table("Columns", ["Column", "Type"], columns, hide_caption=True)
    return fold(counted(len(columns), "column"), shown, is_open=len(columns) <= _FEW)


SECTIONS: Sections = [(Examples, _examples)]
