"""Private parts of delta-rs: writing to a table's log. Read in deltalake 1.6.6, `deltalake/fs/fs_handler.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.fs
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

VERSION = "1.6.6"

_LOG = "_delta_log"


def log_files(table: DeltaTable) -> Iterator[str]:
    """The names of the files in a table's log."""
    files = pyarrow.fs.PyFileSystem(DeltaStorageHandler.from_table(table._table))
    for found in files.get_file_info(pyarrow.fs.FileSelector(_LOG)):
        if found.type == pyarrow.fs.FileType.File:
            yield found.base_name


def read(table: DeltaTable, name: str) -> bytes:
    """The content of a file in the log."""
    with DeltaStorageHandler.from_table(table._table).open_input_file(f"{_LOG}/{name}") as file:
        found: bytes = file.read()
    return found


def write(table: DeltaTable, name: str, content: bytes) -> None:
    """Replaces a file in the log, in one step."""
    # pyarrow's own stream hands over buffers, which delta-rs refuses.
    stream: Any = DeltaStorageHandler.from_table(table._table)._handler.open_output_stream(f"{_LOG}/{name}", None)
    stream.write(content)
    stream.close()


def remove(table: DeltaTable, name: str) -> None:
    """Removes a file from the log."""
    DeltaStorageHandler.from_table(table._table).delete_file(f"{_LOG}/{name}")
