"""What an inference table holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa
from rich.console import Console

from components.contract.commands import typed
from components.inference import table as tables
from components.inference.local_files import local_files


@dataclass(frozen=True)
class Facts:
    """What a table holds.

    Attributes:
        path: Its folder or URL.
        rows: The number of rows.
        versions: The number of rows by version; None is for requests that no version answered.
        first: The time of the first row; None if there is none.
        last: The time of the last row.
        files: The number of its files.
        megabytes: Their size.
    """

    path: str
    rows: int
    versions: dict[int | None, int]
    first: datetime | None
    last: datetime | None
    files: int
    megabytes: float


def of(root: str) -> Facts:
    """The facts of a model's table, which exists."""
    table = tables.opened(root)
    assert table is not None
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    inferences = table.to_pyarrow_dataset(filesystem=local_files(table))
    assert inferences is not None, "DuckDB finds it by its name"
    query = "SELECT version, count(*), min(time), max(time) FROM inferences GROUP BY version ORDER BY version"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(query).fetchall()
    return Facts(
        path=tables.path(root),
        rows=sum(rows for _, rows, _, _ in found),
        versions={version: rows for version, rows, _, _ in found},
        first=min((first for _, _, first, _ in found), default=None),
        last=max((last for _, _, _, last in found), default=None),
        files=len(files),
        megabytes=sum(each["size_bytes"] for each in files) / 1e6,
    )


def show(facts: Facts, console: Console) -> None:
    """Prints the facts."""
    versions = ", ".join(
        f"{'none' if number is None else number} ({rows:,})" for number, rows in facts.versions.items()
    )
    console.print(f"table     {facts.path}", markup=False)
    console.print(f"rows      {facts.rows:,}")
    console.print(f"versions  {versions or '-'}")
    console.print(f"time      {_shown(facts.first)} to {_shown(facts.last)}")
    console.print(f"size      {facts.megabytes:,.1f} MB in {facts.files:,} files")
    console.print(f"read it   {command(facts.path)}", markup=False)


def command(path: str) -> str:
    """A shell command that reads the table with DuckDB."""
    script = (
        "import duckdb; from deltalake import DeltaTable; "
        f"t = DeltaTable({json.dumps(path)}).to_pyarrow_dataset(); "
        'print(duckdb.sql("SELECT version, status, count(*) FROM t GROUP BY ALL"))'
    )
    return typed("python -c", script)


def _shown(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC") if time else "-"
