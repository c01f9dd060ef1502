"""The documented columns are the table's."""

from __future__ import annotations

from pathlib import Path

from components.inference.columns import REQUEST

PAGE = Path(__file__).parents[3] / "docs/serving/inference-tables.md"


def test_the_page_lists_every_column() -> None:
    lines = [f"| `{field.name}` | {field.metadata[b'doc'].decode()} |" for field in REQUEST]
    assert "\n".join(lines) in PAGE.read_text()
