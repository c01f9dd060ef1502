"""Prints predictions batch by batch, as a table, JSON lines or CSV."""

from __future__ import annotations

import base64
import csv
import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table

_DIGITS = 6


class OutputFormat(StrEnum):
    """The output format of predictions."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def rows_of(outputs: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """One dictionary per row; outputs without a row per example are repeated in each."""
    columns = {
        name: array.tolist() if array.ndim and len(array) == count else [array.tolist()] * count
        for name, array in outputs.items()
    }
    return [{name: values[row] for name, values in columns.items()} for row in range(count)]


def _plain(value: Any) -> Any:
    """A value for JSON: bytes as strings if they are UTF-8, otherwise in TF Serving's base64 form."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value


def _cell(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(each) for each in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def printed(batches: Iterable[list[dict[str, Any]]], how: OutputFormat) -> int:
    """Prints rows as they arrive, a table at the end; returns their number."""
    count, table, writer = 0, Table("row", box=None, pad_edge=False), csv.writer(sys.stdout, lineterminator="\n")
    for batch in batches:
        for row in batch:
            count += 1
            if how == OutputFormat.JSON:
                print(json.dumps({name: _plain(value) for name, value in row.items()}))
            elif how == OutputFormat.CSV:
                if count == 1:
                    writer.writerow(row)
                writer.writerow(map(_cell, row.values()))
            else:
                if count == 1:
                    for name in row:
                        table.add_column(name)
                table.add_row(str(count), *(_cell(_short(value)) for value in row.values()))
    if how == OutputFormat.TABLE:
        Console(width=None if sys.stdout.isatty() else 1_000_000).print(table)
    return count
