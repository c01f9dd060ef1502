"""How Arrow reads the files of a Delta table."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from deltalake import DeltaTable
from pyarrow import fs


def local_files(table: DeltaTable) -> fs.FileSystem | None:
    """The files of a table in a folder; None for those of an object store, which delta-rs reads.

    delta-rs' own file system is a Python object. Arrow's threads may still let go of its files when the process ends,
    and Python ends a thread that then asks for the GIL in a way that aborts the process.
    """
    place = urlsplit(table.table_uri)
    if place.scheme not in ("", "file"):
        return None
    folder = unquote(place.path) if place.scheme else table.table_uri
    return fs.SubTreeFileSystem(folder.rstrip("/"), fs.LocalFileSystem())
