"""What example_gen reads: files of one format, whose columns and types are determined over all their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from components.contract.errors import DataError


class Source(Protocol):
    """Files that were scanned once."""

    @property
    def notes(self) -> list[str]:
        """What is probably not intended, but is not an error."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The columns and types of every batch."""
        ...

    def read(self, file: Path) -> Iterator[pa.RecordBatch]:
        """Streams the rows of one of the files, in TFXIO's form, with the source's columns and types.

        Raises:
            DataError: The file is damaged.
        """
        ...


def require_same_columns(file: Path, names: Sequence[str], first: Path, wanted: Sequence[str]) -> None:
    """Refuses a file whose columns differ from those of the first file; their order does not matter.

    Raises:
        DataError: The columns differ; names them.
    """
    lacking, extra = sorted(set(wanted) - set(names)), sorted(set(names) - set(wanted))
    if lacking or extra:
        faults = [f"lacks {', '.join(map(repr, lacking))}"] * bool(lacking)
        faults += [f"adds {', '.join(map(repr, extra))}"] * bool(extra)
        raise DataError(
            f"{file} {' and '.join(faults)}, compared with the columns of {first}",
            fix="give every file the same columns; a column may be empty",
        )
