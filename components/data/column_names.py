"""The names of a file's columns."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from pathlib import Path

from components.contract.errors import DataError


def of_header(written: Sequence[str]) -> list[str]:
    """The column names in a CSV header; as in TFX, spaces at the two ends of the line are stripped."""
    if not written:
        return []
    names = [written[0].lstrip(), *written[1:]]
    return [*names[:-1], names[-1].rstrip()]


def of_file(file: Path, delimiter: str = ",") -> list[str] | None:
    """The columns of a CSV or Parquet file; None for other files and for files that cannot be read."""
    try:
        if re.search(r"\.csv(\.gz)?$", file.name, re.IGNORECASE):
            opened = gzip.open if file.name.lower().endswith(".gz") else open
            with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
                return of_header(next(csv.reader(text, delimiter=delimiter), []))
        if re.search(r"\.(parquet|pq)$", file.name, re.IGNORECASE):
            from pyarrow import parquet

            return list(parquet.read_schema(file).names)
    # The file's reader reports what is wrong with it in more detail.
    except (OSError, ValueError, TypeError, EOFError, csv.Error):
        return None
    return None


def require_distinct(file: Path, names: Sequence[str]) -> None:
    """Refuses a file with duplicate column names.

    Raises:
        DataError: Names the column.
    """
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{file} has the column {name!r} twice", fix="rename or remove one of them")
