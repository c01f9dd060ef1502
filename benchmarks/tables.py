"""Figures as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show(console: Console, figures: Iterable[Mapping[str, Any]]) -> None:
    """Prints figures; those with the same keys share a table."""
    tables: dict[tuple[str, ...], Table] = {}
    for figure in figures:
        table = tables.setdefault(tuple(figure), Table(*figure, box=None, pad_edge=False))
        table.add_row(*("" if value is None else str(value) for value in figure.values()))
    for table in tables.values():
        console.print(table, "")
