"""The names of a file's columns: which ones are taken, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.errors import DataError


def of_header(written: Sequence[str]) -> list[str]:
    """The names that a header of CSV gives: as in TFX, the spaces at the ends of its line are no part of one."""
    if not written:
        return []
    names = [written[0].lstrip(), *written[1:]]
    return [*names[:-1], names[-1].rstrip()]


def require_distinct(file: Path, names: Sequence[str]) -> None:
    """Refuses a file of which one column would stand for two.

    Raises:
        DataError: Names the column.
    """
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{file} has the column {name!r} twice", mend="rename one of them, or leave it out")
