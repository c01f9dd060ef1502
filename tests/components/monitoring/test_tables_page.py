"""The page of the monitor's tables names every column, with its type and meaning."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from components.monitoring.tables import SCHEMAS, TRAINING

PAGE = Path(__file__).parents[3] / "docs/monitoring/tables.md"
HEAD = "| column | type | content |\n| --- | --- | --- |\n"


def rows(schema: pa.Schema) -> str:
    """The table of a schema's columns, as the page has it."""
    return HEAD + "".join(
        f"| `{each.name}` | {_type(each.type)} | {each.metadata[b'doc'].decode()} |\n" for each in schema
    )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"({', '.join(field.name for field in kind)})"
    return "timestamp" if pa.types.is_timestamp(kind) else str(kind)


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name != TRAINING])
def test_the_page_has_every_column(name: str) -> None:
    section = PAGE.read_text().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert rows(SCHEMAS[name]) in section


def test_the_page_has_no_other_table() -> None:
    sections = [line[3:] for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert sections == [name for name in SCHEMAS if name != TRAINING]
